package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/httpjson"
)

// Report writes, a line each, what of the old monitoring is covered. Its
// counts tell what is left to do.
type Report struct {
	// Covered metrics of old textfiles have their collector configured.
	Covered int
	// Missing metrics or repositories have not.
	Missing int
	// Stale are rules and panels that select what only the scripts publish.
	Stale int

	w       io.Writer
	sources []collector.Source
}

// NewReport begins a report for what is configured now.
func NewReport(w io.Writer, sources []collector.Source) *Report {
	return &Report{w: w, sources: sources}
}

// Textfiles compares a folder of node_exporter's textfiles with the configuration.
func (r *Report) Textfiles(dir string) error {
	files, err := ReadTextfiles(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := filepath.Base(f.Path)
		if f.Err != nil {
			r.Missing++
			r.line("unreadable", name, "%v", f.Err)
			continue
		}
		for _, metric := range slices.Sorted(maps.Keys(f.Families)) {
			n, known := Find(metric)
			if !known {
				r.line("foreign", name, "%s is of none of the replaced scripts: node_exporter keeps it", metric)
				continue
			}
			r.metric(name, n)
			if n.Collector == "restic" && n.Old == "restic_snapshots_total" {
				r.repositories(name, values(f.Families[metric], "repository"))
			}
		}
	}
	if len(files) == 0 {
		r.line("empty", dir, "no *.prom files")
	}
	return nil
}

func (r *Report) metric(file string, n Name) {
	if !r.configured(n.Collector, "") {
		r.Missing++
		r.line("missing", file, "%s: collector %s is not configured", n.Old, n.Collector)
		return
	}
	r.Covered++
	r.line("covered", file, "%s -> %s", n.Old, strings.Join(n.New, ", "))
}

// repositories that the script listed and the configuration does not.
func (r *Report) repositories(file string, names []string) {
	for _, name := range names {
		if r.configured("restic", "") && !r.configured("restic", name) {
			r.Missing++
			r.line("missing", file, "restic repository %q is not among the sources", name)
		}
	}
}

// configured is true where the collector has that source, or any for "".
func (r *Report) configured(name, source string) bool {
	return slices.ContainsFunc(r.sources, func(s collector.Source) bool {
		return s.Definition.Name == name && (source == "" || s.Name == source)
	})
}

// Prometheus asks a server, https://prometheus.io/docs/prometheus/latest/querying/api/#rules,
// which of its rules select old names.
func (r *Report) Prometheus(ctx context.Context, client *httpjson.Client) error {
	var body struct {
		Data struct {
			Groups []struct {
				Name  string `json:"name"`
				Rules []struct {
					Name  string `json:"name"`
					Query string `json:"query"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	if err := client.Get(ctx, "/api/v1/rules", &body); err != nil {
		return err
	}
	for _, g := range body.Data.Groups {
		for _, rule := range g.Rules {
			r.expression("rule", g.Name+"/"+rule.Name, rule.Query)
		}
	}
	return nil
}

// Dashboards looks for old names in the queries of Grafana's *.json below a folder.
func (r *Report) Dashboards(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".json") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var dashboard any
		if err := json.Unmarshal(content, &dashboard); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r.panels(filepath.Base(path), "", dashboard)
		return nil
	})
}

// panels walks a dashboard; a query is the "expr" of a target, below the "title" of its panel.
func (r *Report) panels(file, title string, v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			r.panels(file, title, item)
		}
	case map[string]any:
		if t, ok := v["title"].(string); ok {
			title = t
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if expr, ok := v[key].(string); ok && (key == "expr" || key == "query") {
				r.expression("panel", file+"/"+title, expr)
				continue
			}
			r.panels(file, title, v[key])
		}
	}
}

func (r *Report) expression(kind, where, expr string) {
	for _, stale := range Stale(expr) {
		r.Stale++
		r.line(kind, where, "%s", stale)
	}
}

func (r *Report) line(kind, where, format string, args ...any) {
	fmt.Fprintf(r.w, "%-10s %s: %s\n", kind, where, fmt.Sprintf(format, args...))
}

// End writes the sums, and is an error while something is left to do.
func (r *Report) End() error {
	fmt.Fprintf(r.w, "%d metrics covered, %d missing, %d selected by rules or panels under old names\n", r.Covered, r.Missing, r.Stale)
	if r.Missing+r.Stale > 0 {
		return errors.New("the migration is not complete")
	}
	return nil
}

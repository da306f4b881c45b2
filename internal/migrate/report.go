package migrate

import (
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
)

// Report writes, a line each, what of the old monitoring is covered. Its
// counts tell what is left to do.
type Report struct {
	// Covered metrics have what the scripts watched configured, all of it.
	Covered int
	// Missing are metrics without a collector, and things that a script watched and the
	// configuration does not name.
	Missing int
	// Stale are rules and panels that select what only the scripts publish.
	Stale int
	// Unknown is what cannot be told from here.
	Unknown int

	w        io.Writer
	settings map[string][]settings
	told     map[string]bool // lines, without where they were found
	open     []string        // other reasons why the migration is not complete
}

// NewReport begins a report for what is configured now.
func NewReport(w io.Writer, sources []collector.Source) *Report {
	return &Report{w: w, settings: read(sources), told: map[string]bool{}}
}

// Textfiles compares a folder of node_exporter's textfiles with the configuration. A folder
// without any says nothing: it may be the wrong one.
func (r *Report) Textfiles(dir string) {
	files, err := ReadTextfiles(dir)
	if err == nil && len(files) == 0 {
		err = errors.New("no *.prom file; see --collector.textfile.directory of node_exporter, or leave the folder out when all are gone")
	}
	if err != nil {
		r.line("empty", dir, "%v", err)
		r.open = append(r.open, "no textfiles in "+dir)
	}
	for _, f := range files {
		name := filepath.Base(f.Path)
		if f.Err != nil {
			r.Missing++
			r.line("unreadable", name, "%v", f.Err)
			continue
		}
		for _, metric := range slices.Sorted(maps.Keys(f.Families)) {
			if n, known := Find(metric); known {
				r.metric(name, n, series(f.Families[metric]))
				continue
			}
			r.line("foreign", name, "%s is of none of the replaced scripts: node_exporter keeps it", metric)
		}
	}
}

// metric compares an old metric and its series with the configuration.
func (r *Report) metric(where string, n Name, series []map[string]string) {
	all := r.settings[n.Collector]
	if len(all) == 0 {
		if r.once("missing", where, "%s: collector %s is not configured", n.Old, n.Collector) {
			r.Missing++
		}
		return
	}
	list, undecided := demands(n, series, all)
	met := 0
	for _, d := range list {
		if d.met {
			met++
		} else if r.once("missing", where, "not covered: %s: %s", d.what, d.fix) {
			r.Missing++
		}
	}
	arrow := n.Old + " -> " + strings.Join(n.New, ", ")
	switch {
	case undecided:
		if r.once("unknown", where, "%s has no label %s: check with vulcan_exporter collect %s", n.Old, compared[n.Collector], n.Collector) {
			r.Unknown++
		}
	case met < len(list):
		if met > 0 {
			r.once("partly", where, "%s", arrow)
		}
	case r.once("covered", where, "%s", arrow):
		r.Covered++
	}
	for _, d := range list {
		if d.met && d.now != "" && d.now != d.value {
			r.once("relabelled", where, "%s=%q is now %s=%q", d.label, d.value, d.label, d.now)
		}
	}
}

// once writes a line unless it was written of another file or job. It says whether it did.
func (r *Report) once(kind, where, format string, args ...any) bool {
	key := kind + fmt.Sprintf(format, args...)
	if r.told[key] {
		return false
	}
	r.told[key] = true
	r.line(kind, where, format, args...)
	return true
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
	fmt.Fprintf(r.w, "%d metrics covered, %d missing, %d selected by rules or panels under old names", r.Covered, r.Missing, r.Stale)
	if r.Unknown > 0 {
		fmt.Fprintf(r.w, ", %d unknown", r.Unknown)
	}
	fmt.Fprintln(r.w)
	switch {
	case len(r.open) > 0:
		return fmt.Errorf("the migration is not complete: %s", strings.Join(r.open, "; "))
	case r.Missing+r.Stale > 0:
		return errors.New("the migration is not complete")
	}
	return nil
}

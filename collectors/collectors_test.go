package collectors

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/docs"
	"vulcan.lan/vulcan_exporter/internal/runner"
	"vulcan.lan/vulcan_exporter/internal/server"
)

const module = "vulcan.lan/vulcan_exporter"

// prefixes that are not the collector's name and an underscore.
var prefixes = map[string]string{
	"criticalservice": "critical_service_",
	"dnsquery":        "dns_query_",
	"homeassistant":   "home_assistant_",
	"postgres":        "pg_",
}

// TestOneNameEverywhere: package, config key, label, docs page and prefix of
// metrics are one name, and the list has every package and no other.
func TestOneNameEverywhere(t *testing.T) {
	var names []string
	for _, d := range All() {
		names = append(names, d.Name)
		want := prefixes[d.Name]
		if want == "" {
			want = d.Name + "_"
		}
		if d.Prefix != want {
			t.Errorf("%s: prefix %q, want %q", d.Name, d.Prefix, want)
		}
		if d.Summary == "" || !strings.HasSuffix(d.Summary, ".") {
			t.Errorf("%s: the summary is not a sentence: %q", d.Name, d.Summary)
		}
		if d.Timeout <= 0 || d.Every > 0 && d.Every < d.Timeout/10 {
			t.Errorf("%s: timeout %s at an interval of %s", d.Name, d.Timeout, d.Every)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("not sorted: %q", names)
	}
	var packages []string
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "testdata" {
			packages = append(packages, e.Name())
			checkPackageName(t, e.Name())
		}
	}
	if !slices.Equal(names, packages) {
		t.Errorf("All() lists %q, the folders are %q", names, packages)
	}
}

func checkPackageName(t *testing.T, dir string) {
	files, err := filepath.Glob(dir + "/*.go")
	if err != nil || len(files) == 0 {
		t.Errorf("%s has no Go files (%v)", dir, err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly)
		if err != nil {
			t.Error(err)
			continue
		}
		if name := strings.TrimSuffix(f.Name.Name, "_test"); name != dir {
			t.Errorf("%s is of package %s", file, name)
		}
	}
}

func TestPrefixesAreApart(t *testing.T) {
	all := All()
	for _, a := range all {
		for _, b := range all {
			if a != b && strings.HasPrefix(a.Prefix, b.Prefix) {
				t.Errorf("the prefix of %s starts with that of %s", a.Name, b.Name)
			}
		}
	}
	owner := map[string]string{}
	for _, m := range runner.Declared() {
		owner[m.Desc().Name] = "the exporter"
	}
	for _, d := range all {
		for _, m := range d.Metrics {
			name := m.Desc().Name
			if o, ok := owner[name]; ok {
				t.Errorf("%s is declared by %s and by %s", name, o, d.Name)
			}
			owner[name] = d.Name
		}
	}
}

func TestLint(t *testing.T) {
	for _, d := range All() {
		t.Run(d.Name, func(t *testing.T) { collectortest.Lint(t, d) })
	}
	own := &collector.Definition{Prefix: "vulcan_", SourceLabel: "-", Metrics: runner.Declared()}
	t.Run("exporter", func(t *testing.T) { collectortest.Lint(t, own) })
}

// TestConfigIsDocumented: each key says what it is for.
func TestConfigIsDocumented(t *testing.T) {
	for _, d := range All() {
		documented(t, d.Name, reflect.TypeOf(d.Config).Elem())
	}
}

func documented(t *testing.T, path string, typ reflect.Type) {
	for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map || typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || typ.PkgPath() == module+"/internal/config" {
		return
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name != "" && f.Tag.Get("doc") == "" {
			t.Errorf("%s.%s has no doc tag", path, name)
		}
		documented(t, path+"."+name, f.Type)
	}
}

// TestStatusPageMetrics: what the status page reads exists, with its labels.
func TestStatusPageMetrics(t *testing.T) {
	for _, use := range server.Uses() {
		i := slices.IndexFunc(All(), func(d *collector.Definition) bool { return d.Name == use.Collector })
		if i < 0 {
			t.Errorf("%s: there is no collector %s", use.Metric, use.Collector)
			continue
		}
		labels := []string{All()[i].SourceLabel}
		found := false
		for _, m := range All()[i].Metrics {
			if d := m.Desc(); d.Name == use.Metric {
				found = true
				for _, l := range d.Labels {
					labels = append(labels, l.Name)
				}
			}
		}
		if !found {
			t.Errorf("%s declares no %s", use.Collector, use.Metric)
			continue
		}
		for _, l := range use.Labels {
			if !slices.Contains(labels, l) {
				t.Errorf("%s has the labels %q and no %s", use.Metric, labels, l)
			}
		}
	}
}

// TestDocsAreFresh: docs/collectors is what `make docs` writes.
func TestDocsAreFresh(t *testing.T) {
	const dir = "../docs/collectors"
	pages := map[string]string{}
	for _, p := range docs.Pages(All()) {
		pages[p.Name+".md"] = p.Markdown
	}
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		committed, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("%v; run make docs", err)
		} else if string(committed) != pages[name] {
			t.Errorf("%s/%s differs from the declarations; run make docs", dir, name)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := pages[e.Name()]; !ok {
			t.Errorf("%s/%s is of no collector", dir, e.Name())
		}
	}
}

// TestFloors: cmd stands on collectors, collectors on internal, and collectors
// know neither each other nor the client library.
func TestFloors(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel("..", path)
		if e.IsDir() && (strings.HasPrefix(e.Name(), ".") && path != ".." || e.Name() == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			seen++
			if why := forbidden(name, imported); why != "" {
				t.Errorf("%s imports %s: %s", name, imported, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 100 {
		t.Errorf("looked at %d imports only", seen)
	}
}

// forbidden tells why a file may not import a package; "" where it may.
func forbidden(file, imported string) string {
	own, inside := strings.CutPrefix(imported, module+"/")
	parts := strings.Split(file, "/")
	switch {
	case parts[0] == "internal" && inside && strings.HasPrefix(own+"/", "collectors/"):
		return "internal is below the collectors"
	case (parts[0] == "internal" || parts[0] == "collectors") && inside && strings.HasPrefix(own, "cmd/"):
		return "cmd is above everything"
	case parts[0] == "collectors" && len(parts) > 2:
		test := strings.HasSuffix(file, "_test.go")
		if inside && strings.HasPrefix(own, "collectors") && !strings.HasPrefix(own+"/", "collectors/"+parts[1]+"/") {
			return "collectors do not know each other"
		}
		if !test && strings.HasPrefix(imported, "github.com/prometheus/client_golang") {
			return "what a collector emits goes through internal/metric"
		}
		if !test && inside && (own == "internal/runner" || own == "internal/server" || own == "internal/app") {
			return "a collector does not know who runs it"
		}
	}
	return ""
}

// TestForbidden: the rules above can fail.
func TestForbidden(t *testing.T) {
	for _, c := range [][2]string{
		{"internal/server/x.go", module + "/collectors/zfs"},
		{"internal/server/x_test.go", module + "/collectors"},
		{"collectors/zfs/x.go", module + "/collectors/backup"},
		{"collectors/zfs/x_test.go", module + "/collectors"},
		{"collectors/zfs/status/x.go", "github.com/prometheus/client_golang/prometheus"},
		{"collectors/zfs/x.go", module + "/internal/runner"},
		{"internal/x.go", module + "/cmd/vulcan_exporter"},
	} {
		if forbidden(c[0], c[1]) == "" {
			t.Errorf("%s may import %s", c[0], c[1])
		}
	}
	for _, c := range [][2]string{
		{"collectors/collectors.go", module + "/collectors/zfs"},
		{"collectors/zfs/zfs.go", module + "/collectors/zfs/status"},
		{"collectors/zfs/zfs.go", module + "/internal/metric"},
		{"internal/runner/self.go", module + "/internal/collector"},
	} {
		if why := forbidden(c[0], c[1]); why != "" {
			t.Errorf("%s may not import %s: %s", c[0], c[1], why)
		}
	}
}

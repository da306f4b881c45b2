package prometheus_test

import (
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/collectors"
	"vulcan.lan/vulcan_exporter/internal/migrate"
	"vulcan.lan/vulcan_exporter/internal/runner"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

var update = flag.Bool("update", false, "rewrite legacy-names.yml and the tables of docs/migration.md")

// TestGenerated: rules and tables are those of internal/migrate.
func TestGenerated(t *testing.T) {
	const page = "../../docs/migration.md"
	text := string(read(t, page))
	for name, table := range map[string]string{"scripts": migrate.ScriptTable(), "names": migrate.NameTable()} {
		between := regexp.MustCompile(`(?s)(<!-- ` + name + ` -->\n).*(<!-- end of ` + name + ` -->)`)
		if !between.MatchString(text) {
			t.Fatalf("%s has no place for the table of %s", page, name)
		}
		text = between.ReplaceAllStringFunc(text, func(found string) string {
			m := between.FindStringSubmatch(found)
			return m[1] + table + m[2]
		})
	}
	for path, want := range map[string]string{page: text, "legacy-names.yml": migrate.Rules()} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if string(read(t, path)) != want {
			t.Errorf("%s is stale: go test ./deploy/prometheus -update", path)
		}
	}
}

// TestNewNamesExist: each new name is declared by its collector or the exporter itself.
func TestNewNamesExist(t *testing.T) {
	declared, known := map[string]bool{}, map[string]bool{}
	for _, d := range collectors.All() {
		known[d.Name] = true
		for _, m := range d.Metrics {
			declared[m.Desc().Name] = true
		}
	}
	for _, m := range runner.Declared() {
		declared[m.Desc().Name] = true
	}
	for _, n := range migrate.Names() {
		if !known[n.Collector] {
			if _, err := os.Stat("../../collectors/" + n.Collector); err != nil {
				t.Errorf("%s: there is no collector %s", n.Old, n.Collector)
			}
			continue // not registered yet
		}
		for _, name := range n.New {
			if !declared[name] {
				t.Errorf("%s leads to %s, which %s does not declare", n.Old, name, n.Collector)
			}
		}
		if declared[n.Old] && !n.Kept() {
			t.Errorf("%s is said to be gone and is declared", n.Old)
		}
	}
}

// TestLegacyNames: the recording rules give the old values under the old names, and nothing
// where the new ones are absent.
func TestLegacyNames(t *testing.T) {
	if out, err := exec.Command(testenv.Tool(t, "promtool"), "test", "rules", "testdata/legacy-names.yml").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	tests := string(read(t, "testdata/legacy-names.yml"))
	for _, n := range migrate.Names() {
		if n.Expr != "" && !strings.Contains(tests, "expr: "+n.Old+"\n") {
			t.Errorf("%s has no test", n.Old)
		}
	}
}

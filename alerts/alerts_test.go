// Package alerts holds the shipped Prometheus rules; this test is what keeps them honest.
//
// A rule that is wrong is silent, so each alert needs what a reader at night needs (severity,
// summary, description, a runbook, a comment that says why the threshold is what it is) and two
// proofs: a unit test in which it fires and one in which it stays quiet.
package alerts

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const runbookURL = "https://vulcan.lan/vulcan_exporter/alerts/runbooks/"

type rule struct {
	Record        string            `yaml:"record"`
	Alert         string            `yaml:"alert"`
	Expr          string            `yaml:"expr"`
	For           string            `yaml:"for"`
	KeepFiringFor string            `yaml:"keep_firing_for"`
	Labels        map[string]string `yaml:"labels"`
	Annotations   map[string]string `yaml:"annotations"`
	file, comment string
}

type ruleFile struct {
	Groups []struct {
		Name     string      `yaml:"name"`
		Interval string      `yaml:"interval"`
		Rules    []yaml.Node `yaml:"rules"`
	} `yaml:"groups"`
}

type testFile struct {
	Tests []struct {
		Name        string `yaml:"name"`
		InputSeries []struct {
			Series string `yaml:"series"`
			Values string `yaml:"values"`
		} `yaml:"input_series"`
		AlertRuleChecks []struct {
			Alert     string      `yaml:"alertname"`
			ExpAlerts []yaml.Node `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

func TestAlerts(t *testing.T) {
	condition := regexp.MustCompile(`^[a-z]+(_[a-z0-9]+)*$`)
	seen := map[string]string{}
	for _, r := range alertsOf(t) {
		if first, again := seen[r.Alert]; again {
			t.Errorf("%s: %s is also defined in %s", r.file, r.Alert, first)
		}
		seen[r.Alert] = r.file
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: %s: severity is %q", r.file, r.Alert, r.Labels["severity"])
		}
		if !condition.MatchString(r.Labels["condition"]) {
			t.Errorf("%s: %s: condition is %q", r.file, r.Alert, r.Labels["condition"])
		}
		for _, name := range []string{"summary", "description"} {
			if r.Annotations[name] == "" {
				t.Errorf("%s: %s has no %s", r.file, r.Alert, name)
			}
		}
		if want := runbookURL + r.Alert + ".md"; r.Annotations["runbook_url"] != want {
			t.Errorf("%s: %s: runbook_url is %q, want %q", r.file, r.Alert, r.Annotations["runbook_url"], want)
		}
		if r.comment == "" {
			t.Errorf("%s: %s: no comment above it says why the threshold and `for` are what they are", r.file, r.Alert)
		}
	}
}

func TestRunbooks(t *testing.T) {
	alerts := map[string]bool{}
	for _, r := range alertsOf(t) {
		alerts[r.Alert] = true
		path := filepath.Join("runbooks", r.Alert+".md")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%s: %v", r.Alert, err)
			continue
		}
		headings := regexp.MustCompile(`(?m)^#+ .*$`).FindAllString(string(text), -1)
		want := []string{"# " + r.Alert, "## Meaning", "## Impact", "## Diagnosis", "## Mitigation"}
		if !slices.Equal(headings, want) {
			t.Errorf("%s: headings are %q, want %q", path, headings, want)
		}
		if _, diagnosis, _ := strings.Cut(string(text), "## Diagnosis"); !strings.Contains(diagnosis, "```\n") {
			t.Errorf("%s: the diagnosis shows no command", path)
		}
	}
	for _, path := range glob(t, "runbooks/*") {
		if name := strings.TrimSuffix(filepath.Base(path), ".md"); !alerts[name] {
			t.Errorf("%s belongs to no alert", path)
		}
	}
}

func TestEveryAlertFiresAndStaysQuiet(t *testing.T) {
	fires, quiet, tested := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, path := range glob(t, "tests/*.yml") {
		var file testFile
		decode(t, path, &file, false)
		for _, test := range file.Tests {
			if test.Name == "" {
				t.Errorf("%s: a test has no name", path)
			}
			for _, check := range test.AlertRuleChecks {
				tested[check.Alert] = true
				if len(check.ExpAlerts) > 0 {
					fires[check.Alert] = true
				} else {
					quiet[check.Alert] = true
				}
			}
		}
	}
	for _, r := range alertsOf(t) {
		if !fires[r.Alert] || !quiet[r.Alert] {
			t.Errorf("%s: tested firing: %v, tested quiet: %v", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
		delete(tested, r.Alert)
	}
	for name := range tested {
		t.Errorf("%s is tested but not defined: such a test always passes when it expects nothing", name)
	}
}

func TestPromtool(t *testing.T) {
	promtool := testenv.Tool(t, "promtool")
	run := func(args ...string) func(*testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
				t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
	}
	// All files at once: only then does promtool see duplicates across files.
	t.Run("check", run(append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, ruleFiles(t)...)...))
	for _, path := range glob(t, "tests/*.yml") {
		t.Run(filepath.Base(path), run("test", "rules", path))
	}
}

// TestDebianPromtool checks the syntax with Prometheus 2.42 as well. The unit tests are left to
// the pinned one: before 3.0 a range included its left boundary, which moves the edges by a sample.
func TestDebianPromtool(t *testing.T) {
	testenv.Need(t, "/usr/bin/promtool")
	args := append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, ruleFiles(t)...)
	if out, err := exec.Command("/usr/bin/promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// alertsOf returns the alerts of all shipped files.
func alertsOf(t *testing.T) []rule {
	t.Helper()
	var alerts []rule
	for _, path := range ruleFiles(t) {
		var file ruleFile
		decode(t, path, &file, true)
		for _, group := range file.Groups {
			if want := strings.TrimSuffix(filepath.Base(path), ".yml"); group.Name != want {
				t.Errorf("%s: group %q, want the name of the file", path, group.Name)
			}
			for _, node := range group.Rules {
				r := rule{file: path, comment: node.HeadComment}
				if err := node.Decode(&r); err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				if r.Alert != "" {
					alerts = append(alerts, r)
				}
			}
		}
	}
	if len(alerts) == 0 {
		t.Fatal("no alerts found")
	}
	return alerts
}

func ruleFiles(t *testing.T) []string { return glob(t, "*.yml") }

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return paths
}

func decode(t *testing.T, path string, into any, strict bool) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(strict)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

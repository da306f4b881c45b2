package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/test/mutate/mutation"
	"vulcan.lan/vulcan_exporter/test/mutate/pack"
)

// budget of the sample that each `make test` runs; `make mutate` runs all.
const budget = 90 * time.Second

func shippedOptions(t *testing.T) options {
	t.Helper()
	promtool, err := filepath.Abs("../../.tools/bin/promtool")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(promtool); err != nil {
		t.Fatalf("%v: run make tools", err)
	}
	return options{
		alerts: "../../alerts", promtool: promtool, explained: "explained.yml",
		only: regexp.MustCompile(""), workers: 2, out: os.Stdout,
	}
}

// TestSample runs every explained survivor and a sample of the other mutants. The sample depends
// on the content of rules and tests alone: the same for each run, another for each version.
func TestSample(t *testing.T) {
	o := shippedOptions(t)
	o.budget = budget
	rep, err := run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	total := rep.total()
	t.Logf("%s of %d mutants", &total, total.Mutants)
	for _, problem := range rep.problems {
		t.Error(problem)
	}
	if total.Ran < 100 {
		t.Errorf("only %d mutants ran within %s", total.Ran, budget)
	}
}

const rules = `groups:
  - name: g
    rules:
      - record: r
        expr: sum by (instance, x) (a)
      - alert: A
        expr: r{x="1"} > 5
        for: 2m
      - alert: Other
        expr: b == 0
`

// The test of A does not look at the edge, does not tell one x from another and does not look
// when it begins to fire.
const weakTest = `rule_files: [../g.yml]
evaluation_interval: 1m
tests:
  - name: fires
    interval: 1m
    input_series:
      - {series: 'a{instance="i", x="1"}', values: "9x20"}
    alert_rule_test:
      - &check {alertname: A, eval_time: 10m, exp_alerts: [{exp_labels: {instance: i, x: "1"}}]}
      - {alertname: A, eval_time: 0m, exp_alerts: []}
      - {alertname: Other, eval_time: 10m, exp_alerts: []}
  - name: other
    input_series: []
    alert_rule_test:
      - {alertname: Other, eval_time: 10m, exp_alerts: []}
`

func madeUp(t *testing.T, explained string) options {
	t.Helper()
	o := shippedOptions(t)
	dir := t.TempDir()
	for path, content := range map[string]string{"g.yml": rules, "tests/g.yml": weakTest, "explained": explained} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.alerts, o.explained = dir, filepath.Join(dir, "explained")
	return o
}

// TestSurvivors knows what the weak test cannot see, and what it does.
func TestSurvivors(t *testing.T) {
	rep, err := run(t.Context(), madeUp(t, "[]"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(rep.problems, "\n")
	for _, survivor := range []string{
		`A: comparison: > -> >= between r{x="1"} and 5`,
		"A: threshold: 5 -> 6", "A: threshold: 5 -> 4",
		`A: matcher dropped: r: x="1"`,
		"A: for: 2m -> 1m", "A: for: 2m -> 4m",
		"r: aggregation: sum by (instance, x) (a) -> max by (instance, x) (a)",
	} {
		if !strings.Contains(text, survivor+"\n") && !strings.HasSuffix(text, survivor) {
			t.Errorf("killed, but the test cannot see it: %s", survivor)
		}
	}
	for _, killed := range []string{"> -> <", "A: metric renamed", `x="1" -> x!="1"`, "grouping: x dropped", "-> count by"} {
		if strings.Contains(text, killed) {
			t.Errorf("survived: %s in\n%s", killed, text)
		}
	}
}

// TestExplained finds explanations that are missing, wrong or of nothing.
func TestExplained(t *testing.T) {
	rep, err := run(t.Context(), madeUp(t, `
- rule: A
  mutants:
    - {kind: threshold, change: 5 -> 6}
    - {kind: comparison, change: '> -> < between r{x="1"} and 5'}
    - {kind: threshold, change: 7 -> 8}
  why: only for this test of the tool itself
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`explained as a survivor, but a test kills it: A: comparison: > -> < between r{x="1"} and 5`,
		"explained, but there is no such mutant: A: threshold: 7 -> 8",
	} {
		if !slices.Contains(rep.problems, want) {
			t.Errorf("%q is not among %q", want, rep.problems)
		}
	}
	if text := strings.Join(rep.problems, "\n"); strings.Contains(text, "5 -> 6") {
		t.Errorf("explained, and reported: %s", text)
	}
}

// A suite is small, and what it depends on decides its hash.
func TestSuite(t *testing.T) {
	o := madeUp(t, "[]")
	hash := func() string {
		p, err := pack.Load(o.alerts)
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.Suite(p.Rules[1])
		if err != nil {
			t.Fatal(err)
		}
		if s.Rule.Name != "A" || s.Tests != 1 || s.Fires != 1 || s.Quiet != 1 {
			t.Fatalf("%+v", s)
		}
		return s.Hash
	}
	first := hash()
	edit := func(file, from, to string) {
		path := filepath.Join(o.alerts, file)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(content), from, to)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit("g.yml", "b == 0", "b == 1")
	if hash() != first {
		t.Error("the rule of another alert changes the hash")
	}
	edit("g.yml", "sum by", "max by")
	second := hash()
	edit("tests/g.yml", "9x20", "8x20")
	if first == second || second == hash() {
		t.Error("a change of what it uses or of its test does not change the hash")
	}
}

// What is broken without any mutation is no proof.
func TestBaseline(t *testing.T) {
	o := madeUp(t, "[]")
	path := filepath.Join(o.alerts, "g.yml")
	if err := os.WriteFile(path, []byte(strings.Replace(rules, "> 5", "> 50", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "without any mutation") {
		t.Errorf("error %v", err)
	}
}

// The names are unique and stable, and every mutant loads.
func TestShippedMutants(t *testing.T) {
	o := shippedOptions(t)
	p, err := pack.Load(o.alerts)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, rule := range p.Rules {
		first, err := mutation.All(rule)
		if err != nil {
			t.Fatal(err)
		}
		if len(first.Mutants) < 3 || first.Invalid > 0 {
			t.Errorf("%s: %d mutants, %d invalid", rule.Name, len(first.Mutants), first.Invalid)
		}
		second, err := mutation.All(rule)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range first.Mutants {
			name := rule.File + m.String()
			if seen[name] || second.Mutants[i].String() != m.String() || second.Mutants[i].Changed.Expr != m.Changed.Expr {
				t.Errorf("not unique or not stable: %s", m)
			}
			seen[name] = true
		}
	}
}

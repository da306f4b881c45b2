package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/test/mutate/pack"
)

// TestFresh is what makes a stale table fail.
func TestFresh(t *testing.T) {
	if err := command("../../..", false, true, "", ""); err != nil {
		t.Error(err)
	}
}

// TestWhole: a fault fires each alert, and when it is mended the alert ends; the Watchdog never does.
func TestWhole(t *testing.T) {
	table, err := readTable("../../../docs/proof.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range table.Alerts {
		if len(r.Faults) == 0 || !r.ended() && r.Alert != "Watchdog" {
			t.Errorf("%s: %s", r.Alert, r.faults())
		}
	}
}

const rules = `groups:
  - name: g
    rules:
      - {alert: A, expr: a > 5, for: 2m, labels: {severity: warning}, annotations: {summary: text}}
`

const tests = `rule_files: [../g.yml]
tests:
  - input_series: [{series: a, values: 9x20}]
    alert_rule_test:
      - {alertname: A, eval_time: 10m, exp_alerts: [{exp_labels: {severity: warning}}]}
      - {alertname: A, eval_time: 0m, exp_alerts: []}
`

// scene is a made-up pack with a table about it.
type scene struct {
	t        *testing.T
	dir      string
	table    *Table
	markdown string
}

func (s *scene) file(path, content string) string {
	s.t.Helper()
	path = filepath.Join(s.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *scene) pack() *pack.Pack {
	s.t.Helper()
	p, err := pack.Load(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func newScene(t *testing.T) *scene {
	s := &scene{t: t, dir: t.TempDir(), table: &Table{}}
	s.file("g.yml", rules)
	s.file("tests/g.yml", tests)
	p := s.pack()
	suite, err := p.Suite(p.Rule("A"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(rules))
	scores := s.file("score.json", `[{"rule": "A", "hash": "`+suite.Hash+`", "mutants": 9, "ran": 9, "killed": 8}]`)
	faults := s.file("e2e.jsonl", `{"alert":"A","test":"TestMadeUp","fake":"the server","rules":{"g":"`+hex.EncodeToString(sum[:])+`"}}
{"alert":"A","test":"TestReal","resolved":true,"rules":{"g":"`+hex.EncodeToString(sum[:])+`"}}
{"alert":"A","test":"TestOfAnotherVersion","resolved":true,"rules":{"g":"00"}}
{"alert":"Gone","test":"TestReal","resolved":true,"rules":{"g":"00"}}
`)
	for _, err := range []error{
		s.table.addTests(p, "2026-01-01"), s.table.addMutation(p, scores, "2026-01-02"),
		s.table.addFaults(p, s.dir, faults, "2026-01-03"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.markdown = s.file("proof.md", s.table.markdown())
	return s
}

func TestTable(t *testing.T) {
	s := newScene(t)
	const want = "| [A](../alerts/runbooks/A.md) | yes | 1 + 1 in 1 | 8 of 9 | TestReal; TestMadeUp, *made up: the server*, end not waited for | 2026-01-03 |\n"
	if text := s.table.markdown(); !strings.HasSuffix(text, want) {
		t.Errorf("got\n%swant\n%s", text, want)
	}
	if problems := s.table.stale(s.pack(), s.markdown); len(problems) > 0 {
		t.Error(problems)
	}
	stored := filepath.Join(s.dir, "proof.json")
	if err := s.table.write(stored, s.markdown); err != nil {
		t.Fatal(err)
	}
	again, err := readTable(stored)
	if err != nil || again.markdown() != s.table.markdown() {
		t.Errorf("%v: read back as\n%s", err, again.markdown())
	}
}

func TestStale(t *testing.T) {
	for _, c := range []struct{ file, from, to, want string }{
		{"g.yml", "> 5", "> 6", "proven by a fault in another version: TestReal"},
		{"g.yml", "> 5", "> 6", "the rule or its unit tests have changed"},
		{"g.yml", "for: 2m", "for: 3m", "proven by a fault in another version: TestMadeUp"},
		{"g.yml", "summary: text", "summary: other", "the mutation score is of another version"},
		{"g.yml", "alert: A", "alert: B", "B: not in docs/proof.md"},
		{"g.yml", "alert: A", "alert: B", "A: in docs/proof.md, but there is no such alert"},
		{"tests/g.yml", "9x20", "8x20", "the rule or its unit tests have changed"},
		{"proof.md", "8 of 9", "9 of 9", "docs/proof.md is not what docs/proof.json says"},
	} {
		s := newScene(t)
		path := filepath.Join(s.dir, c.file)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s.file(c.file, strings.Replace(string(content), c.from, c.to, 1))
		if got := errors.Join(s.table.stale(s.pack(), s.markdown)...); got == nil || !strings.Contains(got.Error(), c.want) {
			t.Errorf("%s -> %s: %v, want %q", c.from, c.to, got, c.want)
		}
	}
}

// Texts may change without a fault to be made again.
func TestTextsKeepFaults(t *testing.T) {
	s := newScene(t)
	s.file("g.yml", strings.Replace(rules, "summary: text", "summary: other", 1))
	if got := errors.Join(s.table.stale(s.pack(), s.markdown)...); got == nil || strings.Contains(got.Error(), "by a fault") {
		t.Error(got)
	}
}

// What was proven of another version is forgotten at the next update, not shown.
func TestForget(t *testing.T) {
	s := newScene(t)
	s.file("g.yml", strings.Replace(rules, "> 5", "> 6", 1))
	if err := s.table.addTests(s.pack(), "2026-02-01"); err != nil {
		t.Fatal(err)
	}
	const want = "| [A](../alerts/runbooks/A.md) | yes | 1 + 1 in 1 | not run | none | 2026-02-01 |\n"
	if text := s.table.markdown(); !strings.HasSuffix(text, want) {
		t.Errorf("got\n%swant\n%s", text, want)
	}
}

package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const root = "../.."

type rule struct {
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// TestContract checks every shipped rule.
func TestContract(t *testing.T) {
	catalogue, problems, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Error(problem)
	}
	rules := shipped(t)
	record(catalogue, rules)
	for _, r := range rules {
		result, problems := catalogue.Check(r.Expr)
		for _, problem := range append(problems, unknownLabels(r, result)...) {
			t.Errorf("%s: %s", r.Alert+r.Record, problem)
		}
	}
}

// record adds what rules record, which a rule of another file may use.
func record(catalogue Catalogue, rules []rule) {
	for _, r := range rules {
		if r.Record != "" {
			result, _ := catalogue.Check(r.Expr)
			catalogue.Metrics[r.Record] = recorded(r, result)
		}
	}
}

func recorded(r rule, result map[string]bool) Metric {
	m := Metric{Name: r.Record, Type: "gauge"}
	for name := range result {
		m.Labels = append(m.Labels, name)
	}
	for name := range r.Labels {
		m.Labels = append(m.Labels, name)
	}
	return m
}

var templateLabel = regexp.MustCompile(`\$labels\.(\w+)`)

// unknownLabels finds labels in annotations that the result does not have: they render as nothing.
func unknownLabels(r rule, result map[string]bool) []string {
	var problems []string
	for name, text := range r.Annotations {
		for _, match := range templateLabel.FindAllStringSubmatch(text, -1) {
			if !result[match[1]] {
				problems = append(problems, name+" uses "+match[0]+", which the result does not have")
			}
		}
	}
	slices.Sort(problems)
	return problems
}

func shipped(t *testing.T) []rule {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "alerts", "*.yml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no rule files: %v", err)
	}
	var rules []rule
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Groups []struct {
				Rules []rule `yaml:"rules"`
			} `yaml:"groups"`
		}
		if err := yaml.Unmarshal(content, &file); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, group := range file.Groups {
			rules = append(rules, group.Rules...)
		}
	}
	return rules
}

// TestCheck shows that each kind of dead rule is found; the comments name where it was met.
func TestCheck(t *testing.T) {
	catalogue := Catalogue{
		Jobs: []string{"node", "blackbox_http", "blackbox_icmp"},
		Metrics: map[string]Metric{
			"up":    {Name: "up", Type: "gauge"},
			"state": {Name: "state", Type: "gauge", Labels: []string{"name", "state"}, Values: map[string][]string{"state": {"active", "failed"}}},
			"wants": {Name: "wants", Type: "gauge", Labels: []string{"name"}},
			"reads": {Name: "reads", Type: "counter", Labels: []string{"disk", "mode"}},
			"wait":  {Name: "wait", Type: "histogram", Labels: []string{"disk"}},
			"query": {Name: "query", Type: "summary"},
		},
	}
	for _, test := range []struct{ expr, problem string }{
		{`gone == 0`, `nobody declares the metric "gone"`}, // an exporter was exchanged for another
		{`{__name__=~"re.*"}`, "nobody declares the metric"},
		{`state{type="service"}`, `no label "type"`},
		{`state{state="listening"}`, "fits none of [active failed]"},
		{`state{state!="listening"}`, "fits none of [active failed]"},
		{`state{state=~"act.*|failed"}`, ""},
		{`up{job="prometeus"} == 0`, "fits none of [node"},
		{`up{job=~"blackbox_.*"} == 0`, ""},
		{`rate(state[5m])`, "rate of a gauge"},
		{`increase(reads[5m]) > 1`, ""},
		{`reads / sum(reads)`, "only one side has the label"}, // ratios that were never shown
		{`sum by (disk) (reads) / sum by (disk) (reads)`, ""},
		{`sum by (disk) (reads) / sum by (mode) (reads)`, "only one side"},
		{`sum by (name) (reads)`, `no label "name" to group by`},
		{`reads / ignoring (mode) group_left sum without (mode) (reads)`, ""},
		{`up == 1 and absent(state{name="x"})`, "only one side"},
		{`up == 1 and on () absent(state{name="x"})`, ""},
		{`state unless on (name) wants`, ""},
		{`state unless on (disk) wants`, "on (disk)"},
		{`histogram_quantile(0.9, sum by (le, disk) (rate(wait_bucket[5m]))) > 1 or wait_sum > 1`, ""},
		{`histogram_quantile(0.9, sum by (le) (rate(reads_bucket[5m])))`, "nobody declares"},
		{`query{quantile="0.5"} > 1`, ""},
		{`time() - wants > 10 * 60`, ""},
		{`time( - wants`, "parse error"},
	} {
		_, problems := catalogue.Check(test.expr)
		got := strings.Join(problems, "; ")
		if (test.problem == "") != (got == "") || !strings.Contains(got, test.problem) {
			t.Errorf("%s: %q, want %q", test.expr, got, test.problem)
		}
	}
}

func TestUnknownLabels(t *testing.T) {
	r := rule{Annotations: map[string]string{"summary": "{{ $labels.name }} {{ $labels.code }}"}}
	got := unknownLabels(r, map[string]bool{"name": true})
	if len(got) != 1 || !strings.Contains(got[0], "$labels.code") {
		t.Errorf("%q", got)
	}
}

func TestCompatible(t *testing.T) {
	theirs := Metric{Type: "gauge", Labels: []string{"name", "state"}}
	for _, test := range []struct {
		ours Metric
		want bool
	}{
		{Metric{Type: "gauge", Labels: []string{"source", "state", "name"}}, true},
		{Metric{Type: "counter", Labels: []string{"source", "state", "name"}}, false},
		{Metric{Type: "gauge", Labels: []string{"source", "name"}}, false},
	} {
		if got := compatible(test.ours, theirs); got != test.want {
			t.Errorf("%v: %v", test.ours, got)
		}
	}
}

package rules

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestLint checks the dashboards by the rules of dashboard-linter.
func TestLint(t *testing.T) {
	catalogue, _ := everything(t)
	all, err := LoadDashboards(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(lintRules) != 17 {
		t.Errorf("%d rules", len(lintRules))
	}
	for _, d := range all {
		for _, rule := range lintRules {
			for _, problem := range rule.check(catalogue, d) {
				t.Errorf("%s: %s: %s", d.File, rule.name, problem)
			}
		}
	}
}

// TestLintFinds shows that each rule finds its fault.
func TestLintFinds(t *testing.T) {
	catalogue := Catalogue{Jobs: []string{"vulcan_exporter"}, Metrics: map[string]Metric{
		"up": {Name: "up", Type: "gauge"}, "done": {Name: "done_total", Type: "counter"},
	}}
	good := `{"editable": false,
	 "templating": {"list": [
	  {"name": "datasource", "label": "x", "type": "datasource", "query": "prometheus"},
	  {"name": "loki_datasource", "label": "x", "type": "datasource", "query": "loki"},
	  {"name": "instance", "label": "x", "type": "query", "multi": true, "allValue": ".*", "refresh": 2, "definition": "label_values(up, instance)"}]},
	 "panels": [
	  {"type": "stat", "title": "t", "description": "d", "datasource": {"uid": "${datasource}"}, "fieldConfig": {"defaults": {"unit": "s"}},
	   "targets": [{"expr": "rate(done{job=\"vulcan_exporter\", instance=~\"$instance(:[0-9]+)?\"}[$__rate_interval])", "datasource": {"type": "prometheus"}}]},
	  {"type": "logs", "title": "t", "description": "d", "datasource": {"uid": "${loki_datasource}"}, "fieldConfig": {"defaults": {"unit": "none"}},
	   "targets": [{"expr": "rate({a=\"b\"}[$__auto])", "datasource": {"type": "loki"}}]}]}`
	for _, test := range []struct{ rule, old, new string }{
		{"template-datasource-rule", `"query": "prometheus"`, `"query": "loki"`},
		{"template-datasource-rule", `"query": "loki"`, `"query": "tempo"`},
		{"template-job-rule", `"name": "datasource"`, `"name": "job"`},
		{"template-instance-rule", `"multi": true`, `"multi": false`},
		{"template-label-promql-rule", `label_values(up, instance)`, `label_values(down, instance)`},
		{"template-label-promql-rule", `label_values(up, instance)`, `label_values(up, color)`},
		{"template-on-time-change-reload-rule", `"refresh": 2`, `"refresh": 1`},
		{"panel-datasource-rule", `${datasource}`, `P1809F7CD0C75ACF3`},
		{"panel-title-description-rule", `"description": "d"`, `"description": ""`},
		{"panel-units-rule", `"unit": "s"`, `"unit": "seconds"`},
		{"panel-no-targets-rule", `"targets": [{"expr": "rate(done`, `"targets": [], "x": [{"expr": "rate(done`},
		{"target-promql-rule", `"rate(done`, `"rate((done`},
		{"target-logql-rule", `rate({a`, `rate(({a`},
		{"target-logql-auto-rule", `$__auto`, `5m`},
		{"target-rate-interval-rule", `$__rate_interval`, `1h`},
		{"target-job-rule", `job=\"vulcan_exporter\", `, ``},
		{"target-instance-rule", `$instance(:[0-9]+)?`, `a`},
		{"target-counter-agg-rule", `rate(done`, `max_over_time(done`},
		{"uneditable-dashboard", `"editable": false`, `"editable": true`},
	} {
		for _, content := range []string{good, strings.Replace(good, test.old, test.new, 1)} {
			var d Dashboard
			if err := json.Unmarshal([]byte(content), &d); err != nil {
				t.Fatal(err)
			}
			found := false
			for _, rule := range lintRules {
				problems := rule.check(catalogue, d)
				if content == good && len(problems) > 0 {
					t.Errorf("%s in a good one: %v", rule.name, problems)
				}
				found = found || rule.name == test.rule && len(problems) > 0
			}
			if content != good && !found {
				t.Errorf("%s does not find %s", test.rule, test.new)
			}
		}
	}
}

package rules

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// everything returns the catalogue with what rules record and what Prometheus makes of alerts.
func everything(t *testing.T) (Catalogue, []rule) {
	t.Helper()
	catalogue, _, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	rules := shipped(t)
	record(catalogue, rules)
	var names []string
	all := map[string]bool{"alertname": true, "severity": true, "condition": true}
	for _, r := range rules {
		if r.Alert == "" {
			continue
		}
		names = append(names, r.Alert)
		result, _ := catalogue.Check(r.Expr)
		for label := range result {
			all[label] = true
		}
	}
	pending := Metric{Name: "ALERTS_FOR_STATE", Type: "gauge", Values: map[string][]string{
		"alertname": names, "severity": {"critical", "warning", "info"},
	}}
	for label := range all {
		pending.Labels = append(pending.Labels, label)
	}
	catalogue.Metrics[pending.Name] = pending
	firing := pending
	firing.Name, firing.Labels = "ALERTS", append(slices.Clone(pending.Labels), "alertstate")
	firing.Values = map[string][]string{"alertname": names, "severity": pending.Values["severity"], "alertstate": {"pending", "firing"}}
	catalogue.Metrics[firing.Name] = firing
	return catalogue, rules
}

var legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// TestDashboards checks every query of every panel as the rules are checked: a panel over a
// series that does not exist is empty for ever.
func TestDashboards(t *testing.T) {
	catalogue, _ := everything(t)
	all, err := LoadDashboards(root)
	if err != nil {
		t.Fatal(err)
	}
	queries := 0
	for _, d := range all {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if target.Datasource.Type != "prometheus" {
					continue
				}
				queries++
				result, problems := catalogue.Check(Substitute(target.Expr))
				for _, problem := range problems {
					t.Errorf("%s: %q: %s", d.File, p.Title, problem)
				}
				for _, match := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
					if !result[match[1]] {
						t.Errorf("%s: %q: the legend has %s, which the result has not", d.File, p.Title, match[0])
					}
				}
			}
		}
		for _, note := range d.Notes.List {
			_, problems := catalogue.Check(note.Expr)
			for _, problem := range problems {
				t.Errorf("%s: annotations: %s", d.File, problem)
			}
			if note.Expr != note.Target.Expr {
				t.Errorf("%s: the annotations of Grafana 10 and 12 differ", d.File)
			}
		}
	}
	if queries < 200 {
		t.Errorf("only %d queries were checked", queries)
	}
}

// unseen are alerts whose numbers no panel shows, and why.
var unseen = map[string]string{}

// TestEveryAlertIsSeen: each alert counts in the first panel of some dashboard, a panel links
// its runbook, and one shows a number that it is about.
func TestEveryAlertIsSeen(t *testing.T) {
	_, rules := everything(t)
	all, err := LoadDashboards(root)
	if err != nil {
		t.Fatal(err)
	}
	shown, counted, linked := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, d := range all {
		for _, p := range d.Panels {
			for _, link := range p.Links {
				linked[link.URL] = true
			}
			for _, target := range p.Targets {
				if target.Datasource.Type != "prometheus" {
					continue
				}
				for _, s := range selectors(t, target.Expr) {
					shown[s.Name] = true
					for _, m := range s.LabelMatchers {
						if p.Title == "All right?" && m.Name == "alertname" && d.File != "overview.json" {
							for _, name := range strings.Split(m.Value, "|") {
								counted[name] = true
							}
						}
					}
				}
			}
		}
	}
	for _, r := range rules {
		if r.Alert == "" || unseen[r.Alert] != "" {
			continue
		}
		if r.Labels["severity"] != "info" && !counted[r.Alert] {
			t.Errorf("%s counts on no dashboard", r.Alert)
		}
		if !linked[r.Annotations["runbook_url"]] {
			t.Errorf("%s: no panel links its runbook", r.Alert)
		}
		if !slices.ContainsFunc(selectors(t, r.Expr), func(s *parser.VectorSelector) bool { return shown[s.Name] }) {
			t.Errorf("%s: no panel shows a number that it is about", r.Alert)
		}
	}
}

func selectors(t *testing.T, expr string) []*parser.VectorSelector {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(Substitute(expr))
	if err != nil {
		t.Errorf("%s: %v", expr, err)
		return nil
	}
	var found []*parser.VectorSelector
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			found = append(found, s)
		}
		return nil
	})
	return found
}

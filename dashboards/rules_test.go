package dashboards

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"go.yaml.in/yaml/v3"
)

var identifier = regexp.MustCompile(`[a-zA-Z_][a-zA-Z0-9_:]*`)

// usedMetrics are the names in the panels' queries and in the rules.
func usedMetrics(all []Dashboard, rules []rule) map[string]bool {
	used := map[string]bool{}
	add := func(expr string) {
		for _, name := range identifier.FindAllString(expr, -1) {
			used[name] = true
		}
	}
	for _, d := range all {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				add(target.Expr)
			}
		}
	}
	for _, r := range rules {
		add(r.Expr)
	}
	return used
}

// rule is a shipped rule.
type rule struct {
	Record string            `yaml:"record"`
	Alert  string            `yaml:"alert"`
	Expr   string            `yaml:"expr"`
	Labels map[string]string `yaml:"labels"`
}

func shippedRules(t testing.TB) []rule {
	t.Helper()
	paths, err := filepath.Glob("../alerts/*.yml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no rules: %v", err)
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
			t.Fatal(err)
		}
		for _, group := range file.Groups {
			rules = append(rules, group.Rules...)
		}
	}
	return rules
}

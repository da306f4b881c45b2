package pack

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Suite is what tells about one rule: the rules that its tests need, and those tests.
type Suite struct {
	Rule *Rule
	// Hash changes with any rule or test in the suite.
	Hash string
	// Fires and Quiet count the checks that expect the alert and those that expect none.
	Fires, Quiet, Tests int

	pack  *Pack
	rules []*Rule
	tests map[string][]byte // by name of the file
}

// Suite returns the tests of a rule; Tests is 0 if there are none.
func (p *Pack) Suite(r *Rule) (*Suite, error) {
	affected := p.affected(r)
	s := &Suite{Rule: r, pack: p, rules: p.needed(affected), tests: map[string][]byte{}}
	var all []any
	for _, rule := range s.rules {
		all = append(all, rule.fields)
	}
	for _, file := range p.tests {
		var kept []any
		for _, test := range file.tests {
			if test = s.keep(test, affected); test != nil {
				kept = append(kept, test)
			}
		}
		if len(kept) == 0 {
			continue
		}
		fields := maps.Clone(file.fields)
		fields["tests"] = kept
		fields["rule_files"] = s.ruleFiles(file.ruleFiles)
		content, err := encode(fields)
		if err != nil {
			return nil, err
		}
		s.tests[filepath.Base(file.path)] = content
		all = append(all, fields)
	}
	s.Hash = hash(all)
	return s, nil
}

// keep returns a test with only those checks that the affected rules decide, nil without any.
func (s *Suite) keep(test map[string]any, affected []*Rule) map[string]any {
	var alerts, exprs []any
	for _, item := range list(test["alert_rule_test"]) {
		check, _ := item.(map[string]any)
		if !slices.ContainsFunc(affected, func(r *Rule) bool { return r.Name == check["alertname"] }) {
			continue
		}
		alerts = append(alerts, item)
		if len(list(check["exp_alerts"])) > 0 {
			s.Fires++
		} else {
			s.Quiet++
		}
	}
	for _, item := range list(test["promql_expr_test"]) {
		check, _ := item.(map[string]any)
		text := fmt.Sprint(check["expr"])
		if slices.ContainsFunc(affected, func(r *Rule) bool { return strings.Contains(text, r.Name) }) {
			exprs = append(exprs, item)
		}
	}
	if len(alerts)+len(exprs) == 0 {
		return nil
	}
	s.Tests++
	test = maps.Clone(test)
	delete(test, "alert_rule_test")
	delete(test, "promql_expr_test")
	if len(alerts) > 0 {
		test["alert_rule_test"] = alerts
	}
	if len(exprs) > 0 {
		test["promql_expr_test"] = exprs
	}
	return test
}

// ruleFiles are those of the files that hold a rule of the suite.
func (s *Suite) ruleFiles(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !slices.ContainsFunc(s.rules, func(r *Rule) bool { return r.File == name })
	})
}

// Write puts the suite into a folder, with the rule changed, and returns the test files.
func (s *Suite) Write(dir string, changed *Rule) ([]string, error) {
	for name, groups := range s.pack.groups {
		var out []any
		for _, g := range groups {
			var rules []any
			for _, r := range g.rules {
				if slices.Contains(s.rules, r) {
					rules = append(rules, s.fields(r, changed))
				}
			}
			if len(rules) > 0 {
				fields := maps.Clone(g.fields)
				fields["rules"] = rules
				out = append(out, fields)
			}
		}
		if len(out) == 0 {
			continue
		}
		content, err := encode(map[string]any{"groups": out})
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	var paths []string
	for name, content := range s.tests {
		path := filepath.Join(dir, "test-"+name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths, nil
}

func (s *Suite) fields(r, changed *Rule) map[string]any {
	if r != s.Rule {
		return r.fields
	}
	fields := maps.Clone(r.fields)
	for key, value := range map[string]string{"expr": changed.Expr, "for": changed.For, "keep_firing_for": changed.KeepFiringFor} {
		if delete(fields, key); value != "" {
			fields[key] = value
		}
	}
	return fields
}

func list(value any) []any { items, _ := value.([]any); return items }

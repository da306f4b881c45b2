package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// alert is a shipped alerting rule, as far as dashboards need it.
type alert struct {
	Name        string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
	group       string
}

// alerts are all shipped ones. Thresholds, severities and runbooks are taken from here, so that
// a dashboard cannot say another limit than the alert that speaks of it.
type alerts map[string]alert

// readAlerts reads alerts/*.yml.
func readAlerts(dir string) (alerts, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yml"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no rule files in %s: %w", dir, err)
	}
	all := alerts{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var file struct {
			Groups []struct {
				Name  string  `yaml:"name"`
				Rules []alert `yaml:"rules"`
			} `yaml:"groups"`
		}
		if err := yaml.Unmarshal(content, &file); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, group := range file.Groups {
			for _, a := range group.Rules {
				if a.Name != "" {
					a.group = group.Name
					all[a.Name] = a
				}
			}
		}
	}
	return all, nil
}

// named returns the alerts of a group whose names begin with the prefix, sorted.
func (all alerts) named(group, prefix string) []string {
	var names []string
	for name, a := range all {
		if a.group == group && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		panic("no alert " + group + "/" + prefix)
	}
	slices.Sort(names)
	return names
}

// limit is the line that an alert draws: bad where the value `op` value.
type limit struct {
	alert string
	color string
	op    parser.ItemType
	value float64
}

// limit finds the comparison with a constant in the alert's expression, of a left side that
// names the metric; the first one where metric is empty.
func (all alerts) limit(name, metric string) limit {
	a, ok := all[name]
	if !ok {
		panic("no alert " + name)
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(a.Expr)
	if err != nil {
		panic(name + ": " + err.Error())
	}
	found := limit{alert: name, color: severityColor(a.Labels["severity"])}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		e, ok := node.(*parser.BinaryExpr)
		if !ok || !e.Op.IsComparisonOperator() || found.op != 0 {
			return nil
		}
		value, constant := constant(e.RHS)
		if constant && names(e.LHS, metric) {
			found.op, found.value = e.Op, value
		}
		return nil
	})
	if found.op == 0 {
		panic(fmt.Sprintf("%s compares no %q with a number", name, metric))
	}
	return found
}

func severityColor(severity string) string {
	switch severity {
	case "critical":
		return "red"
	case "warning":
		return "orange"
	}
	return "blue"
}

// names reports whether the expression selects the metric.
func names(expr parser.Expr, metric string) bool {
	if metric == "" {
		return true
	}
	found := false
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok && s.Name == metric {
			found = true
		}
		return nil
	})
	return found
}

// constant evaluates arithmetic of numbers.
func constant(expr parser.Expr) (float64, bool) {
	switch e := expr.(type) {
	case *parser.NumberLiteral:
		return e.Val, true
	case *parser.ParenExpr:
		return constant(e.Expr)
	case *parser.BinaryExpr:
		left, ok := constant(e.LHS)
		right, also := constant(e.RHS)
		if !ok || !also {
			return 0, false
		}
		return arithmetic(e.Op, left, right)
	}
	return 0, false
}

func arithmetic(op parser.ItemType, left, right float64) (float64, bool) {
	switch op {
	case parser.MUL:
		return left * right, true
	case parser.ADD:
		return left + right, true
	case parser.SUB:
		return left - right, true
	case parser.DIV:
		return left / right, true
	case parser.POW:
		result := 1.0
		for range int(right) {
			result *= left
		}
		return result, true
	}
	return 0, false
}

package main

import (
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// comparison finds the first comparison of two vectors in the alert's expression whose left
// side names the metric, and narrows it to the chosen hosts.
func (all alerts) comparison(name, metric string) *parser.BinaryExpr {
	a, ok := all[name]
	if !ok {
		panic("no alert " + name)
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(a.Expr)
	if err != nil {
		panic(name + ": " + err.Error())
	}
	var found *parser.BinaryExpr
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			s.LabelMatchers = append(s.LabelMatchers, chosen(s.Name)...)
		}
		e, ok := node.(*parser.BinaryExpr)
		if !ok || !e.Op.IsComparisonOperator() || found != nil || !names(e.LHS, metric) || compares(e.LHS) {
			return nil
		}
		if _, number := constant(e.RHS); !number {
			found = e
		}
		return nil
	})
	if found == nil {
		panic(fmt.Sprintf("%s compares no %q with another series", name, metric))
	}
	return found
}

// compares reports whether there is a comparison in the expression: of `a <= b > c`, the one
// that draws the line is the first.
func compares(expr parser.Expr) bool {
	found := false
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if e, ok := node.(*parser.BinaryExpr); ok && e.Op.IsComparisonOperator() {
			found = true
		}
		return nil
	})
	return found
}

// chosen selects what expand writes for @, or for # and the job of another exporter's metric.
func chosen(metric string) []*labels.Matcher {
	job := "vulcan_exporter"
	if strings.Contains(metric, "node_") {
		job = "node"
	}
	return []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "job", job),
		labels.MustNewMatcher(labels.MatchRegexp, "instance", "$instance(:[0-9]+)?"),
	}
}

// share is how much of what an alert allows is used up: the alert's left side divided by its
// right side, which is not the same for all. At 1 the alert begins.
func (all alerts) share(name, metric string) (string, limit) {
	e := *all.comparison(name, metric)
	e.LHS, e.RHS = &parser.ParenExpr{Expr: e.LHS}, &parser.ParenExpr{Expr: e.RHS}
	e.Op = parser.DIV
	return e.String(), limit{name, severityColor(all[name].Labels["severity"]), parser.GTR, 1}
}

// left is how far an alert is away whose left side falls: left side minus right side. Below 0
// the alert holds.
func (all alerts) left(name, metric string) (string, limit) {
	e := *all.comparison(name, metric)
	e.LHS, e.RHS = &parser.ParenExpr{Expr: e.LHS}, &parser.ParenExpr{Expr: e.RHS}
	e.Op = parser.SUB
	return e.String(), limit{name, severityColor(all[name].Labels["severity"]), parser.LSS, 0}
}

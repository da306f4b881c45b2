package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// set is a set of label names. A nil set belongs to a scalar.
type set map[string]bool

// checker walks one expression bottom-up: it computes which labels the result has and notes
// what cannot match anything.
type checker struct {
	catalogue Catalogue
	problems  []string
}

// Check returns the labels of the expression's result and what is wrong with it.
func (c Catalogue) Check(expr string) (map[string]bool, []string) {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil, []string{err.Error()}
	}
	k := &checker{catalogue: c}
	result := k.labels(parsed)
	return result, k.problems
}

func (k *checker) problem(node parser.Node, format string, args ...any) {
	k.problems = append(k.problems, fmt.Sprintf(format, args...)+" in "+node.String())
}

func (k *checker) labels(expr parser.Expr) set {
	switch e := expr.(type) {
	case *parser.VectorSelector:
		return k.selector(e)
	case *parser.MatrixSelector:
		return k.labels(e.VectorSelector)
	case *parser.SubqueryExpr:
		return k.labels(e.Expr)
	case *parser.ParenExpr:
		return k.labels(e.Expr)
	case *parser.UnaryExpr:
		return k.labels(e.Expr)
	case *parser.StepInvariantExpr:
		return k.labels(e.Expr)
	case *parser.AggregateExpr:
		return k.aggregate(e)
	case *parser.Call:
		return k.call(e)
	case *parser.BinaryExpr:
		return k.binary(e)
	}
	return nil
}

func (k *checker) selector(e *parser.VectorSelector) set {
	m, ok := k.catalogue.lookup(e.Name)
	if !ok {
		k.problem(e, "nobody declares the metric %q", e.Name)
		return set{"job": true, "instance": true}
	}
	result := set{"job": true, "instance": true}
	for _, name := range m.Labels {
		result[name] = true
	}
	for _, matcher := range e.LabelMatchers {
		values, closed := m.Values[matcher.Name]
		switch {
		case matcher.Name == labels.MetricName, matcher.Name == "instance":
		case matcher.Name == "job":
			k.values(e, matcher, k.catalogue.Jobs)
		case !result[matcher.Name]:
			k.problem(e, "%s has no label %q", m.Name, matcher.Name)
		case closed:
			k.values(e, matcher, values)
		}
	}
	return result
}

// values notes a matcher that fits none of the values that exist, or excludes one that never does.
func (k *checker) values(e parser.Node, matcher *labels.Matcher, known []string) {
	positive := *matcher
	if matcher.Type == labels.MatchNotEqual || matcher.Type == labels.MatchNotRegexp {
		inverse, err := matcher.Inverse()
		if err != nil {
			k.problem(e, "%v", err)
			return
		}
		positive = *inverse
	}
	if !slices.ContainsFunc(known, positive.Matches) {
		k.problem(e, "%s fits none of %v", matcher, known)
	}
}

func (k *checker) aggregate(e *parser.AggregateExpr) set {
	inner := k.labels(e.Expr)
	result := set{}
	if e.Without {
		maps.Copy(result, inner)
	}
	for _, name := range e.Grouping {
		if !inner[name] {
			k.problem(e, "no label %q to group by", name)
		}
		if e.Without {
			delete(result, name)
		} else {
			result[name] = true
		}
	}
	if e.Op == parser.TOPK || e.Op == parser.BOTTOMK {
		return inner
	}
	return result
}

// ofCounters are the functions that mean nothing on a gauge.
var ofCounters = []string{"rate", "irate", "increase", "resets"}

func (k *checker) call(e *parser.Call) set {
	if e.Func.ReturnType == parser.ValueTypeScalar {
		for _, arg := range e.Args {
			k.labels(arg)
		}
		return nil
	}
	result := set{}
	for _, arg := range e.Args {
		maps.Copy(result, k.labels(arg))
	}
	switch name := e.Func.Name; {
	case slices.Contains(ofCounters, name):
		k.counters(e)
	case name == "absent" || name == "absent_over_time":
		return equalities(e.Args[0])
	case name == "histogram_quantile":
		delete(result, "le")
	case name == "label_replace" || name == "label_join":
		result[strings.Trim(e.Args[1].String(), `"`)] = true
	}
	return result
}

func (k *checker) counters(e *parser.Call) {
	matrix, ok := e.Args[0].(*parser.MatrixSelector)
	if !ok {
		return
	}
	selector := matrix.VectorSelector.(*parser.VectorSelector)
	if m, ok := k.catalogue.lookup(selector.Name); ok && m.Type == "gauge" {
		k.problem(e, "%s of a gauge", e.Func.Name)
	}
}

// equalities are the labels that absent() gives to its result.
func equalities(arg parser.Expr) set {
	result := set{}
	parser.Inspect(arg, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			for _, matcher := range selector.LabelMatchers {
				if matcher.Type == labels.MatchEqual && matcher.Name != labels.MetricName {
					result[matcher.Name] = true
				}
			}
		}
		return nil
	})
	return result
}

func (k *checker) binary(e *parser.BinaryExpr) set {
	left, right := k.labels(e.LHS), k.labels(e.RHS)
	switch {
	case left == nil:
		return right
	case right == nil:
		return left
	case e.Op == parser.LOR:
		result := maps.Clone(left)
		maps.Copy(result, right)
		return result
	}
	k.matching(e, left, right)
	result := maps.Clone(left)
	match := e.VectorMatching
	switch {
	case e.Op == parser.LAND || e.Op == parser.LUNLESS:
	case match.Card == parser.CardManyToOne:
		for _, name := range match.Include {
			result[name] = true
		}
	case match.Card == parser.CardOneToMany:
		result = maps.Clone(right)
	case match.On:
		result = set{}
		for _, name := range match.MatchingLabels {
			result[name] = true
		}
	default:
		for _, name := range match.MatchingLabels {
			delete(result, name)
		}
	}
	return result
}

// matching notes two sides that can never have equal labels: the result is empty, silently.
func (k *checker) matching(e *parser.BinaryExpr, left, right set) {
	match := e.VectorMatching
	if match.On {
		for _, name := range match.MatchingLabels {
			if !left[name] || !right[name] {
				k.problem(e, "on (%s): not a label of both sides", name)
			}
		}
		return
	}
	for name := range union(left, right) {
		if left[name] != right[name] && !slices.Contains(match.MatchingLabels, name) {
			k.problem(e, "only one side has the label %q, nothing can match", name)
		}
	}
}

func union(a, b set) set {
	result := maps.Clone(a)
	maps.Copy(result, b)
	return result
}

// lookup also finds the series of a histogram or summary.
func (c Catalogue) lookup(name string) (Metric, bool) {
	if m, ok := c.Metrics[name]; ok {
		if m.Type == "summary" {
			m.Labels = append(slices.Clone(m.Labels), "quantile")
		}
		return m, true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		base, cut := strings.CutSuffix(name, suffix)
		m, ok := c.Metrics[base]
		if !cut || !ok || (m.Type != "histogram" && m.Type != "summary") {
			continue
		}
		m.Type = "counter"
		if suffix == "_bucket" {
			m.Labels = append(slices.Clone(m.Labels), "le")
		}
		return m, true
	}
	return Metric{}, false
}

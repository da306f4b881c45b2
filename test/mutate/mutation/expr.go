package mutation

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// walk makes the mutants of an expression and of all below it.
func (m *mutator) walk(slot *parser.Expr) {
	switch e := (*slot).(type) {
	case *parser.BinaryExpr:
		m.binary(slot, e)
		m.walk(&e.LHS)
		m.walk(&e.RHS)
	case *parser.AggregateExpr:
		m.aggregate(e)
		if e.Param != nil {
			m.walk(&e.Param)
		}
		m.walk(&e.Expr)
	case *parser.Call:
		m.call(e)
		for i := range e.Args {
			m.walk(&e.Args[i])
		}
	case *parser.ParenExpr:
		m.walk(&e.Expr)
	case *parser.UnaryExpr:
		m.walk(&e.Expr)
	case *parser.SubqueryExpr:
		m.span("window", e, &e.Range)
		m.span("offset", e, &e.OriginalOffset)
		m.walk(&e.Expr)
	case *parser.MatrixSelector:
		m.span("window", e, &e.Range)
		m.walk(&e.VectorSelector)
	case *parser.VectorSelector:
		m.selector(e)
	case *parser.NumberLiteral:
		m.number(e)
	}
}

// operators are what each one is mistaken for: first the boundary, then the direction.
var operators = map[parser.ItemType][]parser.ItemType{
	parser.GTR:     {parser.GTE, parser.LSS},
	parser.GTE:     {parser.GTR, parser.LTE},
	parser.LSS:     {parser.LTE, parser.GTR},
	parser.LTE:     {parser.LSS, parser.GTE},
	parser.EQLC:    {parser.NEQ},
	parser.NEQ:     {parser.EQLC},
	parser.ADD:     {parser.SUB},
	parser.SUB:     {parser.ADD},
	parser.MUL:     {parser.DIV},
	parser.DIV:     {parser.MUL},
	parser.MOD:     {parser.DIV},
	parser.POW:     {parser.MUL},
	parser.LAND:    {parser.LOR, parser.LUNLESS},
	parser.LOR:     {parser.LAND, parser.LUNLESS},
	parser.LUNLESS: {parser.LAND, parser.LOR},
}

func (m *mutator) binary(slot *parser.Expr, e *parser.BinaryExpr) {
	for _, op := range operators[e.Op] {
		other := *e
		other.Op, other.LHS, other.RHS = op, enclosed(e.LHS), enclosed(e.RHS)
		m.swap(slot, e, &other)
	}
	switch e.Op {
	case parser.LOR:
		m.drop(slot, e.LHS, "or, left side")
		m.drop(slot, e.RHS, "or, right side")
	case parser.LAND, parser.LUNLESS:
		m.drop(slot, e.LHS, e.Op.String()+" and its right side")
	}
	if e.VectorMatching == nil {
		return
	}
	right := e.Op.String() + " " + short(e.RHS)
	m.labels("matching", right, &e.VectorMatching.MatchingLabels)
	m.labels("included", right, &e.VectorMatching.Include)
}

// swap shows the operator between what is next to it.
func (m *mutator) swap(slot *parser.Expr, e, other *parser.BinaryExpr) {
	kind := "set operator"
	switch {
	case e.Op.IsComparisonOperator():
		kind = "comparison"
	case !e.Op.IsSetOperator():
		kind = "arithmetic"
	}
	change := fmt.Sprintf("%s -> %s between %s and %s", e.Op, other.Op, short(e.LHS), short(e.RHS))
	m.try(kind, change, func() { *slot = other }, func() { *slot = e })
}

// drop leaves one side of a set operator.
func (m *mutator) drop(slot *parser.Expr, left parser.Expr, what string) {
	before := *slot
	m.try("clause dropped", what+"; left is "+short(left), func() { *slot = enclosed(left) }, func() { *slot = before })
}

func enclosed(e parser.Expr) parser.Expr {
	if _, binary := e.(*parser.BinaryExpr); binary {
		return &parser.ParenExpr{Expr: e}
	}
	return e
}

// labels drops each label of a list.
func (m *mutator) labels(kind, where string, list *[]string) {
	all := *list
	for i, name := range all {
		fewer := slices.Delete(slices.Clone(all), i, i+1)
		m.try(kind, fmt.Sprintf("%s dropped from (%s) of %s", name, strings.Join(all, ", "), where),
			func() { *list = fewer }, func() { *list = all })
	}
}

var aggregations = map[parser.ItemType][]parser.ItemType{
	parser.SUM:     {parser.MAX, parser.COUNT},
	parser.MAX:     {parser.MIN, parser.SUM},
	parser.MIN:     {parser.MAX},
	parser.AVG:     {parser.MAX, parser.MIN},
	parser.COUNT:   {parser.SUM},
	parser.TOPK:    {parser.BOTTOMK},
	parser.BOTTOMK: {parser.TOPK},
}

func (m *mutator) aggregate(e *parser.AggregateExpr) {
	for _, op := range aggregations[e.Op] {
		set(m, "aggregation", e, &e.Op, op)
	}
	m.labels("grouping", short(e), &e.Grouping)
}

var functions = map[string]string{
	"rate": "increase", "increase": "rate", "delta": "increase", "deriv": "delta",
	"changes": "resets", "resets": "changes",
	"max_over_time": "min_over_time", "min_over_time": "max_over_time", "avg_over_time": "max_over_time",
	"sum_over_time": "count_over_time", "count_over_time": "sum_over_time", "last_over_time": "max_over_time",
	"clamp_max": "clamp_min", "clamp_min": "clamp_max",
	"ceil": "floor", "floor": "ceil",
}

func (m *mutator) call(e *parser.Call) {
	if other, ok := parser.Functions[functions[e.Func.Name]]; ok {
		set(m, "function", e, &e.Func, other)
	}
}

// span halves and doubles a length of time.
func (m *mutator) span(kind string, node parser.Expr, d *time.Duration) {
	if *d == 0 {
		return
	}
	set(m, kind, node, d, *d/2)
	set(m, kind, node, d, *d*2)
}

// number moves a threshold by a tenth, a small whole number by one.
func (m *mutator) number(e *parser.NumberLiteral) {
	step := math.Abs(e.Val) / 10
	if e.Val == math.Trunc(e.Val) && math.Abs(e.Val) <= 10 {
		step = 1
	}
	for _, value := range []float64{e.Val + step, e.Val - step} {
		// 0.9 + 0.09 as somebody would write it, without the binary rest
		if value, err := strconv.ParseFloat(strconv.FormatFloat(value, 'g', 6, 64), 64); err == nil {
			set(m, "threshold", parser.Expr(e), &e.Val, value)
		}
	}
}

func (m *mutator) selector(e *parser.VectorSelector) {
	m.rename(e)
	m.span("offset", e, &e.OriginalOffset)
	if e.OriginalOffset != 0 {
		set(m, "offset", parser.Expr(e), &e.OriginalOffset, 0)
	}
	all := e.LabelMatchers
	for i, matcher := range all {
		if matcher.Name == labels.MetricName {
			continue
		}
		m.matchers("matcher dropped", e, matcher.String(), slices.Delete(slices.Clone(all), i, i+1))
		for _, other := range altered(matcher) {
			changed := slices.Clone(all)
			changed[i] = other
			m.matchers("matcher altered", e, matcher.String()+" -> "+other.String(), changed)
		}
	}
}

// rename gives another name to the metric, which the parser holds as a matcher as well.
func (m *mutator) rename(e *parser.VectorSelector) {
	name, all := e.Name, e.LabelMatchers
	other := slices.DeleteFunc(slices.Clone(all), func(l *labels.Matcher) bool { return l.Name == labels.MetricName })
	m.try("metric renamed", short(e)+" -> "+name+"_renamed",
		func() { e.Name, e.LabelMatchers = name+"_renamed", other },
		func() { e.Name, e.LabelMatchers = name, all })
}

func (m *mutator) matchers(kind string, e *parser.VectorSelector, change string, other []*labels.Matcher) {
	all := e.LabelMatchers
	m.try(kind, e.Name+": "+change, func() { e.LabelMatchers = other }, func() { e.LabelMatchers = all })
}

// altered is the opposite matcher, and for a list of alternatives each list without one.
func altered(matcher *labels.Matcher) []*labels.Matcher {
	var result []*labels.Matcher
	if inverse, err := matcher.Inverse(); err == nil {
		result = append(result, inverse)
	}
	alternatives := strings.Split(matcher.Value, "|")
	if matcher.Type == labels.MatchEqual || matcher.Type == labels.MatchNotEqual || len(alternatives) == 1 {
		return result
	}
	for i := range alternatives {
		fewer := strings.Join(slices.Delete(slices.Clone(alternatives), i, i+1), "|")
		if other, err := labels.NewMatcher(matcher.Type, matcher.Name, fewer); err == nil {
			result = append(result, other)
		}
	}
	return result
}

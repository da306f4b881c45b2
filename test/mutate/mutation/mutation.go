// Package mutation makes the small mistakes that somebody could make in a rule: another operator,
// a threshold a tenth off, a matcher too few, half the window. A test that still passes with one
// of them does not protect against it.
package mutation

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"vulcan.lan/vulcan_exporter/test/mutate/pack"
)

// Mutant is a rule with one mistake.
type Mutant struct {
	// Rule, Kind and Change name it for ever: no positions, only what is replaced by what.
	Rule   string `yaml:"rule" json:"rule"`
	Kind   string `yaml:"kind" json:"kind"`
	Change string `yaml:"change" json:"change"`

	Changed pack.Rule `yaml:"-" json:"-"`
}

// String is the name on one line.
func (m Mutant) String() string { return fmt.Sprintf("%s: %s: %s", m.Rule, m.Kind, m.Change) }

// mutator collects the mutants of one rule.
type mutator struct {
	rule *pack.Rule
	root parser.Expr
	// seen are the expressions so far, as the parser prints them: what it prints alike is alike.
	seen  map[string]bool
	names map[string]int
	out   []Mutant
	// same counts mutants that are the rule itself or an earlier mutant, invalid those that do
	// not parse: neither says anything about the tests.
	same, invalid int
}

// Result is what All found.
type Result struct {
	Mutants       []Mutant
	Same, Invalid int
}

// All returns the mutants of a rule, always in the same order.
func All(r *pack.Rule) (Result, error) {
	root, err := pack.Parse(r.Expr)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", r.Name, err)
	}
	m := &mutator{rule: r, root: root, seen: map[string]bool{root.String(): true}, names: map[string]int{}}
	m.walk(&m.root)
	err = m.durations()
	return Result{m.out, m.same, m.invalid}, err
}

// try notes the expression as it is between apply and undo, unless it is known.
func (m *mutator) try(kind, change string, apply, undo func()) {
	apply()
	text := m.root.String()
	undo()
	parsed, err := pack.Parse(text)
	if err != nil {
		m.invalid++
		return
	}
	if text = parsed.String(); m.seen[text] {
		m.same++
		return
	}
	m.seen[text] = true
	changed := *m.rule
	changed.Expr = text
	m.add(kind, change, changed)
}

func (m *mutator) add(kind, change string, changed pack.Rule) {
	m.names[kind+change]++
	if n := m.names[kind+change]; n > 1 {
		change += fmt.Sprintf(" (%d)", n)
	}
	m.out = append(m.out, Mutant{Rule: m.rule.Name, Kind: kind, Change: change, Changed: changed})
}

// replace tries another expression in the place of one.
func (m *mutator) replace(kind string, slot *parser.Expr, other parser.Expr) {
	before := *slot
	m.try(kind, short(before)+" -> "+short(other), func() { *slot = other }, func() { *slot = before })
}

// set tries another value of a field of a node, and shows the change of the whole node.
func set[T any](m *mutator, kind string, node parser.Expr, field *T, value T) {
	before, from := *field, short(node)
	*field = value
	to := short(node)
	*field = before
	m.try(kind, from+" -> "+to, func() { *field = value }, func() { *field = before })
}

func short(node parser.Expr) string {
	text := []rune(strings.Join(strings.Fields(node.String()), " "))
	if len(text) > 90 {
		return string(text[:60]) + " ... " + string(text[len(text)-25:])
	}
	return string(text)
}

// addedFor is given to alerts that fire at once.
const addedFor = "5m"

func (m *mutator) durations() error {
	if m.rule.Record {
		return nil
	}
	if m.rule.For == "" {
		changed := *m.rule
		changed.For = addedFor
		m.add("for", "none -> "+addedFor, changed)
	}
	for _, field := range []struct {
		kind string
		of   func(*pack.Rule) *string
	}{
		{"for", func(r *pack.Rule) *string { return &r.For }},
		{"keep_firing_for", func(r *pack.Rule) *string { return &r.KeepFiringFor }},
	} {
		text := *field.of(m.rule)
		if text == "" {
			continue
		}
		value, err := model.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", m.rule.Name, field.kind, err)
		}
		for _, other := range []time.Duration{time.Duration(value) / 2, time.Duration(value) * 2} {
			changed := *m.rule
			*field.of(&changed) = model.Duration(other).String()
			m.add(field.kind, text+" -> "+model.Duration(other).String(), changed)
		}
	}
	return nil
}

// Package transform rewrites JSON so that a strictly typed reader accepts it.
//
// A table of rules names, for each endpoint of the OPNsense API, the fields
// whose type varies between firmware versions and the type that
// opnsense-exporter (https://github.com/AthennaMind/opnsense-exporter) decodes
// them into. The rewrite is a single pass over the bytes: what no rule names is
// copied as it is, so key order, unknown fields, white space and the text of
// every number survive. Nothing is decoded into a tree.
//
// A value that was not there is never made up unless a rule says so, and then
// it is reported as injected.
package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Want is the JSON type that the reader of a field expects.
type Want string

// The wanted types and what is made of other ones.
const (
	// String takes true as "1", false as "0" and a number as its decimal text.
	String Want = "string"
	// Int takes a decimal text, true as 1 and false as 0. A number that no
	// 64-bit integer holds, and an empty text, are unknown: null.
	Int Want = "int"
	// Number is Int for floating point.
	Number Want = "number"
	// Bool takes "1", 1 and "true" as true; "0", 0, "false" and "" as false.
	Bool Want = "bool"
	// Object takes an empty array, which is how PHP encodes an empty map.
	Object Want = "object"
	// Array takes an empty object.
	Array Want = "array"
)

var wants = []Want{String, Int, Number, Bool, Object, Array}

// Rule is one row of the table.
type Rule struct {
	// Endpoint is a path below /api/, such as core/system/status.
	Endpoint string
	// Path is the field: keys joined by dots, * for any other key, [] for the
	// elements of an array: rows[].priority, interfaces.*.*. Keys are matched
	// as encoding/json does, without regard to case.
	Path string
	Want Want
	// Values maps scalars, by their text, to JSON. It comes before Want.
	Values map[string]string
	// Inject is JSON for a field that is null, "" or missing from an object
	// that is there; parents below the first one are made too. Empty: none.
	Inject string
}

// Table is a compiled set of rules.
type Table struct{ programs map[string]*Program }

// For returns the program of an endpoint, nil where no rule is about it.
func (t *Table) For(endpoint string) *Program { return t.programs[Canonical(endpoint)] }

// Canonical makes one spelling of an endpoint: OPNsense's router accepts
// search_gateway and searchGateway alike.
func Canonical(endpoint string) string {
	return strings.ToLower(strings.ReplaceAll(endpoint, "_", ""))
}

// Program rewrites the bodies of one endpoint.
type Program struct {
	root   *node
	fields []string
}

// Fields are the paths of the program's rules, by their index in a Report.
func (p *Program) Fields() []string { return p.fields }

// node is one position in the JSON that some rule's path leads to or through.
type node struct {
	rule   int // index of the rule that ends here, -1 if none
	want   Want
	values map[string]string
	inject string

	keys     map[string]*node // by lower-case key
	byLength [][]edge         // keys again, as they are looked up
	others   *node            // any other key
	items    *node            // elements of an array
	required []required       // what is added where it is missing
	made     bool             // the node itself may have to be added
}

type edge struct {
	key   string
	child *node
}

// required is a key that an object must have.
type required struct {
	key   string // as the rule spells it
	child *node
	raw   string // JSON to add
	rules []int  // the rules that this serves
}

const (
	maxKey      = 64 // longest key that a rule may name
	maxRequired = 64 // most keys injected into one object: a bit of a word each
)

// Compile checks rules and prepares them. A later rule about the same field
// takes the place of an earlier one.
func Compile(rules []Rule) (*Table, error) {
	t := &Table{programs: map[string]*Program{}}
	var errs []error
	for _, r := range rules {
		if err := r.Check(); err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", r.Endpoint, r.Path, err))
			continue
		}
		key := Canonical(r.Endpoint)
		if t.programs[key] == nil {
			t.programs[key] = &Program{root: newNode()}
		}
		if !t.programs[key].add(r) {
			errs = append(errs, fmt.Errorf("%s %s: more than %d injected keys in one object", r.Endpoint, r.Path, maxRequired))
		}
	}
	for _, p := range t.programs {
		p.root.inherit()
		p.root.index()
		p.root.require()
	}
	return t, errors.Join(errs...)
}

// Check says what is wrong with a rule.
func (r Rule) Check() error {
	segments, err := split(r.Path)
	if err != nil {
		return err
	}
	if !slices.Contains(wants, r.Want) {
		return fmt.Errorf("expected a type of %v, found %q", wants, r.Want)
	}
	for text, raw := range r.Values {
		if !json.Valid([]byte(raw)) {
			return fmt.Errorf("the value for %q is not JSON: %s", text, raw)
		}
		if again, ok := r.Values[strings.Trim(raw, `"`)]; ok && again != raw {
			return fmt.Errorf("%q becomes %s and that becomes %s: no end", text, raw, again)
		}
		if !r.Want.is(raw) {
			return fmt.Errorf("the value %s for %q is no %s", raw, text, r.Want)
		}
	}
	if r.Inject != "" && (!r.Want.is(r.Inject) || r.Inject == `""`) {
		return fmt.Errorf("%s cannot be injected as %s", r.Inject, r.Want)
	}
	if last := segments[len(segments)-1]; r.Inject != "" && (last == "*" || last == "[]") {
		return errors.New("only a key can be injected")
	}
	return nil
}

// is tells whether raw is JSON of this type.
func (w Want) is(raw string) bool {
	var v any
	if json.Unmarshal([]byte(raw), &v) != nil {
		return false
	}
	switch w {
	case String:
		_, ok := v.(string)
		return ok
	case Int:
		normal, ok := integer(raw)
		return ok && normal == raw
	case Number:
		_, ok := v.(float64)
		return ok
	case Bool:
		_, ok := v.(bool)
		return ok
	case Object:
		return raw == "{}"
	case Array:
		return raw == "[]"
	}
	return false
}

// split parts rows[].name into rows, [], name.
func split(path string) ([]string, error) {
	var out []string
	for _, part := range strings.Split(strings.ReplaceAll(path, "[]", ".[]"), ".") {
		if part == "" && len(out) == 0 && strings.HasPrefix(path, "[]") {
			continue
		}
		if part == "" || len(part) > maxKey {
			return nil, fmt.Errorf("expected keys of 1 to %d bytes joined by dots, found %q", maxKey, path)
		}
		out = append(out, part)
	}
	return out, nil
}

func newNode() *node { return &node{rule: -1} }

// add takes a checked rule in; false where it injects too much.
func (p *Program) add(r Rule) bool {
	segments, _ := split(r.Path)
	at, fits := p.root, true
	for i, s := range segments {
		next := at.step(s)
		leaf := i == len(segments)-1
		if r.Inject != "" && s != "*" && s != "[]" && (leaf || i > 0) {
			at.must(s, next)
		}
		fits = fits && len(at.required) <= maxRequired
		at = next
	}
	index := slices.Index(p.fields, r.Path)
	if index < 0 {
		index = len(p.fields)
		p.fields = append(p.fields, r.Path)
	}
	at.rule, at.want, at.values, at.inject = index, r.Want, r.Values, r.Inject
	return fits
}

func (n *node) step(segment string) *node {
	place := &n.others
	switch segment {
	case "*":
	case "[]":
		place = &n.items
	default:
		if n.keys == nil {
			n.keys = map[string]*node{}
		}
		key := strings.ToLower(segment)
		if n.keys[key] == nil {
			n.keys[key] = newNode()
		}
		return n.keys[key]
	}
	if *place == nil {
		*place = newNode()
	}
	return *place
}

// must notes that a key may have to be added; require works out with what.
func (n *node) must(key string, child *node) {
	for _, r := range n.required {
		if r.child == child {
			return
		}
	}
	child.made = true
	n.required = append(n.required, required{key: key, child: child})
}

package transform

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// inherit gives each named key what the rules say of any other key, where no
// rule of its own says it.
func (n *node) inherit() {
	if n == nil {
		return
	}
	for _, child := range n.keys {
		child.merge(n.others)
		child.inherit()
	}
	n.others.inherit()
	n.items.inherit()
}

func (n *node) merge(from *node) {
	if from == nil {
		return
	}
	if n.rule < 0 {
		n.rule, n.want, n.values, n.inject = from.rule, from.want, from.values, from.inject
	}
	for key, child := range from.keys {
		n.step(key).merge(child)
	}
	if from.others != nil {
		n.step("*").merge(from.others)
	}
	if from.items != nil {
		n.step("[]").merge(from.items)
	}
	for _, r := range from.required {
		n.must(r.key, n.keys[strings.ToLower(r.key)])
	}
}

// index prepares the lookup of keys: few have the same length, so that is
// faster than hashing each one of a body.
func (n *node) index() {
	if n == nil {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(n.keys)) {
		for len(n.byLength) <= len(key) {
			n.byLength = append(n.byLength, nil)
		}
		n.byLength[len(key)] = append(n.byLength[len(key)], edge{key, n.keys[key]})
		n.keys[key].index()
	}
	n.others.index()
	n.items.index()
}

// require works out the JSON of what may have to be added, from the leaves up,
// and returns the node's own with the rules that it serves: none where there
// is nothing to inject.
func (n *node) require() (raw string, rules []int) {
	if n == nil {
		return "", nil
	}
	for _, child := range n.keys {
		child.require()
	}
	n.others.require()
	n.items.require()
	var members []string
	kept := n.required[:0]
	for _, r := range n.required {
		if r.raw, r.rules = r.child.require(); len(r.rules) == 0 {
			continue // a later rule about the field injects nothing
		}
		kept = append(kept, r)
		members, rules = append(members, quote(r.key)+":"+r.raw), append(rules, r.rules...)
	}
	n.required = kept
	if n.inject != "" {
		return n.inject, []int{n.rule}
	}
	return "{" + strings.Join(members, ",") + "}", rules
}

func quote(key string) string {
	raw, err := json.Marshal(key)
	if err != nil { // a string always marshals
		return `""`
	}
	return string(raw)
}

package main

import "github.com/prometheus/prometheus/promql/parser"

// lowest marks a limit below which a value is bad, atLeast one from which on it is.
const (
	lowest  = parser.LSS
	atLeast = parser.GTE
)

// some is the limit of a number of things in trouble: one is as bad as the alert that tells of
// each.
func some(all alerts, name string) limit {
	return limit{name, severityColor(all.get(name).Labels["severity"]), parser.GTE, 1}
}

// whole is the limit of the part of things that are well: below all, the alert tells of one.
func whole(all alerts, name string) limit {
	return limit{name, severityColor(all.get(name).Labels["severity"]), parser.LSS, 1}
}

func (all alerts) get(name string) alert {
	a, ok := all[name]
	if !ok {
		panic("no alert " + name)
	}
	return a
}

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/test/mutate/mutation"
)

// score is the result for one rule.
type score struct {
	Rule string `json:"rule"`
	File string `json:"file"`
	// Hash is that of the rule and its tests at the time.
	Hash string `json:"hash"`
	// Mutants exist, Ran and Killed (time-outs among them) say what was done to them. Same counts
	// those that are no mutants because the parser prints them like another.
	Mutants  int               `json:"mutants"`
	Ran      int               `json:"ran"`
	Killed   int               `json:"killed"`
	Same     int               `json:"same"`
	Survived []mutation.Mutant `json:"survived,omitempty"`
	TimedOut []mutation.Mutant `json:"timed_out,omitempty"`
}

type report struct {
	Rules    []*score
	known    explained
	problems []string
	duration time.Duration
}

// add is called by one goroutine at a time.
func (r *report) add(j job, v verdict) {
	s := j.score
	s.Ran++
	switch v {
	case timedOut:
		s.TimedOut = append(s.TimedOut, j.mutant)
		fallthrough
	case killed:
		s.Killed++
		if r.known.has(j.mutant) {
			r.problems = append(r.problems, "explained as a survivor, but a test kills it: "+j.mutant.String())
		}
	case survived:
		s.Survived = append(s.Survived, j.mutant)
		if !r.known.has(j.mutant) {
			r.problems = append(r.problems, "survived and is not explained: "+j.mutant.String())
		}
	}
}

func (r *report) total() score {
	var all score
	for _, s := range r.Rules {
		all.Mutants += s.Mutants
		all.Ran += s.Ran
		all.Killed += s.Killed
		all.Same += s.Same
		all.Survived = append(all.Survived, s.Survived...)
		all.TimedOut = append(all.TimedOut, s.TimedOut...)
	}
	all.Rule = "total"
	return all
}

// print shows a line for each rule, what survived and what hung.
func (r *report) print(w io.Writer) {
	for _, s := range append(slices.Clone(r.Rules), new(r.total())) {
		slices.SortFunc(s.Survived, func(a, b mutation.Mutant) int { return cmp.Compare(a.String(), b.String()) })
		_, _ = fmt.Fprintf(w, "%-40s %s\n", s.Rule, s)
	}
	all := r.total()
	list(w, "survived, as explained.yml says", slices.DeleteFunc(all.Survived, func(m mutation.Mutant) bool { return !r.known.has(m) }))
	list(w, "timed out", all.TimedOut)
	_, _ = fmt.Fprintf(w, "%d of %d mutants in %s, %d more are the same as another\n",
		all.Ran, all.Mutants, r.duration.Round(time.Second), all.Same)
}

func list(w io.Writer, title string, mutants []mutation.Mutant) {
	if len(mutants) == 0 {
		return
	}
	lines := make([]string, len(mutants))
	for i, m := range mutants {
		lines[i] = "  " + m.String()
	}
	slices.Sort(lines)
	_, _ = fmt.Fprintf(w, "%s:\n%s\n", title, strings.Join(lines, "\n"))
}

// String is the score in words.
func (s *score) String() string {
	if s.Ran == 0 {
		return "not run"
	}
	return fmt.Sprintf("%5.1f %% (%d of %d)", 100*float64(s.Killed)/float64(s.Ran), s.Killed, s.Ran)
}

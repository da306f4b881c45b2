package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxRows of one section are listed; the rest is counted.
const maxRows = 12

// section is what the page says about one domain.
type section struct {
	Title string
	Rows  []row
	More  int // rows beyond maxRows
	Well  int // things without trouble that are not listed
}

// row is one thing of a section.
type row struct {
	Subject string
	Labels  string // the other labels that identify it
	Source  string // ID of the source that says so
	AsOf    time.Time
	When    time.Time // of since and until rules; zero for flags
	Moment  string    // When in words
	Text    string
	Bad     bool
	urgency int // of the rule that says so, 0 first
	mending []string
}

// summarize applies the rules.
func summarize(have map[string][]sample, sources []sourceView, now time.Time) (sections []section, broken []trouble) {
	known := map[string]sourceView{}
	for _, v := range sources {
		known[v.ID()] = v
	}
	things := map[string]map[string]row{} // by section and by what they are
	told := map[string]string{}           // sections that tell a unit's trouble
	var titles []string
	for urgency, r := range rules {
		if len(have[r.metric]) == 0 {
			continue
		}
		if things[r.section] == nil {
			things[r.section] = map[string]row{}
			titles = append(titles, r.section)
		}
		for _, s := range have[r.metric] {
			if !r.selects(s) {
				continue
			}
			one := r.row(s, have, known, now)
			if one.Bad && r.unit() {
				if in, ok := told[one.Subject]; ok && in != r.section {
					continue
				}
				told[one.Subject] = r.section
			}
			one.urgency = urgency
			key := one.Subject + "\xff" + one.Labels
			before, seen := things[r.section][key]
			things[r.section][key] = merge(before, one, seen)
		}
	}
	for _, title := range titles {
		s, bad := newSection(title, things[title])
		sections, broken = append(sections, s), append(broken, bad...)
	}
	return sections, broken
}

// merge joins what is said of the same thing by two rules, or by one of its
// parts (the certificates of a chain): the first trouble, the earlier moment.
func merge(before, one row, seen bool) row {
	if !seen {
		return one
	}
	out, other := before, one
	if one.Bad && !before.Bad {
		out, other = one, before
	}
	if !other.When.IsZero() && (out.When.IsZero() || other.When.Before(out.When)) {
		out.When, out.Moment = other.When, other.Moment
	}
	return out
}

// newSection orders a section's things: trouble, then by moment, oldest or
// soonest first. Flags without trouble are only counted.
func newSection(title string, things map[string]row) (section, []trouble) {
	s := section{Title: title}
	var broken []trouble
	for _, r := range things {
		if !r.Bad && r.When.IsZero() {
			s.Well++
			continue
		}
		s.Rows = append(s.Rows, r)
	}
	slices.SortFunc(s.Rows, func(a, b row) int {
		if a.Bad != b.Bad {
			return map[bool]int{true: -1, false: 1}[a.Bad]
		}
		if a.Bad && a.urgency != b.urgency {
			return cmp.Compare(a.urgency, b.urgency)
		}
		return cmp.Or(a.When.Compare(b.When), strings.Compare(a.Subject, b.Subject), strings.Compare(a.Labels, b.Labels))
	})
	for _, r := range s.Rows {
		if r.Bad {
			broken = append(broken, r.trouble())
		}
	}
	if len(s.Rows) > maxRows {
		s.More = len(s.Rows) - maxRows
		s.Rows = s.Rows[:maxRows]
	}
	return s, broken
}

func (r row) trouble() trouble {
	t := trouble{What: r.Subject, Source: r.Source, Says: r.Subject + " " + r.Text, Mending: r.mending}
	if r.Moment != "" {
		t.Says += "; " + r.Moment
	}
	t.Says += "."
	if r.Labels != "" {
		t.What += " (" + r.Labels + ")"
	}
	if !r.AsOf.IsZero() {
		t.Says += fmt.Sprintf(" As of %s: the source that says so fails since.", r.AsOf.Format("Jan 2 15:04:05"))
	}
	return t
}

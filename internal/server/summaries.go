package server

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vulcan.lan/vulcan_exporter/internal/metric"
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

// sample is one series of a published family.
type sample struct {
	labels map[string]string
	value  float64
}

// samples reads the families that the page needs from their text form: the
// page says what /metrics says.
func samples(parts [][]metric.Family, logger *slog.Logger) map[string][]sample {
	needed := map[string]bool{reloadMetric: true, persistentMetric: true, corruptMetric: true}
	for _, r := range rules {
		for _, name := range []string{r.metric, r.allowed, r.needs.metric, r.given} {
			needed[name] = true
		}
	}
	out := map[string][]sample{}
	for _, families := range parts {
		for _, f := range families {
			if !needed[f.Desc.Name] {
				continue
			}
			found, err := parse(f)
			if err != nil {
				logger.Error("status page", "metric", f.Desc.Name, "err", err)
			}
			out[f.Desc.Name] = append(out[f.Desc.Name], found...)
		}
	}
	return out
}

func parse(f metric.Family) ([]sample, error) {
	encoded, err := f.Text()
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(slices.Concat(encoded.Header, encoded.Samples)))
	if err != nil {
		return nil, err
	}
	var out []sample
	for _, m := range families[f.Desc.Name].GetMetric() {
		labels := make(map[string]string, len(m.Label))
		for _, l := range m.Label {
			labels[l.GetName()] = l.GetValue()
		}
		out = append(out, sample{labels, number(m)})
	}
	return out, nil
}

func number(m *dto.Metric) float64 {
	if m.Counter != nil {
		return m.Counter.GetValue()
	}
	return m.Gauge.GetValue()
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

func (r rule) selects(s sample) bool {
	if !selects(r.where, s) {
		return false
	}
	for name, value := range r.except {
		if s.labels[name] == value {
			return false
		}
	}
	return true
}

func selects(where map[string]string, s sample) bool {
	for name, value := range where {
		if s.labels[name] != value {
			return false
		}
	}
	return true
}

// row reads one series.
func (r rule) row(s sample, have map[string][]sample, known map[string]sourceView, now time.Time) row {
	out := row{Subject: s.labels[r.labels[0]], mending: r.commands(s)}
	if r.labels[0] == "source" {
		out.Subject = r.collector + "/" + out.Subject
	}
	var more []string
	for _, name := range r.labels[1:] {
		if v := s.labels[name]; v != "" && v != out.Subject && (name != "source" || v != "default") {
			more = append(more, name+" "+v)
		}
	}
	out.Labels = strings.Join(more, ", ")
	for _, label := range []string{"source", "repository"} {
		if v, ok := known[r.collector+"/"+s.labels[label]]; ok {
			out.Source = v.ID()
			if v.bad() {
				out.AsOf = v.LastSuccess
			}
		}
	}
	moment := time.UnixMilli(int64(s.value * 1e3))
	switch r.kind {
	case flagged:
		out.Bad = s.value == r.bad
	case since:
		out.When, out.Moment = moment, r.moment+" "+span(now.Sub(moment))+" ago"
		for _, a := range have[r.allowed] {
			if r.same(a, s) {
				out.Bad = now.Sub(moment).Seconds() > r.factor*a.value
			}
		}
	case lacking:
		out.Bad = r.lacks(s, have)
	case until:
		out.When, out.Moment = moment, r.moment+" in "+span(moment.Sub(now))
		if moment.Before(now) {
			out.Moment = r.over + " " + span(now.Sub(moment)) + " ago"
		}
		out.Bad = moment.Sub(now) < r.margin
	}
	if out.Bad {
		out.Text = r.says
	}
	return out
}

// lacks tells whether nothing of what the series needs is there, and is known not to be.
func (r rule) lacks(s sample, have map[string][]sample) bool {
	known := slices.ContainsFunc(have[r.given], func(given sample) bool {
		return given.value == 1 && given.labels["source"] == s.labels["source"]
	})
	return known && !slices.ContainsFunc(have[r.needs.metric], func(needed sample) bool {
		return needed.value == 1 && selects(r.needs.where, needed) && r.same(needed, s)
	})
}

func (r rule) same(a, b sample) bool {
	for _, name := range append([]string{"source", "repository"}, r.labels...) {
		if a.labels[name] != b.labels[name] {
			return false
		}
	}
	return true
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

// commands fills in the labels; a command that needs one without a value is
// for another kind of thing.
func (r rule) commands(s sample) []string {
	var out []string
	for _, c := range r.mending {
		complete := true
		filled := placeholder.ReplaceAllStringFunc(c, func(p string) string {
			v := s.labels[p[1:len(p)-1]]
			complete = complete && v != ""
			return word(v)
		})
		if complete {
			out = append(out, filled)
		}
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

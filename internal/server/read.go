package server

import (
	"bytes"
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

package dashboards

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	hosts     = 2  // that are written
	times     = 10 // for 20: no query joins hosts, so what it touches grows with their number
	month     = 30 * 24 * time.Hour
	costStep  = 5 * time.Minute
	mostWrite = 15_000_000 // samples in Prometheus: minutes of writing; 30 million are the most that this may become
	mostCost  = 50_000_000 // samples that a query may touch there: Prometheus's own limit for those in memory
)

// BenchmarkQueryCost asks the dashboards' costliest queries about 30 days of hosts, written every
// 5 minutes: by what they touch on a day of one host, those whose series still fit into the samples
// that are written.
func BenchmarkQueryCost(b *testing.B) {
	all, err := Load(".")
	if err != nil {
		b.Fatal(err)
	}
	chosen, left := costliest(b, all)
	s := startPrometheus(b)
	end := time.Now().Truncate(coarse)
	used := map[string]bool{}
	for _, c := range chosen {
		for name := range c.metrics {
			used[name] = true
		}
	}
	var told []series
	for i := range hosts {
		host := fmt.Sprintf("host%02d", i)
		told = append(told, story(b, host, used)...)
		for _, alert := range []string{"ZFSPoolCapacityHigh", "MbsyncFailed"} {
			labels := labelSet{"__name__": "ALERTS", "alertname": alert, "alertstate": "firing", "severity": "warning", "instance": host + ":9847"}
			told = append(told, series{labels, is(1), 0})
			state := maps.Clone(labels)
			state["__name__"] = "ALERTS_FOR_STATE"
			delete(state, "alertstate")
			told = append(told, series{state, ahead(-3600), 0})
		}
	}
	began := time.Now()
	written := s.write(told, end.Add(-month), end, end, costStep)
	if written > mostWrite {
		b.Fatalf("%d samples written", written)
	}
	b.Logf("%d series, %d samples in %s; %d queries; left out, for their series: %v",
		len(told), written, time.Since(began).Round(time.Second), len(chosen), left)
	worst, slowest := 0, time.Duration(0)
	for b.Loop() {
		for _, c := range chosen {
			asked := time.Now()
			d := c.dashboard
			d.Time.From = fmt.Sprintf("now-%dh", int(month.Hours()))
			a := s.run(d, c.target, ".*", end)
			took := time.Since(asked)
			if a.Status != "success" {
				b.Errorf("%s: %s", c.name, a.Error)
			}
			total := times * a.Data.Stats.Samples.Total
			if total > mostCost {
				b.Errorf("%s touches %d samples in %s:\n%s", c.name, total, took, c.target.Expr)
			} else if total > worst || took > slowest {
				b.Logf("%s: %d samples, %s", c.name, total, took.Round(time.Millisecond))
			}
			worst, slowest = max(worst, total), max(slowest, took)
		}
	}
	b.ReportMetric(float64(worst), "samples/worst")
	b.ReportMetric(slowest.Seconds(), "s/slowest")
}

type costly struct {
	name      string
	dashboard Dashboard
	target    Target
	metrics   map[string]bool
	samples   int
}

// costliest ranks the queries on a day of one host, and takes from the top those whose metrics'
// series still fit, and the names of what did not.
func costliest(b *testing.B, all []Dashboard) ([]costly, []string) {
	s, end := seeded(b, all)
	known := map[string]bool{}
	for _, m := range declarations(b) {
		known[m.Name] = true
	}
	var ranked []costly
	for _, d := range all {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if target.Datasource.Type != "prometheus" {
					continue
				}
				c := costly{fmt.Sprintf("%s: %s %s", d.File, p.Title, target.RefID), d, target, map[string]bool{}, 0}
				for _, name := range identifier.FindAllString(target.Expr, -1) {
					for _, suffix := range []string{"", "_bucket", "_count"} {
						if base, _ := strings.CutSuffix(name, suffix); known[base] {
							c.metrics[name] = true
						}
					}
				}
				c.samples = s.run(d, target, ".*", end).Data.Stats.Samples.Total
				ranked = append(ranked, c)
			}
		}
	}
	slices.SortFunc(ranked, func(x, y costly) int { return y.samples - x.samples })
	room := mostWrite/hosts/int(month/costStep) - 10
	used := map[string]bool{}
	var chosen []costly
	var left []string
	for _, c := range ranked[:60] {
		with := maps.Clone(used)
		maps.Copy(with, c.metrics)
		// The series of up are always there.
		if len(story(b, host, with)) > room {
			left = append(left, fmt.Sprintf("%s (%d)", c.name, c.samples))
			continue
		}
		used = with
		chosen = append(chosen, c)
	}
	return chosen, left
}

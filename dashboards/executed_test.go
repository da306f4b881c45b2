package dashboards

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	host       = "vulcan" // of the story
	resolution = 2 * time.Minute
	length     = 26 * time.Hour // of the story: something must be a day old
	coarse     = 10 * time.Minute
	before     = 7 * 24 * time.Hour // of coarse points, for pictures of dashboards that show a week
	mostSeen   = 5_000_000          // samples that a query may touch on a day of one host; most touch some thousands
)

// empty are the queries that have no result for the host of the story, and why. For all hosts,
// those of the captured inputs included, there is no exception.
var empty = map[string]string{
	"certificates.json: Why is something wrong? B":  "each file can be read; the captured ones cannot",
	"monitoring.json: Which targets are down? A":    "none is; another host is down",
	"services.json: Which units have failed? A":     "none has; among the captured ones some have",
	"services.json: Which unit files are broken? A": "none is; among the captured ones some are",
}

// seeded is a Prometheus with a day of the story, three hours of what collectors made of
// captured inputs, and what the shipped rules make of both.
func seeded(t testing.TB, all []Dashboard) (*server, time.Time) {
	t.Helper()
	s := startPrometheus(t)
	end := time.Now().Truncate(coarse)
	rules := shippedRules(t)
	began := time.Now()
	told := story(t, host, usedMetrics(all, rules))
	captured := recorded(t, end)
	written := 0
	if os.Getenv(recordTo) != "" {
		until := end.Add(-length - coarse)
		written += s.write(told, end.Add(-before), until, end, coarse)
		s.evaluate(rules, end.Add(-before), until, coarse)
	}
	// Rules and panels need close points only where they look at minutes.
	fine := end.Add(-3 * time.Hour)
	if os.Getenv(recordTo) != "" {
		fine = end.Add(-length)
	}
	for _, part := range []struct {
		from, to time.Time
		step     time.Duration
	}{{end.Add(-length), fine.Add(-costStep), costStep}, {fine, end, resolution}} {
		if part.from.After(part.to) {
			continue
		}
		written += s.write(told, part.from, part.to, end, part.step)
		if part.to.Equal(end) {
			written += s.write(captured, end.Add(-time.Hour), end, end, resolution)
		}
		s.evaluate(rules, part.from, part.to, part.step)
	}
	t.Logf("%d series of the story, %d captured, %d samples, in %s", len(told), len(captured), written, time.Since(began).Round(time.Second))
	return s, end
}

// TestExecuted runs every query of every panel: none may fail, none be empty, none be costly.
func TestExecuted(t *testing.T) {
	all, err := Load(".")
	if err != nil {
		t.Fatal(err)
	}
	s, end := seeded(t, all)
	queries, panels, unneeded := 0, 0, map[string]bool{}
	answers := records{end: end, of: map[string]*record{}}
	for key := range empty {
		unneeded[key] = true
	}
	for _, chosen := range []string{".*", host} {
		for _, d := range all {
			for _, p := range d.Panels {
				if p.Type == "row" || p.Datasource.UID != "${datasource}" {
					continue
				}
				panels++
				shown := false
				for _, target := range p.Targets {
					queries++
					key := fmt.Sprintf("%s: %s %s", d.File, p.Title, target.RefID)
					a := s.run(d, target, chosen, end)
					if chosen == host {
						answers.add(d, p, a)
					}
					switch found := finite(a); {
					case a.Status != "success" || len(a.Warnings) > 0:
						t.Errorf("%s: %s %v\n%s", key, a.Error, a.Warnings, target.Expr)
					case found:
						shown = true
					case chosen == host && empty[key] != "":
						delete(unneeded, key)
						shown = true
					default:
						t.Errorf("%s: no result for hosts %q\n%s", key, chosen, target.Expr)
					}
					if a.Data.Stats.Samples.Total > mostSeen {
						t.Errorf("%s: touches %d samples", key, a.Data.Stats.Samples.Total)
					}
				}
				if !shown {
					t.Errorf("%s: %s is empty for hosts %q", d.File, p.Title, chosen)
				}
			}
		}
	}
	answers.write(t, "")
	for key := range unneeded {
		t.Errorf("%s is no longer empty", key)
	}
	t.Logf("%d queries of %d panels", queries, panels)
}

// run executes a query as Grafana does.
func (s *server) run(d Dashboard, target Target, chosen string, end time.Time) answer {
	expr := strings.NewReplacer("$__rate_interval", "8m", "$instance", chosen).Replace(target.Expr)
	if target.Instant {
		return s.now(expr, end)
	}
	span := d.span()
	return s.over(expr, end.Add(-span), end, step(span))
}

// span is the range that the dashboard shows at first.
func (d Dashboard) span() time.Duration {
	hours, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(d.Time.From, "now-"), "h"))
	if err != nil {
		return 0
	}
	return time.Duration(hours) * time.Hour
}

// step is how Grafana divides a range for a panel of 600 pixels.
func step(span time.Duration) time.Duration {
	return max(span/600, 30*time.Second).Truncate(time.Second)
}

// finite reports whether there is a value to draw.
func finite(a answer) bool {
	number := func(v any) bool {
		text, _ := v.(string)
		f, err := strconv.ParseFloat(text, 64)
		return err == nil && !math.IsNaN(f)
	}
	for _, result := range a.Data.Result {
		if number(result.Value[1]) {
			return true
		}
		for _, v := range result.Values {
			if number(v[1]) {
				return true
			}
		}
	}
	return false
}

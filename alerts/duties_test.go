package alerts

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The duties of an alert: what its unit tests have to show at least. Whether they would notice a
// rule that is wrong by a little is for test/mutate to find.
const (
	fires      = "fires"
	resolves   = "resolves in a test in which it fired before"
	quietBelow = "is quiet while its series are there"
	quietGone  = "is quiet without one of its series, for an instance or in the whole test (or tells that it is absent)"
	instances  = "tells one of several instances from another"
)

// duties are in the order of a report.
var duties = []string{fires, resolves, quietBelow, quietGone, instances}

func TestDuties(t *testing.T) {
	var tests []dutyTest
	for _, path := range glob(t, "tests/*.yml") {
		tests = append(tests, dutyTests(t, path)...)
	}
	records := recordings(t)
	for _, r := range alertsOf(t) {
		for name, expr := range records {
			if usesMetric(r, name) {
				r.Expr += " " + expr
			}
		}
		done := map[string]bool{}
		for _, test := range tests {
			maps.Copy(done, test.shows(r))
		}
		for _, duty := range duties {
			if !done[duty] {
				t.Errorf("%s: %s: no unit test shows that it %s", r.file, r.Alert, duty)
			}
		}
	}
}

// TestDutiesAreNoticed takes the duties away from a test one by one.
func TestDutiesAreNoticed(t *testing.T) {
	const complete = `
input_series:
  - {series: 'x{instance="a"}', values: "0 1x9 0x9"}
  - {series: 'x{instance="b"}', values: "0x20"}
  - {series: 'y{instance="c"}', values: "0x20"}
alert_rule_test:
  - {alertname: X, eval_time: 1m, exp_alerts: []}
  - {alertname: X, eval_time: 5m, exp_alerts: [{exp_labels: {instance: a}}]}
  - {alertname: X, eval_time: 15m, exp_alerts: []}
`
	rule := rule{Alert: "X", Expr: `x == 1`}
	for _, c := range []struct{ without, missing string }{
		{"", ""},
		{`  - {alertname: X, eval_time: 5m, exp_alerts: [{exp_labels: {instance: a}}]}`, fires},
		{`  - {alertname: X, eval_time: 15m, exp_alerts: []}`, resolves},
		{`  - {series: 'y{instance="c"}', values: "0x20"}`, quietGone},
		{`  - {series: 'x{instance="b"}', values: "0x20"}`, instances},
	} {
		var test dutyTest
		if err := yaml.Unmarshal([]byte(strings.Replace(complete, c.without, "", 1)), &test); err != nil {
			t.Fatal(err)
		}
		if done := test.shows(rule); len(done) == len(duties) != (c.missing == "") || done[c.missing] {
			t.Errorf("without %q it shows %v, want all but %q", c.without, done, c.missing)
		}
	}
}

// dutyTest is one unit test; alerts are looked at directly or as the series ALERTS.
type dutyTest struct {
	Series []struct {
		Series string `yaml:"series"`
	} `yaml:"input_series"`
	Alerts []struct {
		Alert string `yaml:"alertname"`
		Time  string `yaml:"eval_time"`
		Exp   []struct {
			Labels map[string]string `yaml:"exp_labels"`
		} `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
	Exprs []struct {
		Expr string `yaml:"expr"`
		Time string `yaml:"eval_time"`
		Exp  []struct {
			Labels string `yaml:"labels"`
		} `yaml:"exp_samples"`
	} `yaml:"promql_expr_test"`
}

// look is one check: the alerts that are to fire at that time.
type look struct {
	seconds float64
	firing  []map[string]string
}

func dutyTests(t *testing.T, path string) []dutyTest {
	var file struct {
		Tests []dutyTest `yaml:"tests"`
	}
	decode(t, path, &file, false)
	return file.Tests
}

var labelPair = regexp.MustCompile(`(\w+)="([^"]*)"`)

func labelsOf(text string) map[string]string {
	labels := map[string]string{}
	for _, pair := range labelPair.FindAllStringSubmatch(text, -1) {
		labels[pair[1]] = pair[2]
	}
	return labels
}

// looks are the checks of one alert by time.
func (test dutyTest) looks(alert string) []look {
	var all []look
	for _, check := range test.Alerts {
		if check.Alert == alert {
			l := look{seconds: seconds(check.Time)}
			for _, exp := range check.Exp {
				l.firing = append(l.firing, exp.Labels)
			}
			all = append(all, l)
		}
	}
	for _, check := range test.Exprs {
		if strings.Contains(check.Expr, fmt.Sprintf(`ALERTS{alertname="%s", alertstate="firing"}`, alert)) {
			l := look{seconds: seconds(check.Time)}
			for _, exp := range check.Exp {
				l.firing = append(l.firing, labelsOf(exp.Labels))
			}
			all = append(all, l)
		}
	}
	slices.SortStableFunc(all, func(a, b look) int { return int(a.seconds - b.seconds) })
	return all
}

var durationPart = regexp.MustCompile(`([0-9]+)(ms|[smhdwy])`)

// seconds of a duration of Prometheus.
func seconds(duration string) float64 {
	units := map[string]float64{"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
	total := 0.0
	for _, part := range durationPart.FindAllStringSubmatch(duration, -1) {
		n := 0.0
		_, _ = fmt.Sscan(part[1], &n)
		total += n * units[part[2]]
	}
	return total
}

// shows returns the duties that the test fulfils for a rule.
func (test dutyTest) shows(r rule) map[string]bool {
	done := map[string]bool{}
	looks := test.looks(r.Alert)
	if len(looks) == 0 {
		return done
	}
	names := map[string]bool{} // of the rule's metrics that have a series
	with := map[string]map[string]bool{}
	everybody := map[string]bool{} // instances of any series
	for _, s := range test.Series {
		name, labels, _ := strings.Cut(strings.TrimSpace(s.Series), "{")
		instance := labelsOf(labels)["instance"]
		everybody[instance] = true
		if usesMetric(r, name) {
			names[name] = true
			if with[name] == nil {
				with[name] = map[string]bool{}
			}
			with[name][instance] = true
		}
	}
	before := []map[string]string{}
	for _, l := range looks {
		firing := map[string]bool{}
		for _, labels := range l.firing {
			firing[labels["instance"]] = true
		}
		done[fires] = done[fires] || len(l.firing) > 0
		for _, labels := range before {
			gone := !slices.ContainsFunc(l.firing, func(now map[string]string) bool { return maps.Equal(now, labels) })
			done[resolves] = done[resolves] || gone
		}
		before = append(before, l.firing...)
		done[quietBelow] = done[quietBelow] || len(names) > 0 && (len(l.firing) == 0 || other(with, firing))
		absent := strings.Contains(r.Expr, "absent(") && len(l.firing) > 0
		done[quietGone] = done[quietGone] || absent || len(l.firing) == 0 && len(names) == 0 || lacks(with, everybody, firing)
		done[instances] = done[instances] || len(l.firing) > 0 && (len(firing) > 1 || other(with, firing))
	}
	maps.DeleteFunc(done, func(_ string, shown bool) bool { return !shown })
	return done
}

// other says whether an instance that has a series of the rule does not fire.
func other(with map[string]map[string]bool, firing map[string]bool) bool {
	for _, have := range with {
		for instance := range have {
			if !firing[instance] {
				return true
			}
		}
	}
	return false
}

// lacks says whether an instance that does not fire lacks a series of the rule.
func lacks(with map[string]map[string]bool, everybody, firing map[string]bool) bool {
	for instance := range everybody {
		for _, have := range with {
			if !firing[instance] && !have[instance] {
				return true
			}
		}
	}
	return false
}

// recordings are the recording rules.
func recordings(t *testing.T) map[string]string {
	records := map[string]string{}
	for _, path := range ruleFiles(t) {
		var file struct {
			Groups []struct {
				Rules []struct{ Record, Expr string } `yaml:"rules"`
			} `yaml:"groups"`
		}
		decode(t, path, &file, false)
		for _, group := range file.Groups {
			for _, r := range group.Rules {
				if r.Record != "" {
					records[r.Record] = r.Expr
				}
			}
		}
	}
	return records
}

func usesMetric(r rule, name string) bool {
	return regexp.MustCompile(`(^|[^\w:])` + regexp.QuoteMeta(name) + `($|[^\w:])`).MatchString(r.Expr)
}

package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// lintRule is one rule of Grafana's dashboard-linter (https://github.com/grafana/dashboard-linter,
// docs/rules), which cannot be told where a rule does not fit. Here an exception is part of the
// rule and has its reason beside it.
type lintRule struct {
	name  string
	check func(c Catalogue, d Dashboard) []string
}

// lintRules are all 17.
var lintRules = []lintRule{
	{"template-datasource-rule", templateDatasource},
	// A variable for the job is not needed: the rules name the jobs, and deploy/ has them.
	{"template-job-rule", noVariable("job")},
	{"template-instance-rule", templateInstance},
	{"template-label-promql-rule", templateValues},
	{"template-on-time-change-reload-rule", templateReload},
	{"panel-datasource-rule", eachPanel(panelDatasource)},
	{"panel-title-description-rule", eachPanel(panelTitle)},
	{"panel-units-rule", eachPanel(panelUnits)},
	{"panel-no-targets-rule", eachPanel(panelTargets)},
	{"target-promql-rule", eachQuery(targetPromQL)},
	// What Loki itself says of the queries is tested in dashboards/, where one runs.
	{"target-logql-rule", eachLog(targetLogQL)},
	{"target-logql-auto-rule", eachLog(targetLogQLAuto)},
	{"target-rate-interval-rule", eachQuery(targetRateInterval)},
	{"target-job-rule", eachQuery(targetJob)},
	{"target-instance-rule", eachQuery(targetInstance)},
	{"target-counter-agg-rule", eachQuery(targetCounter)},
	{"uneditable-dashboard", uneditable},
}

func eachPanel(check func(Panel) string) func(Catalogue, Dashboard) []string {
	return func(_ Catalogue, d Dashboard) []string {
		var problems []string
		for _, p := range d.Panels {
			if p.Type == "row" {
				continue
			}
			if problem := check(p); problem != "" {
				problems = append(problems, fmt.Sprintf("%q: %s", p.Title, problem))
			}
		}
		return problems
	}
}

func eachTarget(kind string, check func(Catalogue, Panel, string) []string) func(Catalogue, Dashboard) []string {
	return func(c Catalogue, d Dashboard) []string {
		var problems []string
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if target.Datasource.Type != kind {
					continue
				}
				for _, problem := range check(c, p, target.Expr) {
					problems = append(problems, fmt.Sprintf("%q: %s", p.Title, problem))
				}
			}
		}
		return problems
	}
}

func eachQuery(check func(Catalogue, Panel, string) []string) func(Catalogue, Dashboard) []string {
	return eachTarget("prometheus", check)
}

func eachLog(check func(Catalogue, Panel, string) []string) func(Catalogue, Dashboard) []string {
	return eachTarget("loki", check)
}

func variable(d Dashboard, name string) (Variable, bool) {
	i := slices.IndexFunc(d.Templating.List, func(v Variable) bool { return v.Name == name })
	if i < 0 {
		return Variable{}, false
	}
	return d.Templating.List[i], true
}

func templateDatasource(_ Catalogue, d Dashboard) []string {
	v, ok := variable(d, "datasource")
	if !ok || v.Type != "datasource" || v.Query != "prometheus" || v.Label == "" {
		return []string{"no variable datasource for Prometheus"}
	}
	for _, p := range d.Panels {
		if p.Datasource.UID == "${loki_datasource}" {
			if v, ok := variable(d, "loki_datasource"); !ok || v.Type != "datasource" || v.Query != "loki" {
				return []string{"no variable loki_datasource for Loki"}
			}
		}
	}
	return nil
}

func noVariable(name string) func(Catalogue, Dashboard) []string {
	return func(_ Catalogue, d Dashboard) []string {
		if _, ok := variable(d, name); ok {
			return []string{"a variable " + name + ", though the jobs are fixed"}
		}
		return nil
	}
}

func templateInstance(_ Catalogue, d Dashboard) []string {
	v, ok := variable(d, "instance")
	if !ok || v.Type != "query" || !v.Multi || v.AllValue != ".*" || v.Label == "" {
		return []string{"no variable instance for one host or many"}
	}
	return nil
}

var labelValues = regexp.MustCompile(`^label_values\((.+), *(\w+)\)$`)

func templateValues(c Catalogue, d Dashboard) []string {
	var problems []string
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		match := labelValues.FindStringSubmatch(v.Definition)
		if match == nil {
			problems = append(problems, v.Name+": "+v.Definition)
			continue
		}
		result, found := c.Check(Substitute(match[1]))
		problems = append(problems, found...)
		if !result[match[2]] {
			problems = append(problems, v.Name+": no label "+match[2])
		}
	}
	return problems
}

// onTimeChange is Grafana's number for it.
const onTimeChange = 2

func templateReload(_ Catalogue, d Dashboard) []string {
	for _, v := range d.Templating.List {
		if v.Type == "query" && v.Refresh != onTimeChange {
			return []string{v.Name + " is not read anew when the time range changes"}
		}
	}
	return nil
}

func panelDatasource(p Panel) string {
	if p.Datasource.UID != "${datasource}" && p.Datasource.UID != "${loki_datasource}" {
		return "data source " + p.Datasource.UID
	}
	return ""
}

func panelTitle(p Panel) string {
	if p.Title == "" || p.Description == "" {
		return "no title or description"
	}
	return ""
}

// units are those of Grafana that are used, "none" for counts and states.
var units = []string{"none", "s", "bytes", "Bps", "percentunit", "dateTimeFromNow", "currencyUSD", "reqps", "ops", "celsius", "short"}

func panelUnits(p Panel) string {
	unit := p.FieldConfig.Defaults.Unit
	if !slices.Contains(units, unit) && !strings.HasPrefix(unit, "suffix: ") {
		return "unit " + unit
	}
	return ""
}

func panelTargets(p Panel) string {
	if len(p.Targets) == 0 {
		return "no query"
	}
	return ""
}

func targetPromQL(_ Catalogue, _ Panel, expr string) []string {
	if _, err := parser.NewParser(parser.Options{}).ParseExpr(Substitute(expr)); err != nil {
		return []string{err.Error()}
	}
	return nil
}

func targetLogQL(_ Catalogue, _ Panel, expr string) []string {
	if !strings.Contains(expr, "{") || strings.Count(expr, "(") != strings.Count(expr, ")") {
		return []string{"no query of Loki: " + expr}
	}
	return nil
}

var logRange = regexp.MustCompile(`\[([^\]]+)\]`)

func targetLogQLAuto(_ Catalogue, _ Panel, expr string) []string {
	for _, match := range logRange.FindAllStringSubmatch(expr, -1) {
		if match[1] != "$__auto" && match[1] != "$__range" {
			return []string{"range " + match[0] + " is not $__auto"}
		}
	}
	return nil
}

// walk calls visit for each selector with the functions and aggregations around it.
func walk(expr string, visit func(s *parser.VectorSelector, around []parser.Node)) {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(Substitute(expr))
	if err != nil {
		return
	}
	parser.Inspect(parsed, func(node parser.Node, path []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			visit(s, path)
		}
		return nil
	})
}

// windows are the fixed ranges that a panel may ask about, if its title or description says so:
// the hour is then the question, whatever the width of the screen.
var windows = map[string]string{"5m": "5 minutes", "10m": "10 minutes", "15m": "15 minutes", "30m": "30 minutes", "1h": "hour", "6h": "6 hours", "24h": "24 hours", "1d": "24 hours"}

// alertWindows are ranges that are taken from an alert with its whole expression, or belong to
// one: the number beside the alert must be the alert's number.
var alertWindows = []string{"systemd_service_restart_total", "node_cpu_seconds_total", "vulcan_collector_series_dropped_total"}

func targetRateInterval(_ Catalogue, p Panel, expr string) []string {
	var problems []string
	walk(expr, func(s *parser.VectorSelector, path []parser.Node) {
		matrix, call := enclosing(path)
		if matrix == nil || call == nil || !slices.Contains([]string{"rate", "irate", "increase"}, call.Func.Name) {
			return
		}
		window := strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(matrix.Range.String())
		said := windows[window] != "" && strings.Contains(p.Title+" "+p.Description, windows[window])
		if matrix.Range.String() != rateInterval && !said && !slices.Contains(alertWindows, s.Name) {
			problems = append(problems, fmt.Sprintf("%s over %s, which the panel does not say", s.Name, window))
		}
	})
	return problems
}

// enclosing returns the range and the function right around a selector.
func enclosing(path []parser.Node) (*parser.MatrixSelector, *parser.Call) {
	if len(path) < 2 {
		return nil, nil
	}
	matrix, _ := path[len(path)-1].(*parser.MatrixSelector)
	for i := len(path) - 1; i >= 0; i-- {
		if call, ok := path[i].(*parser.Call); ok {
			return matrix, call
		}
	}
	return matrix, nil
}

// ofPrometheus are series of Prometheus itself, which have no job, or that of the alert's series.
var ofPrometheus = []string{"ALERTS", "ALERTS_FOR_STATE"}

func targetJob(_ Catalogue, _ Panel, expr string) []string {
	var problems []string
	walk(expr, func(s *parser.VectorSelector, _ []parser.Node) {
		if !slices.Contains(ofPrometheus, s.Name) && !hasMatcher(s, "job", "") {
			problems = append(problems, s.Name+" of any job")
		}
	})
	return problems
}

func targetInstance(_ Catalogue, _ Panel, expr string) []string {
	var problems []string
	walk(expr, func(s *parser.VectorSelector, _ []parser.Node) {
		// The instance of a probe is the probed address; alerts of Prometheus have any or none.
		probe := slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool {
			return m.Name == "job" && strings.HasPrefix(m.Value, "blackbox_")
		})
		if !probe && !slices.Contains(ofPrometheus, s.Name) && !hasMatcher(s, "instance", "$instance(:[0-9]+)?") {
			problems = append(problems, s.Name+" of any host")
		}
	})
	return problems
}

func hasMatcher(s *parser.VectorSelector, name, value string) bool {
	return slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool {
		return m.Name == name && (value == "" || m.Type == labels.MatchRegexp && m.Value == value)
	})
}

// absolute are counters whose present value is the answer: what they count since the thing was
// created or cleared, as a table says it, or money of which the difference is taken.
var absolute = []string{
	"backup_failures_total", "mbsync_failures_total", "zfs_vdev_errors_total", "zfs_vdev_slow_ios_total",
	"container_restarts_total", "vulcan_state_corrupt_total", "litellm_spend_usd_total", "pg_top_statement_calls_total",
	"node_network_carrier_up_changes_total",
}

func targetCounter(c Catalogue, _ Panel, expr string) []string {
	var problems []string
	walk(expr, func(s *parser.VectorSelector, path []parser.Node) {
		m, ok := c.lookup(s.Name)
		if !ok || m.Type != "counter" || slices.Contains(absolute, s.Name) {
			return
		}
		// A count of a histogram may be a number of present things, as that of Postfix's queue.
		if strings.HasPrefix(s.Name, "postfix_showq_") {
			return
		}
		_, call := enclosing(path)
		if call == nil || !slices.Contains(ofCounters, call.Func.Name) {
			problems = append(problems, s.Name+" without rate or increase")
		}
	})
	return problems
}

func uneditable(_ Catalogue, d Dashboard) []string {
	if d.Editable {
		return []string{"can be edited, which the next deployment would undo"}
	}
	return nil
}

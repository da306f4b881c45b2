package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

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

func uneditable(_ Catalogue, d Dashboard) []string {
	if d.Editable {
		return []string{"can be edited, which the next deployment would undo"}
	}
	return nil
}

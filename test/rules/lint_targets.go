package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

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

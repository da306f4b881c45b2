package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/prometheus/prometheus/promql/parser"
)

// panel is one panel before it has a place.
type panel struct {
	dashboard.Panel
	width  uint32
	alerts []string // whose numbers it shows; their runbooks are linked
	limits []limit
}

// host selects the chosen hosts, whatever the port: exporters of one host differ only in it.
const host = `instance=~"$instance(:[0-9]+)?"`

// expand writes the selection of hosts where an expression has #, and of hosts and of our own
// exporter where it has @: postgres_exporter and others have series of the same name.
func expand(expr string) string {
	return strings.ReplaceAll(strings.ReplaceAll(expr, "@", `job="vulcan_exporter", #`), "#", host)
}

// query is one line of a panel: an expression and the name of what it gives.
type query struct{ expr, legend string }

// q makes a query.
func q(expr, legend string) query { return query{expr, legend} }

func source(kind, variable string) *common.DataSourceRef {
	return &common.DataSourceRef{Type: cog.ToPtr(kind), Uid: cog.ToPtr("${" + variable + "}")}
}

func metrics() *common.DataSourceRef { return source("prometheus", "datasource") }

// newPanel is what all types have in common.
func newPanel(kind, title, about, unit string, options, custom any) *panel {
	p := &panel{Panel: *dashboard.NewPanel(), width: 6}
	p.RepeatDirection = nil
	p.Type = kind
	// Without a version Grafana takes the panel for one of version 6 and migrates it.
	p.PluginVersion = cog.ToPtr("10.0.0")
	p.Title, p.Description = cog.ToPtr(title), cog.ToPtr(about)
	p.Datasource = metrics()
	p.Options = options
	p.FieldConfig = dashboard.NewFieldConfigSource()
	p.FieldConfig.Overrides = []dashboard.DashboardFieldConfigSourceOverrides{}
	p.FieldConfig.Defaults.Unit = cog.ToPtr(unit)
	p.FieldConfig.Defaults.Custom = custom
	p.FieldConfig.Defaults.Color = &dashboard.FieldColor{Mode: dashboard.FieldColorModeIdThresholds}
	p.FieldConfig.Defaults.Thresholds = steps("green")
	return p
}

// add appends the queries. instant asks for one moment, else for the range.
func (p *panel) add(instant bool, format prometheus.PromQueryFormat, queries ...query) *panel {
	for _, query := range queries {
		p.Targets = append(p.Targets, prometheus.Dataquery{
			Expr: expand(query.expr), LegendFormat: cog.ToPtr(query.legend), Format: cog.ToPtr(format),
			Instant: cog.ToPtr(instant), Range: cog.ToPtr(!instant),
			RefId: cog.ToPtr(string(rune('A' + len(p.Targets)))), Datasource: metrics(),
		})
	}
	return p
}

// w sets the width, of 24.
func (p *panel) w(width uint32) *panel {
	p.width = width
	return p
}

// shows names the alerts whose numbers the panel shows.
func (p *panel) shows(names ...string) *panel {
	p.alerts = append(p.alerts, names...)
	return p
}

// limit colours values as the alerts do, and names them.
func (p *panel) limit(limits ...limit) *panel {
	p.limits = append(p.limits, limits...)
	for _, l := range limits {
		if l.alert != "" {
			p.shows(l.alert)
		}
	}
	p.FieldConfig.Defaults.Thresholds = thresholds(p.limits)
	if custom, ok := p.FieldConfig.Defaults.Custom.(*common.GraphFieldConfig); ok {
		custom.ThresholdsStyle = &common.GraphThresholdsStyleConfig{Mode: common.GraphThresholdsStyleModeDashed}
	}
	return p
}

// thresholds puts limits of one direction into Grafana's steps: each step's colour holds from
// its value upwards.
func thresholds(limits []limit) *dashboard.ThresholdsConfig {
	sorted := slices.SortedFunc(slices.Values(limits), func(a, b limit) int {
		return int(1000 * (a.value - b.value) / max(1, a.value, b.value))
	})
	switch sorted[0].op {
	case parser.LSS, parser.LTE:
		config := steps(sorted[0].color)
		for i, l := range sorted {
			next := "green"
			if i+1 < len(sorted) {
				next = sorted[i+1].color
			}
			config.Steps = append(config.Steps, dashboard.Threshold{Value: cog.ToPtr(l.value), Color: next})
		}
		return config
	case parser.EQLC:
		if sorted[0].value == 0 {
			config := steps(sorted[0].color)
			config.Steps = append(config.Steps, dashboard.Threshold{Value: cog.ToPtr(1.0), Color: "green"})
			return config
		}
	}
	config := steps("green")
	for _, l := range sorted {
		// Grafana's steps begin at their value; 0 itself is well where the alert says > 0.
		if l.op == parser.GTR && l.value == 0 {
			l.value = 1e-9
		}
		config.Steps = append(config.Steps, dashboard.Threshold{Value: cog.ToPtr(l.value), Color: l.color})
	}
	return config
}

func steps(base string) *dashboard.ThresholdsConfig {
	return &dashboard.ThresholdsConfig{Mode: dashboard.ThresholdsModeAbsolute, Steps: []dashboard.Threshold{{Color: base}}}
}

// word is how a value is written: text and colour.
type word struct{ text, color string }

// words maps values to words.
func (p *panel) words(words map[string]word) *panel {
	options := map[string]dashboard.ValueMappingResult{}
	for i, value := range slices.Sorted(maps.Keys(words)) {
		options[value] = dashboard.ValueMappingResult{
			Text: cog.ToPtr(words[value].text), Color: cog.ToPtr(words[value].color), Index: cog.ToPtr(int32(i)),
		}
	}
	p.FieldConfig.Defaults.Mappings = append(p.FieldConfig.Defaults.Mappings, dashboard.ValueMapping{
		ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: options},
	})
	return p
}

// yes writes 1 and 0 as words, of which 1 is good.
func (p *panel) yes(good, bad string) *panel {
	return p.words(map[string]word{"1": {good, "green"}, "0": {bad, "red"}})
}

// neutral shows values in plain text: they are facts that are neither good nor bad.
func (p *panel) neutral() *panel {
	p.FieldConfig.Defaults.Thresholds = steps("text")
	return p
}

// none is the text where there are no series.
func (p *panel) none(text string) *panel {
	p.FieldConfig.Defaults.NoValue = cog.ToPtr(text)
	return p
}

// decimals fixes the number of digits after the point.
func (p *panel) decimals(n float64) *panel {
	p.FieldConfig.Defaults.Decimals = cog.ToPtr(n)
	return p
}

// between fixes the ends of the axis or bar.
func (p *panel) between(low, high float64) *panel {
	p.FieldConfig.Defaults.Min, p.FieldConfig.Defaults.Max = cog.ToPtr(low), cog.ToPtr(high)
	return p
}

// override sets properties of one field.
func (p *panel) override(matcher, field string, properties ...dashboard.DynamicConfigValue) {
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, dashboard.DashboardFieldConfigSourceOverrides{
		Matcher: dashboard.MatcherConfig{Id: matcher, Options: field}, Properties: properties,
	})
}

// runbooks links what to do about the alerts whose numbers the panel shows.
func (p *panel) runbooks(all alerts) {
	for _, name := range slices.Compact(slices.Clone(p.alerts)) {
		a, ok := all[name]
		if !ok {
			panic(fmt.Sprintf("%s: no alert %s", *p.Title, name))
		}
		p.Links = append(p.Links, dashboard.DashboardLink{
			Title: "Runbook: " + name, Type: dashboard.DashboardLinkTypeLink, Icon: "doc",
			Url: cog.ToPtr(a.Annotations["runbook_url"]), TargetBlank: true, Tags: []string{},
		})
	}
}

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/logs"
	"github.com/grafana/grafana-foundation-sdk/go/loki"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

const series, tabular, buckets = prometheus.PromQueryFormatTimeSeries, prometheus.PromQueryFormatTable, prometheus.PromQueryFormatHeatmap

func last() common.ReduceDataOptions {
	return common.ReduceDataOptions{Values: cog.ToPtr(false), Calcs: []string{"lastNotNull"}, Fields: cog.ToPtr("")}
}

func legend(show bool) common.VizLegendOptions {
	return common.VizLegendOptions{DisplayMode: common.LegendDisplayModeList, Placement: common.LegendPlacementBottom, ShowLegend: show, Calcs: []string{}}
}

// number is a stat: one value, or a few with names, large.
func number(title, about, unit string, queries ...query) *panel {
	p := newPanel("stat", title, about, unit, stat.Options{
		GraphMode: common.BigValueGraphModeNone, ColorMode: common.BigValueColorModeBackgroundSolid,
		JustifyMode: common.BigValueJustifyModeAuto, TextMode: common.BigValueTextModeAuto, WideLayout: true,
		ReduceOptions: last(), PercentChangeColorMode: common.PercentChangeColorModeStandard, Orientation: common.VizOrientationAuto,
	}, nil)
	return p.add(true, series, queries...)
}

// plain is a number that is neither good nor bad.
func plain(title, about, unit string, queries ...query) *panel {
	p := number(title, about, unit, queries...).neutral()
	options := p.Options.(stat.Options)
	options.ColorMode = common.BigValueColorModeValue
	p.Options = options
	return p
}

// graph is lines over time.
func graph(title, about, unit string, queries ...query) *panel {
	p := newPanel("timeseries", title, about, unit, timeseries.Options{
		Legend:  legend(true),
		Tooltip: common.VizTooltipOptions{Mode: common.TooltipDisplayModeMulti, Sort: common.SortOrderDescending},
	}, &common.GraphFieldConfig{
		DrawStyle: cog.ToPtr(common.GraphDrawStyleLine), LineWidth: cog.ToPtr(2.0), FillOpacity: cog.ToPtr(0.0),
		LineInterpolation: cog.ToPtr(common.LineInterpolationLinear), ShowPoints: cog.ToPtr(common.VisibilityModeNever),
		SpanNulls: &common.BoolOrFloat64{Bool: cog.ToPtr(false)},
	})
	p.FieldConfig.Defaults.Color = &dashboard.FieldColor{Mode: dashboard.FieldColorModeIdPaletteClassic}
	p.FieldConfig.Defaults.Min = cog.ToPtr(0.0)
	if unit == "none" {
		// Where nothing happened the axis would go to 100, as if much could.
		p.FieldConfig.Defaults.Custom.(*common.GraphFieldConfig).AxisSoftMax = cog.ToPtr(1.0)
	}
	return p.w(12).add(false, series, queries...)
}

// free lets the axis begin elsewhere than at 0.
func (p *panel) free() *panel {
	p.FieldConfig.Defaults.Min = nil
	return p
}

// stacked puts the lines upon each other: their sum means something.
func (p *panel) stacked() *panel {
	custom := p.FieldConfig.Defaults.Custom.(*common.GraphFieldConfig)
	custom.Stacking = &common.StackingConfig{Mode: cog.ToPtr(common.StackingModeNormal), Group: cog.ToPtr("A")}
	custom.FillOpacity = cog.ToPtr(40.0)
	custom.LineWidth = cog.ToPtr(1.0)
	return p
}

// bars draws what happened in each step, stacked.
func (p *panel) bars() *panel {
	custom := p.stacked().FieldConfig.Defaults.Custom.(*common.GraphFieldConfig)
	custom.DrawStyle = cog.ToPtr(common.GraphDrawStyleBars)
	custom.FillOpacity = cog.ToPtr(80.0)
	return p
}

// stepped draws a value that changes at once and then stays.
func (p *panel) stepped() *panel {
	p.FieldConfig.Defaults.Custom.(*common.GraphFieldConfig).LineInterpolation = cog.ToPtr(common.LineInterpolationStepAfter)
	return p
}

// ranking is bars with names, of now.
func ranking(title, about, unit string, queries ...query) *panel {
	options := map[string]any{
		"displayMode": "basic", "valueMode": "color", "namePlacement": "left", "showUnfilled": true, "sizing": "auto",
		"minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 40, "orientation": "horizontal",
		"reduceOptions": last(), "legend": legend(false),
	}
	p := newPanel("bargauge", title, about, unit, options, nil)
	p.FieldConfig.Defaults.Min = cog.ToPtr(0.0)
	return p.w(12).add(true, series, queries...)
}

// states is a timeline of states, one line each.
func states(title, about string, queries ...query) *panel {
	p := newPanel("state-timeline", title, about, "none", statetimeline.Options{
		ShowValue: common.VisibilityModeNever, RowHeight: 0.85, MergeValues: cog.ToPtr(true),
		AlignValue: cog.ToPtr(common.TimelineValueAlignmentLeft), Legend: legend(true),
		Tooltip: common.VizTooltipOptions{Mode: common.TooltipDisplayModeSingle, Sort: common.SortOrderNone},
	}, statetimeline.FieldConfig{LineWidth: cog.ToPtr(uint32(0)), FillOpacity: cog.ToPtr(uint32(85))})
	return p.w(24).add(false, series, queries...)
}

// heat shows how often which value occurred, from a histogram's buckets.
func heat(title, about, unit string, counted query) *panel {
	p := newPanel("heatmap", title, about, unit, heatmap.Options{
		Calculate: cog.ToPtr(false), CellGap: cog.ToPtr(uint8(1)), ShowValue: common.VisibilityModeNever,
		Color: heatmap.HeatmapColorOptions{
			Mode: cog.ToPtr(heatmap.HeatmapColorModeScheme), Scheme: "Oranges", Fill: "dark-orange",
			Scale: cog.ToPtr(heatmap.HeatmapColorScaleExponential), Exponent: 0.5, Steps: 64, Reverse: false,
		},
		FilterValues: &heatmap.FilterValueRange{Le: cog.ToPtr(float32(1e-9))},
		RowsFrame:    &heatmap.RowsHeatmapOptions{Layout: cog.ToPtr(common.HeatmapCellLayoutAuto)},
		YAxis:        heatmap.YAxisConfig{Unit: cog.ToPtr(unit), AxisPlacement: cog.ToPtr(common.AxisPlacementLeft)},
		Legend:       heatmap.HeatmapLegend{Show: true},
		Tooltip:      heatmap.HeatmapTooltip{Mode: common.TooltipDisplayModeSingle, YHistogram: cog.ToPtr(false)},
		Exemplars:    heatmap.ExemplarConfig{Color: "rgba(255,0,255,0.7)"},
	}, nil)
	return p.w(12).add(false, buckets, counted)
}

// column is a value column of a table.
type column struct {
	name, unit, expr string
	limits           []limit
	words            map[string]word
}

// col makes a column; its expression is summed up by the table's labels.
func col(name, unit, expr string) column { return column{name: name, unit: unit, expr: expr} }

func (c column) limit(limits ...limit) column {
	c.limits = limits
	return c
}

func (c column) says(words map[string]word) column {
	c.words = words
	return c
}

func (c column) yes(good, bad string) column {
	return c.says(map[string]word{"1": {good, "green"}, "0": {bad, "red"}})
}

// list is a table with one row for each set of the labels. Its rows are all that the first
// column's expression gives, and what others give besides.
func list(title, about string, labels []string, columns ...column) *panel {
	p := newPanel("table", title, about, "none", table.Options{
		ShowHeader: true, CellHeight: cog.ToPtr(common.TableCellHeightSm),
	}, map[string]any{"align": "auto", "inspect": false, "filterable": false, "minWidth": 100})
	p.neutral()
	by := strings.Join(labels, ", ")
	names, order := map[string]string{}, map[string]int{}
	for i, label := range labels {
		names[label], order[label] = heading(label), i
	}
	for i, c := range columns {
		p.add(true, tabular, q(fmt.Sprintf("max by (%s) (%s)", by, c.expr), ""))
		field := "Value #" + string(rune('A'+i))
		if len(columns) == 1 {
			field = "Value"
		}
		names[field], order[field] = c.name, len(labels)+i
		p.column(c)
	}
	p.Transformations = []dashboard.DataTransformerConfig{
		{Id: "merge", Options: map[string]any{}},
		{Id: "organize", Options: map[string]any{
			"excludeByName": map[string]bool{"Time": true}, "indexByName": order, "renameByName": names,
		}},
	}
	return p.w(24)
}

func (p *panel) column(c column) {
	properties := []dashboard.DynamicConfigValue{{Id: "unit", Value: c.unit}}
	if len(c.limits) > 0 || c.words != nil {
		properties = append(properties, dashboard.DynamicConfigValue{Id: "custom.cellOptions", Value: map[string]any{"type": "color-text"}})
	}
	if len(c.limits) > 0 {
		properties = append(properties, dashboard.DynamicConfigValue{Id: "thresholds", Value: thresholds(c.limits)})
		for _, l := range c.limits {
			p.shows(l.alert)
		}
	}
	if c.words != nil {
		other := panel{Panel: dashboard.Panel{FieldConfig: dashboard.NewFieldConfigSource()}}
		properties = append(properties, dashboard.DynamicConfigValue{Id: "mappings", Value: other.words(c.words).FieldConfig.Defaults.Mappings})
	}
	p.override("byName", c.name, properties...)
}

// heading is a label's name as a person writes it.
func heading(label string) string {
	if label == "instance" {
		return "Host"
	}
	text := strings.ReplaceAll(label, "_", " ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// sorted orders a table by a column, downwards where desc.
func (p *panel) sorted(name string, desc bool) *panel {
	options := p.Options.(table.Options)
	options.SortBy = []common.TableSortByFieldState{{DisplayName: name, Desc: cog.ToPtr(desc)}}
	p.Options = options
	return p
}

// lines shows log lines of Loki.
func lines(title, about, expr string) *panel {
	p := newPanel("logs", title, about, "none", logs.Options{
		ShowTime: true, WrapLogMessage: true, EnableLogDetails: true,
		SortOrder: common.LogsSortOrderDescending, DedupStrategy: common.LogsDedupStrategyNone,
	}, nil)
	p.Datasource = source("loki", "loki_datasource")
	p.Targets = append(p.Targets, loki.Dataquery{
		Expr: expr, RefId: cog.ToPtr("A"), QueryType: cog.ToPtr("range"), MaxLines: cog.ToPtr(int64(200)), Datasource: p.Datasource,
	})
	return p.w(24)
}

// logged is a graph of a number that Loki counts in log lines.
func logged(title, about, unit, expr, legend string) *panel {
	p := graph(title, about, unit)
	p.Datasource = source("loki", "loki_datasource")
	p.Targets = append(p.Targets, loki.Dataquery{
		Expr: expr, LegendFormat: cog.ToPtr(legend), RefId: cog.ToPtr("A"), QueryType: cog.ToPtr("range"), Datasource: p.Datasource,
	})
	// Steps without a line are gaps between points, which bars show.
	return p.bars()
}

// alternatives joins names for a regular expression.
func alternatives(names []string) string {
	return strings.Join(slices.Sorted(slices.Values(names)), "|")
}

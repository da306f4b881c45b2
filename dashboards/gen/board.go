package main

import (
	"fmt"
	"slices"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// board is one dashboard.
type board struct {
	all   alerts
	uid   string // stable: the stem of the file, after "vulcan-"
	title string
	about string
	// watch are the alerts that speak of what the dashboard shows.
	watch []string
	// anywhere are those whose instance is not a host, such as a probed address.
	anywhere []string
	// collectors are those that the values come from. Where they are stale or fail, nothing
	// is known of the rest.
	collectors []string
	// alive is an expression with series where somebody measures. Without it the absence of
	// alerts would say nothing.
	alive string
	hours int  // of history that are shown at first
	loki  bool // there are panels of Loki

	y      uint32
	id     uint32
	panels []dashboard.PanelOrRowPanel
}

const firstRow = 4 // height

// staleness are the alerts that tell that a collector does not know any more.
const staleness = "CollectorDataStale|CollectorFailing"

// firing selects the firing alerts of the dashboard that need somebody.
func (b *board) firing(metric, state string) string {
	return b.alertsOf(metric, state+`severity=~"critical|warning"`)
}

func (b *board) alertsOf(metric, matchers string) string {
	names := slices.Clone(b.watch)
	if len(b.collectors) > 0 {
		names = append(names, "VulcanExporterDown")
	}
	selectors := ""
	add := func(format string, args ...any) {
		if selectors != "" {
			selectors += " or "
		}
		selectors += fmt.Sprintf(metric+`{`+matchers+`, `+format+`}`, args...)
	}
	if len(names) > 0 {
		add(`alertname=~"%s", instance=~"|$instance(:[0-9]+)?"`, alternatives(names))
	}
	if len(b.anywhere) > 0 {
		add(`alertname=~"%s"`, alternatives(b.anywhere))
	}
	if len(b.collectors) > 0 {
		add(`alertname=~"`+staleness+`", collector=~"%s", instance=~"|$instance(:[0-9]+)?"`, alternatives(b.collectors))
	}
	return selectors
}

func (b *board) living() string {
	if b.alive != "" {
		return b.alive
	}
	return fmt.Sprintf(`vulcan_collector_up{@, collector=~"%s"}`, alternatives(b.collectors))
}

const firingState = `alertstate="firing", `

// status counts firing alerts; 0 is said only where somebody measures.
func (b *board) status() string {
	return fmt.Sprintf("count(%s) or 0 * max(%s)", b.firing("ALERTS", firingState), b.living())
}

// since is when the oldest firing alert began or, where none fires, when the last one ended.
func (b *board) since() string {
	firing := b.firing("ALERTS", firingState)
	return fmt.Sprintf("1000 * (min((%s) and ignoring (alertstate) (%s)) or max(max_over_time(timestamp(%s)[7d:5m])))",
		b.firing("ALERTS_FOR_STATE", ""), firing, firing)
}

// allRight are the two panels that every dashboard begins with.
func (b *board) allRight() []*panel {
	status := number("All right?",
		"OK while no alert of severity warning or critical fires for what this dashboard shows and somebody measures it; else how many fire.",
		"suffix: firing", q(b.status(), "")).none("NOT WATCHED").w(5)
	status.FieldConfig.Defaults.Thresholds = &dashboard.ThresholdsConfig{Mode: dashboard.ThresholdsModeAbsolute, Steps: []dashboard.Threshold{
		{Color: "#808080"}, {Value: cog.ToPtr(0.0), Color: "green"}, {Value: cog.ToPtr(1.0), Color: "red"},
	}}
	status.words(map[string]word{"0": {"OK", "green"}})
	since := plain("Since when?",
		"When the oldest of the firing alerts began; while all is right, when the last alert ended.",
		"dateTimeFromNow", q(b.since(), "")).none("> 7 days").w(5)
	return []*panel{status, since}
}

// first is the row that can be read from three metres: the state, and two or so numbers.
func (b *board) first(panels ...*panel) {
	b.line(firstRow, append(b.allRight(), panels...)...)
}

// line puts panels beside each other; their widths make up the whole.
func (b *board) line(height uint32, panels ...*panel) {
	var x uint32
	for _, p := range panels {
		p.runbooks(b.all)
		b.id++
		p.Id = cog.ToPtr(b.id)
		p.GridPos = &dashboard.GridPos{H: height, W: p.width, X: x, Y: b.y}
		x += p.width
		b.panels = append(b.panels, dashboard.PanelOrRowPanel{Panel: &p.Panel})
	}
	if x != 24 {
		panic(fmt.Sprintf("%s: %q and its neighbours are %d wide, not 24", b.uid, *panels[0].Title, x))
	}
	b.y += height
}

// section begins a part of the dashboard.
func (b *board) section(title string) {
	b.id++
	b.panels = append(b.panels, dashboard.PanelOrRowPanel{RowPanel: &dashboard.RowPanel{
		Type: "row", Title: cog.ToPtr(title), Id: b.id, Panels: []dashboard.Panel{},
		GridPos: &dashboard.GridPos{H: 1, W: 24, X: 0, Y: b.y},
	}})
	b.y++
}

// build makes the dashboard of Grafana's classic schema.
func (b *board) build() dashboard.Dashboard {
	b.restOfRunbooks()
	d := *dashboard.NewDashboard()
	d.Uid, d.Title, d.Description = cog.ToPtr("vulcan-"+b.uid), cog.ToPtr(b.title), cog.ToPtr(b.about)
	// 38 is Grafana 10.0's; newer ones migrate upwards.
	d.SchemaVersion = 38
	d.Tags = []string{"vulcan"}
	d.Editable = cog.ToPtr(false)
	d.GraphTooltip = cog.ToPtr(dashboard.DashboardCursorSyncCrosshair)
	d.Time = &dashboard.DashboardDashboardTime{From: fmt.Sprintf("now-%dh", b.hours), To: "now"}
	d.Refresh, d.Timezone = cog.ToPtr("1m"), cog.ToPtr("browser")
	d.Panels = b.panels
	d.Templating.List = b.variables()
	d.Annotations.List = b.annotations()
	d.Links = []dashboard.DashboardLink{{
		Title: "Other dashboards", Type: dashboard.DashboardLinkTypeDashboards, Icon: "external link",
		Tags: []string{"vulcan"}, AsDropdown: true, IncludeVars: true, KeepTime: true,
	}}
	return d
}

// restOfRunbooks links, at the panel that counts the alerts, those that no other panel is about.
func (b *board) restOfRunbooks() {
	linked := map[string]bool{}
	for _, p := range b.panels {
		if p.Panel != nil {
			for _, link := range p.Panel.Links {
				linked[*link.Url] = true
			}
		}
	}
	first := &panel{Panel: *b.panels[0].Panel}
	if b.uid != overviewUID {
		for _, name := range slices.Concat(b.watch, b.anywhere) {
			if !linked[b.all.get(name).Annotations["runbook_url"]] {
				first.shows(name)
			}
		}
	}
	first.runbooks(b.all)
	b.panels[0].Panel = &first.Panel
}

func (b *board) variables() []dashboard.VariableModel {
	ref := metrics()
	list := []dashboard.VariableModel{{
		Type: dashboard.VariableTypeDatasource, Name: "datasource", Label: cog.ToPtr("Data source"),
		Query: &dashboard.StringOrMap{String: cog.ToPtr("prometheus")}, Refresh: cog.ToPtr(dashboard.VariableRefreshOnDashboardLoad),
	}}
	if b.loki {
		list = append(list, dashboard.VariableModel{
			Type: dashboard.VariableTypeDatasource, Name: "loki_datasource", Label: cog.ToPtr("Loki data source"),
			Query: &dashboard.StringOrMap{String: cog.ToPtr("loki")}, Refresh: cog.ToPtr(dashboard.VariableRefreshOnDashboardLoad),
		}, dashboard.VariableModel{
			Type: dashboard.VariableTypeTextbox, Name: "search", Label: cog.ToPtr("Search in log lines"), Query: &dashboard.StringOrMap{String: cog.ToPtr("")},
		})
	}
	query := `label_values(up{job=~"vulcan_exporter|node"}, instance)`
	all := dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}}
	text := dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}}
	return append(list, dashboard.VariableModel{
		Type: dashboard.VariableTypeQuery, Name: "instance", Label: cog.ToPtr("Host"), Datasource: ref,
		Definition: cog.ToPtr(query), Regex: cog.ToPtr(`/^(.*?)(?::[0-9]+)?$/`),
		Query:   &dashboard.StringOrMap{Map: map[string]any{"query": query, "refId": "instance"}},
		Refresh: cog.ToPtr(dashboard.VariableRefreshOnTimeRangeChanged), Sort: cog.ToPtr(dashboard.VariableSortAlphabeticalAsc),
		Multi: cog.ToPtr(true), IncludeAll: cog.ToPtr(true), AllValue: cog.ToPtr(".*"),
		Current: &dashboard.VariableOption{Selected: cog.ToPtr(true), Text: text, Value: all},
	})
}

// annotations mark in every graph when alerts fired.
func (b *board) annotations() []dashboard.AnnotationQuery {
	return []dashboard.AnnotationQuery{{
		Name: "Alerts", Enable: true, IconColor: "red", Datasource: metrics(), Expr: cog.ToPtr(b.firing("ALERTS", firingState)),
		Target: prometheus.Dataquery{
			Expr: b.firing("ALERTS", firingState), RefId: cog.ToPtr("Alerts"), Range: cog.ToPtr(true),
			Interval: cog.ToPtr("1m"), Datasource: metrics(),
		},
	}}
}

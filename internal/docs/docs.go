// Package docs renders the reference of the collectors from their definitions,
// so that it cannot say other things than the code.
package docs

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/runner"
)

// Page is the reference of one collector.
type Page struct{ Name, Markdown string }

// Pages renders one page for each collector and one for the exporter itself.
func Pages(definitions []*collector.Definition) []Page {
	pages := make([]Page, 0, len(definitions)+1)
	for _, d := range definitions {
		pages = append(pages, Page{d.Name, page(d)})
	}
	var b strings.Builder
	b.WriteString("# exporter\n\nWhat the exporter says about its sources and itself.\n\n")
	metricTable(&b, runner.Declared(), "")
	return append(pages, Page{"exporter", b.String()})
}

func page(d *collector.Definition) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n", d.Name, d.Summary)
	every := "at each scrape"
	if d.Every > 0 {
		every = "every " + config.Duration(d.Every).String()
	}
	fmt.Fprintf(&b, "Collected %s with a deadline of %s, unless `interval` and `timeout` say otherwise. At most %d series a source.\n\n", every, config.Duration(d.Timeout), d.Budget)
	b.WriteString("## Configuration\n\n")
	if d.Multiple {
		b.WriteString("A list of `sources`, each with a unique `name` and any of these keys; a key beside `sources` is the default of all.\n\n")
	}
	b.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	fields(&b, "", reflect.ValueOf(d.Config).Elem())
	b.WriteString("\n")
	metricTable(&b, d.Metrics, d.SourceLabel)
	return b.String()
}

func metricTable(b *strings.Builder, metrics []metric.Metric, sourceLabel string) {
	b.WriteString("## Metrics\n\n")
	if sourceLabel != "" {
		fmt.Fprintf(b, "Every series also has the label `%s`, the name of its source.\n\n", sourceLabel)
	}
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range metrics {
		d := m.Desc()
		help := d.Help
		if d.Compat != "" {
			help += " Same as in " + d.Compat + "."
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", d.Name, d.Kind, labelList(d), prose(help))
	}
}

func labelList(d *metric.Desc) string {
	out := make([]string, len(d.Labels))
	for i, l := range d.Labels {
		out[i] = "`" + l.Name + "`"
		if l.Values != nil {
			out[i] += " (" + strings.Join(l.Values, ", ") + ")"
		}
	}
	return strings.Join(out, ", ")
}

// fields lists the keys of a config struct, nested ones by their path.
func fields(b *strings.Builder, prefix string, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", prefix+name, typeName(f.Type), defaultText(v.Field(i)), prose(f.Tag.Get("doc")))
		if inner, suffix := nested(f.Type); inner != nil {
			value := reflect.New(inner).Elem()
			if inner == f.Type {
				value = v.Field(i)
			}
			fields(b, prefix+name+suffix, value)
		}
	}
}

// nested finds the struct inside of a field's type.
func nested(t reflect.Type) (reflect.Type, string) {
	suffix := "."
	switch t.Kind() {
	case reflect.Pointer:
		t = t.Elem()
	case reflect.Slice:
		t, suffix = t.Elem(), "[]."
	case reflect.Map:
		t, suffix = t.Elem(), ".*."
	}
	if t.Kind() != reflect.Struct || t.PkgPath() == reflect.TypeFor[config.Regexp]().PkgPath() {
		return nil, ""
	}
	return t, suffix
}

func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[config.Duration]():
		return "duration"
	case reflect.TypeFor[config.SecretFile]():
		return "path of a secret"
	case reflect.TypeFor[config.Regexp]():
		return "regular expression"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	case reflect.Map:
		return "map of " + typeName(t.Elem())
	case reflect.Struct:
		return "mapping"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	}
	return "number"
}

func defaultText(v reflect.Value) string {
	if v.IsZero() || v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[config.Regexp]() {
		return ""
	}
	var n yaml.Node
	if err := n.Encode(v.Interface()); err != nil {
		return err.Error()
	}
	n.Style = yaml.FlowStyle // one line
	text, err := yaml.Marshal(&n)
	if err != nil {
		return err.Error()
	}
	return "`" + cell(strings.TrimSpace(string(text))) + "`"
}

// prose makes a text fit for a cell, with globs and <placeholders> as written.
func prose(s string) string {
	return strings.NewReplacer("*", `\*`, "<", "&lt;").Replace(cell(s))
}

// cell makes a text fit for one cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", "<br>").Replace(s)
}

// Metric is a declared metric in the machine-readable reference.
type Metric struct {
	Name      string              `json:"name"`
	Help      string              `json:"help"`
	Type      string              `json:"type"` // gauge, counter or histogram
	Labels    []string            `json:"labels"`
	Values    map[string][]string `json:"values,omitempty"` // of closed labels
	Collector string              `json:"collector"`        // "" for the exporter's own
	Every     float64             `json:"interval_seconds,omitempty"`
	Compat    string              `json:"compat,omitempty"`
}

// JSON writes all declared metrics, for checks of rules and dashboards.
func JSON(w io.Writer, definitions []*collector.Definition) error {
	var out []Metric
	for _, d := range definitions {
		for _, m := range d.Metrics {
			out = append(out, describe(m.Desc(), d.Name, d.SourceLabel, d.Every))
		}
	}
	for _, m := range runner.Declared() {
		out = append(out, describe(m.Desc(), "", "", 0))
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(out)
}

func describe(d *metric.Desc, collectorName, sourceLabel string, every time.Duration) Metric {
	m := Metric{
		Name: d.Name, Help: d.Help, Type: strings.ToLower(d.Type().String()), Labels: []string{},
		Values: map[string][]string{}, Collector: collectorName, Every: every.Seconds(), Compat: d.Compat,
	}
	if sourceLabel != "" {
		m.Labels = append(m.Labels, sourceLabel)
	}
	for _, l := range d.Labels {
		m.Labels = append(m.Labels, l.Name)
		if l.Values != nil {
			m.Values[l.Name] = l.Values
		}
	}
	return m
}

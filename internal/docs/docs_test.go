package docs

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

var update = flag.Bool("update", false, "rewrite testdata")

type target struct {
	URL   string            `yaml:"url" doc:"where <it> is"`
	Token config.SecretFile `yaml:"token_file" doc:"file with the token"`
}

type settings struct {
	Units   []string          `yaml:"units" doc:"globs such as *.service | names"`
	Every   config.Duration   `yaml:"grace" doc:"how long is no trouble"`
	Only    config.Regexp     `yaml:"only" doc:"names to look at"`
	Loud    bool              `yaml:"loud" doc:"say more"`
	Limit   int               `yaml:"limit" doc:"most of them"`
	Target  target            `yaml:"target" doc:"the other side"`
	Targets []target          `yaml:"targets" doc:"more of them"`
	Named   map[string]target `yaml:"named" doc:"by name"`
	Hidden  string            `yaml:"-"`
}

func definition(t *testing.T) *collector.Definition {
	t.Helper()
	var only config.Regexp
	if err := only.UnmarshalText([]byte("a|b")); err != nil {
		t.Fatal(err)
	}
	return collector.Define(collector.Spec[settings]{
		Name: "sample", Summary: "A sample of everything.", Every: time.Minute, Timeout: 10 * time.Second, Sources: true, SourceLabel: "repository",
		Metrics: []metric.Metric{
			metric.NewGauge("sample_value_bytes", "Bytes of a | b.", metric.Labels("name"), metric.Closed("side", "far", "near")),
			metric.NewCounter("sample_seen_total", "Things seen.", metric.Compat("other_exporter")),
			metric.NewState("sample_state", "1 for the state.", []string{"up", "down"}),
			metric.NewInfo("sample_info", "What it is."),
			metric.NewHistogram("sample_seconds", "Seconds.", []float64{1, 2}),
		},
		Defaults: settings{Units: []string{"*.timer"}, Every: config.Duration(5 * time.Minute), Only: only, Limit: 3, Target: target{URL: "http://x"}},
		New:      func(settings, collector.Env) (collector.Collector, error) { return nil, nil },
	})
}

func TestPage(t *testing.T) {
	pages := Pages([]*collector.Definition{definition(t)})
	if len(pages) != 2 || pages[0].Name != "sample" || pages[1].Name != "exporter" {
		t.Fatalf("%d pages", len(pages))
	}
	file := filepath.Join("testdata", "sample.md")
	if *update {
		if err := os.WriteFile(file, []byte(pages[0].Markdown), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := pages[0].Markdown; got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestTablesAreWhole: whatever texts hold, each row has its table's columns.
func TestTablesAreWhole(t *testing.T) {
	bar := regexp.MustCompile(`(?:^|[^\\])\|`)
	for _, p := range Pages([]*collector.Definition{definition(t)}) {
		columns := 0
		for line := range strings.Lines(p.Markdown) {
			n := len(bar.FindAllString(line, -1))
			switch {
			case !strings.HasPrefix(line, "|"):
				columns = 0
			case columns == 0:
				columns = n
			case n != columns:
				t.Errorf("%s: %d bars, want %d: %s", p.Name, n, columns, line)
			}
		}
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, []*collector.Definition{definition(t)}); err != nil {
		t.Fatal(err)
	}
	var all []Metric
	if err := json.Unmarshal(b.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	byName := map[string]Metric{}
	for _, m := range all {
		byName[m.Name] = m
	}
	value := byName["sample_value_bytes"]
	if value.Type != "gauge" || value.Collector != "sample" || value.Every != 60 ||
		strings.Join(value.Labels, ",") != "repository,name,side" || strings.Join(value.Values["side"], ",") != "far,near" {
		t.Errorf("%+v", value)
	}
	for name, want := range map[string]string{"sample_seen_total": "counter", "sample_state": "gauge", "sample_info": "gauge", "sample_seconds": "histogram"} {
		if byName[name].Type != want {
			t.Errorf("%s is a %q, want %s", name, byName[name].Type, want)
		}
	}
	if byName["sample_seen_total"].Compat != "other_exporter" {
		t.Error("compat is lost")
	}
	if up := byName["vulcan_collector_up"]; up.Collector != "" || strings.Join(up.Labels, ",") != "collector,source" {
		t.Errorf("%+v", up)
	}
}

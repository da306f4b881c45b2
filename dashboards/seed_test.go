package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"vulcan.lan/vulcan_exporter/collectors"
	"vulcan.lan/vulcan_exporter/internal/docs"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// declared is a metric as the exporter's `docs --json` and alerts/catalogue say it.
type declared struct {
	Name   string              `json:"name" yaml:"name"`
	Type   string              `json:"type" yaml:"type"`
	Labels []string            `json:"labels" yaml:"labels"`
	Values map[string][]string `json:"values" yaml:"values"`
	jobs   []string
}

// series is one time series of the seed.
type series struct {
	labels labelSet
	value  value
	seed   float64
}

// ports tell the exporters of a host apart.
var ports = map[string]string{"vulcan_exporter": "9847", "node": "9100", "nginx": "9113", "nginx_log": "3903", "postfix": "9154", "dovecot": "9166", "redis": "9121",
	"postgres": "9187", "nextcloud": "9205", "home_assistant": "8123", "prometheus": "9090", "alertmanager": "9093", "loki": "3100", "grafana": "3000", "victoriametrics": "8428"}

// declarations returns all metrics, ours and those of the catalogue that we have not.
func declarations(t testing.TB) []declared {
	t.Helper()
	var out bytes.Buffer
	if err := docs.JSON(&out, collectors.All()); err != nil {
		t.Fatal(err)
	}
	var all []declared
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for i := range all {
		all[i].jobs, known[all[i].Name] = []string{"vulcan_exporter"}, true
	}
	paths, err := filepath.Glob("../alerts/catalogue/*.yml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no catalogue: %v", err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Exporter string     `yaml:"exporter"`
			Jobs     []string   `yaml:"jobs"`
			Metrics  []declared `yaml:"metrics"`
		}
		if err := yaml.Unmarshal(content, &file); err != nil {
			t.Fatal(err)
		}
		if len(file.Jobs) == 0 {
			file.Jobs = []string{"vulcan_exporter"}
		}
		for _, m := range file.Metrics {
			if m.Name != "ALERTS" && m.Name != "up" && !known[m.Name] {
				m.jobs = file.Jobs
				all = append(all, m)
			}
		}
	}
	return all
}

// story returns the series of one host, of the metrics that used contains.
func story(t testing.TB, host string, used map[string]bool) []series {
	t.Helper()
	var all []series
	jobs := map[string]bool{}
	for _, m := range declarations(t) {
		for _, job := range m.jobs {
			jobs[job] = true
			for _, instance := range instances(job, host) {
				for _, labels := range expand(m) {
					all = append(all, m.series(labels, job, instance, used)...)
				}
			}
		}
	}
	for job := range jobs {
		for _, instance := range instances(job, host) {
			labels := maps.Clone(instance)
			labels["__name__"], labels["job"] = "up", job
			all = append(all, newSeries(labels))
		}
	}
	return all
}

// instances are the targets of a job, with the labels that the scrape configuration sets.
func instances(job, host string) []labelSet {
	switch job {
	case "blackbox_http":
		return each("service", func(s string) labelSet { return labelSet{"instance": "https://" + s + "." + host + ".lan/"} }, "nextcloud", "grafana", "wallabag")
	case "blackbox_tcp":
		return []labelSet{{"instance": "imap." + host + ".lan:993", "service": "imap"}}
	case "blackbox_dns":
		return []labelSet{{"instance": "192.168.1.2", "service": "dns"}}
	case "blackbox_icmp":
		return []labelSet{{"instance": "192.168.1.1", "service": "router"}, {"instance": "9.9.9.9", "service": "internet"}}
	}
	return []labelSet{{"instance": host + ":" + ports[job]}}
}

// expand gives each set of the metric's labels: closed ones in all their values, open ones as
// the story has them.
func expand(m declared) []labelSet {
	var sets []labelSet
	seen := map[string]bool{}
	for _, thing := range setsFor(m.Name) {
		set := labelSet{}
		for _, label := range m.Labels {
			if v := thing[label]; v != "" && (m.Values[label] == nil || slices.Contains(m.Values[label], v)) {
				set[label] = v
			} else if label == "source" {
				set[label] = "default"
			}
		}
		if key := fmt.Sprint(set); !seen[key] {
			seen[key] = true
			sets = append(sets, set)
		}
	}
	// A set that says less than another of the same metric is not one of its things.
	most := 0
	for _, set := range sets {
		most = max(most, len(set))
	}
	sets = slices.DeleteFunc(sets, func(s labelSet) bool { return len(s) < most })
	for _, label := range slices.Sorted(maps.Keys(m.Values)) {
		var more []labelSet
		for _, set := range sets {
			if set[label] != "" {
				more = append(more, set)
				continue
			}
			for _, v := range m.Values[label] {
				with := maps.Clone(set)
				with[label] = v
				more = append(more, with)
			}
		}
		sets = more
	}
	return sets
}

// bounds are the buckets of the story's histograms.
var bounds = []string{"0.1", "0.5", "1", "5", "10", "30", "60", "10000", "+Inf"}

func (m declared) series(labels labelSet, job string, instance labelSet, used map[string]bool) []series {
	full := maps.Clone(labels)
	full["job"] = job
	maps.Copy(full, instance)
	named := func(suffix string) labelSet {
		l := maps.Clone(full)
		l["__name__"] = m.Name + suffix
		return l
	}
	if m.Type != "histogram" {
		if !used[m.Name] {
			return nil
		}
		return []series{newSeries(named(""))}
	}
	var all []series
	if used[m.Name+"_count"] || used[m.Name+"_sum"] {
		all = append(all, newSeries(named("_count")), newSeries(named("_sum")))
	}
	if used[m.Name+"_bucket"] {
		base := newSeries(named(""))
		for i, le := range bounds {
			l := named("_bucket")
			l["le"] = le
			part := min(1, 0.05+0.16*float64(i))
			all = append(all, series{l, func(at moment, seed float64) (float64, bool) {
				v, ok := base.value(at, base.seed)
				return v * part, ok
			}, base.seed})
		}
	}
	return all
}

func newSeries(labels labelSet) series {
	text := labels.String()
	return series{labels, valueOf(text), seedOf(text)}
}

// String writes a series as rules do.
func (l labelSet) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(l)) {
		if name != "__name__" && name != "instance" {
			parts = append(parts, name+"="+strconv.Quote(l[name]))
		}
	}
	return l["__name__"] + "{" + strings.Join(parts, ",") + "}"
}

// recorded returns what collectors made of captured inputs of real systems: the golden files of
// their tests, as a host of its own.
func recorded(t testing.TB, end time.Time) []series {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(testenv.Root(t), "collectors/*/testdata/*/want.prom"))
	if err != nil || len(paths) < 5 {
		t.Fatalf("golden files: %v %v", paths, err)
	}
	// And a host of which nothing can be read.
	all := []series{{labelSet{"__name__": "up", "job": "node", "instance": "spare:9100"}, is(0), 0}}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// Their T stands for a time that is another in each run.
		content = bytes.ReplaceAll(content, []byte(" T\n"), fmt.Appendf(nil, " %d\n", end.Add(-time.Hour).Unix()))
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(bytes.NewReader(content))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		// Two captures of one collector are two hosts.
		host := filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(path)))) + "-" + filepath.Base(filepath.Dir(path))
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(end.UnixNano())}, slices.Collect(maps.Values(families))...)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, s := range samples {
			labels := labelSet{"job": "vulcan_exporter", "instance": host + ":9847"}
			for name, v := range s.Metric {
				labels[string(name)] = string(v)
			}
			all = append(all, series{labels, is(float64(s.Value)), 0})
		}
	}
	return all
}

// Package collectortest checks collectors: the series of one run against a
// recorded exposition, their declarations against the field's naming rules,
// and what is emitted against what is declared.
package collectortest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/command"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/state"
	"vulcan.lan/vulcan_exporter/internal/systemd"
)

var update = flag.Bool("update", false, "rewrite the recorded expositions")

// Now is the moment at which golden tests run, so that nothing recorded
// depends on the day.
var Now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Env is the environment of a test: the real command runner, a clock that
// stands at Now, a log into the test's output, and state in a folder of the
// test. Tests change fields as they need.
func Env(t testing.TB) collector.Env {
	t.Helper()
	logger := Logger(t)
	store, unlock, err := state.Open(t.TempDir(), logger).Source("test", "default")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	hub := systemd.NewHub(logger)
	t.Cleanup(func() { _ = hub.Close() })
	return collector.Env{
		Source: "default", Interval: time.Minute, Logger: logger,
		Now:  func() time.Time { return Now },
		Exec: command.Exec{}, Systemd: hub, State: store,
	}
}

// Load decodes one collector's YAML (what stands below its key) and returns
// its sources.
func Load(t testing.TB, d *collector.Definition, yaml string) []collector.Source {
	t.Helper()
	indented := d.Name + ":\n  " + strings.ReplaceAll(strings.TrimSpace(yaml), "\n", "\n  ") + "\n"
	sources, err := collector.Load("test.yml", []byte(indented), []*collector.Definition{d})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// Run makes the collector of a source, runs it once and closes it. Its
// inventory is part of the batch. A wrong emission fails the test.
func Run(t testing.TB, s collector.Source, env collector.Env) (*metric.Batch, error) {
	t.Helper()
	c, err := s.New(env)
	if err != nil {
		t.Fatal(err)
	}
	if closer, ok := c.(collector.Closer); ok {
		defer closer.Close()
	}
	return Collect(t, s, c)
}

// Collect runs a collector once more.
func Collect(t testing.TB, s collector.Source, c collector.Collector) (*metric.Batch, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	defer cancel()
	out := s.Batch()
	s.Inventory(out)
	err := c.Collect(ctx, out)
	if invalid := out.Err(); invalid != nil {
		t.Errorf("%s: invalid batch: %v", s.ID(), invalid)
	}
	return out, err
}

// Text is the exposition of batches, in the text format.
func Text(t testing.TB, batches ...*metric.Batch) string {
	t.Helper()
	merged := map[string]*dto.MetricFamily{}
	for _, b := range batches {
		for _, mf := range b.MetricFamilies() {
			if have := merged[mf.GetName()]; have != nil {
				have.Metric = append(have.Metric, mf.Metric...)
			} else {
				merged[mf.GetName()] = mf
			}
		}
	}
	var names []string
	for name := range merged {
		names = append(names, name)
	}
	slices.Sort(names)
	var buf bytes.Buffer
	for _, name := range names {
		if _, err := expfmt.MetricFamilyToText(&buf, merged[name]); err != nil {
			t.Fatal(err)
		}
	}
	return buf.String()
}

// Want compares an exposition with a recorded file; -update rewrites it.
func Want(t testing.TB, got, file string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s does not exist; run go test -update and read what it wrote", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffLines(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// Golden runs a source with the config in dir/config.yml (below the
// collector's key; $DIR stands for dir) and compares with dir/want.prom.
func Golden(t *testing.T, d *collector.Definition, dir string, env collector.Env) {
	t.Helper()
	config, err := os.ReadFile(filepath.Join(dir, "config.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var batches []*metric.Batch
	for _, s := range Load(t, d, strings.ReplaceAll(string(config), "$DIR", dir)) {
		out, err := Run(t, s, env)
		if err != nil {
			t.Errorf("%s: %v", s.ID(), err)
		}
		batches = append(batches, out)
	}
	Want(t, Text(t, batches...), filepath.Join(dir, "want.prom"))
}

// Lint checks the declarations of a collector: promlint, the project's own
// rules on names, and that every name has the collector's prefix.
func Lint(t testing.TB, d *collector.Definition) {
	t.Helper()
	seen := map[string]bool{}
	for _, m := range d.Metrics {
		desc := m.Desc()
		if seen[desc.Name] {
			t.Errorf("%s is declared twice", desc.Name)
		}
		seen[desc.Name] = true
		for _, l := range desc.Labels {
			if slices.Contains([]string{"job", "instance", "le", "quantile", d.SourceLabel}, l.Name) {
				t.Errorf("%s: label %s is reserved", desc.Name, l.Name)
			}
		}
		if !strings.HasSuffix(desc.Help, ".") {
			t.Errorf("%s: help is not a sentence: %q", desc.Name, desc.Help)
		}
		if desc.Compat == "" {
			lintName(t, d, desc)
		}
	}
}

func lintName(t testing.TB, d *collector.Definition, desc *metric.Desc) {
	if !strings.HasPrefix(desc.Name, d.Prefix) {
		t.Errorf("%s: name lacks the prefix %s", desc.Name, d.Prefix)
	}
	if (desc.Kind == metric.KindInfo) != strings.HasSuffix(desc.Name, "_info") {
		t.Errorf("%s: _info names are for info metrics and only for them", desc.Name)
	}
	mf := &dto.MetricFamily{Name: &desc.Name, Help: &desc.Help, Type: desc.Type().Enum()}
	problems, err := promlint.NewWithMetricFamilies([]*dto.MetricFamily{mf}).Lint()
	if err != nil {
		t.Error(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Covered fails for each declared metric that no batch holds: a name that is
// never emitted is a name that alerts wait for in vain.
func Covered(t testing.TB, d *collector.Definition, batches ...*metric.Batch) {
	t.Helper()
	emitted := map[string]bool{}
	for _, b := range batches {
		for _, mf := range b.MetricFamilies() {
			emitted[mf.GetName()] = true
		}
	}
	for _, m := range d.Metrics {
		if name := m.Desc().Name; !emitted[name] {
			t.Errorf("%s is declared but no test case emits it", name)
		}
	}
}

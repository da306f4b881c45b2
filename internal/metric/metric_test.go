package metric

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var (
	gauge   = NewGauge("x_gauge", "A gauge.", Labels("a", "b"))
	total   = NewCounter("x_total", "A counter.", Closed("reason", "one", "two"))
	state   = NewState("x_state", "A state.", []string{"on", "off"}, Labels("name"))
	facts   = NewInfo("x_info", "Facts.", Labels("version"))
	latency = NewHistogram("x_seconds", "A latency.", []float64{0.1, 1})
	other   = NewGauge("x_other", "Not declared.")
	all     = []Metric{gauge, total, state, facts, latency}
)

func batch(budget int) *Batch { return NewBatch(all, "source", "s", budget) }

func text(t *testing.T, b *Batch) string {
	t.Helper()
	families := b.Families()
	var buf bytes.Buffer
	if err := WriteText(&buf, families); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestExposition(t *testing.T) {
	b := batch(0)
	b.Gauge(gauge, 2, "z", "quote\" slash\\ line\n")
	b.Gauge(gauge, 1, "a", "ü")
	b.Counter(total, 5, "one")
	b.State(state, "off", "u")
	b.State(state, "new in a later version", "v")
	b.Info(facts, "1.2")
	b.Histogram(latency, 3, 1.5, []uint64{1, 3})
	b.Time(gauge, time.Unix(1700000000, 250e6), "t", "")
	b.Time(gauge, time.Time{}, "never", "")
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	want := `# HELP x_gauge A gauge.
# TYPE x_gauge gauge
x_gauge{source="s",a="a",b="ü"} 1
x_gauge{source="s",a="t",b=""} 1.70000000025e+09
x_gauge{source="s",a="z",b="quote\" slash\\ line\n"} 2
# HELP x_info Facts.
# TYPE x_info gauge
x_info{source="s",version="1.2"} 1
# HELP x_seconds A latency.
# TYPE x_seconds histogram
x_seconds_bucket{source="s",le="0.1"} 1
x_seconds_bucket{source="s",le="1"} 3
x_seconds_bucket{source="s",le="+Inf"} 3
x_seconds_sum{source="s"} 1.5
x_seconds_count{source="s"} 3
# HELP x_state A state.
# TYPE x_state gauge
x_state{source="s",name="u",state="off"} 1
x_state{source="s",name="u",state="on"} 0
x_state{source="s",name="v",state="off"} 0
x_state{source="s",name="v",state="on"} 0
# HELP x_total A counter.
# TYPE x_total counter
x_total{source="s",reason="one"} 5
`
	got := text(t, b)
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(got)); err != nil {
		t.Errorf("the text format's own parser: %v", err)
	}
}

// Each wrong emission is told and leaves the others alone.
func TestInvalid(t *testing.T) {
	for name, c := range map[string]struct {
		emit func(b *Batch)
		want string
	}{
		"twice":          {func(b *Batch) { b.Gauge(gauge, 1, "1", "2"); b.Gauge(gauge, 1, "1", "2") }, "emitted twice"},
		"few labels":     {func(b *Batch) { b.Gauge(gauge, 1, "1") }, "1 label values for 2"},
		"not declared":   {func(b *Batch) { b.Gauge(other, 1) }, "not among"},
		"open value":     {func(b *Batch) { b.Counter(total, 1, "three") }, "is not one of"},
		"not UTF-8":      {func(b *Batch) { b.Gauge(gauge, 1, "\xff", "") }, "not UTF-8"},
		"negative":       {func(b *Batch) { b.Counter(total, -1, "one") }, "counter value -1"},
		"NaN":            {func(b *Batch) { b.Gauge(gauge, math.NaN(), "", "") }, "NaN"},
		"bucket count":   {func(b *Batch) { b.Histogram(latency, 1, 1, []uint64{1}) }, "1 bucket counts for 2"},
		"not cumulative": {func(b *Batch) { b.Histogram(latency, 9, 1, []uint64{3, 2}) }, "not cumulative"},
	} {
		t.Run(name, func(t *testing.T) {
			b := batch(0)
			c.emit(b)
			if err := b.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestLabelsAreCopied(t *testing.T) {
	b := batch(0)
	labels := []string{"first", ""}
	b.Gauge(gauge, 1, labels...)
	labels[0] = "second"
	b.Gauge(gauge, 2, labels...)
	if got := text(t, b); !strings.Contains(got, `a="first",b=""} 1`) || !strings.Contains(got, `a="second",b=""} 2`) {
		t.Error(got)
	}
}

func TestBudget(t *testing.T) {
	b := batch(4)
	b.Gauge(gauge, 1, "1", "")
	b.Histogram(latency, 0, 0, []uint64{0, 0}) // 5 series do not fit
	b.Gauge(gauge, 1, "2", "")
	b.State(state, "on", "u")
	b.Info(facts, "1")
	if b.Series() != 4 || b.Dropped() != 6 {
		t.Errorf("%d kept, %d dropped, want 4 and 6", b.Series(), b.Dropped())
	}
}

func TestOpenMetrics(t *testing.T) {
	b := batch(0)
	b.Counter(total, 5, "one")
	encoded, err := b.Families()[0].OpenMetrics()
	if err != nil {
		t.Fatal(err)
	}
	got := string(encoded.Header) + string(encoded.Samples)
	want := "# HELP x A counter.\n# TYPE x counter\nx_total{source=\"s\",reason=\"one\"} 5.0\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func BenchmarkSeal8000(b *testing.B) {
	names := make([]string, 1600)
	for i := range names {
		names[i] = "unit-" + strings.Repeat("x", 20) + string(rune('a'+i%26)) + strings.Repeat("y", i/26) + ".service"
	}
	states := NewState("x_unit_state", "A state.", []string{"active", "activating", "deactivating", "failed", "inactive"}, Labels("name"))
	for b.Loop() {
		batch := NewBatch([]Metric{states}, "source", "s", 0)
		for _, n := range names {
			batch.State(states, "active", n)
		}
		for _, f := range batch.Families() {
			if _, err := f.OpenMetrics(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

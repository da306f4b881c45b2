package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/command"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/state"
	"vulcan.lan/vulcan_exporter/internal/systemd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	value      = metric.NewGauge("test_value", "A measured value.", metric.Labels("n"))
	attempted  = metric.NewCounter("test_attempts_total", "Attempts.", metric.Live())
	configured = metric.NewGauge("test_configured", "1 for what is configured.", metric.Live())
)

// behaviour is a collector whose runs the test decides.
type behaviour struct {
	collect func(ctx context.Context, out *metric.Batch) error
	run     func(ctx context.Context) error
	closed  atomic.Int32
}

func (b *behaviour) Collect(ctx context.Context, out *metric.Batch) error { return b.collect(ctx, out) }
func (b *behaviour) Run(ctx context.Context) error {
	if b.run == nil {
		<-ctx.Done()
		return nil
	}
	return b.run(ctx)
}
func (b *behaviour) Close() error { b.closed.Add(1); return nil }

type settings struct {
	Value string `yaml:"value"`
}

// source makes a source of the behaviour. version distinguishes configs.
func source(t *testing.T, name string, every time.Duration, version string, b collector.Collector) collector.Source {
	t.Helper()
	d := collector.Define(collector.Spec[settings]{
		Name: name, Prefix: "test_", Metrics: []metric.Metric{value, attempted, configured},
		Every: every, Timeout: 10 * time.Second, Budget: 100,
		Inventory: func(_ settings, out *metric.Batch) { out.Gauge(configured, 1) },
		New:       func(settings, collector.Env) (collector.Collector, error) { return b, nil },
	})
	return load(t, d, version)
}

// load makes the one source of a collector.
func load(t *testing.T, d *collector.Definition, value string) collector.Source {
	t.Helper()
	sources, err := collector.Load("test", fmt.Appendf(nil, "%s: {value: %q}", d.Name, value), []*collector.Definition{d})
	if err != nil {
		t.Fatal(err)
	}
	return sources[0]
}

func manager(t *testing.T) *Manager {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	hub := systemd.NewHub(logger)
	m := New(Deps{Logger: logger, Now: time.Now, Exec: command.Exec{}, Systemd: hub, State: state.Open(t.TempDir(), logger)})
	t.Cleanup(func() {
		if err := m.Close(t.Context()); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := hub.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func gather(m *Manager) string {
	var b strings.Builder
	parts := m.Gather(context.Background(), func(string) bool { return true }, 5*time.Second)
	for _, part := range parts {
		if err := metric.WriteText(&b, part); err != nil {
			panic(err)
		}
	}
	return b.String()
}

func has(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("missing %s\nin:\n%s", line, text)
		}
	}
}

func hasNot(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("unexpected %s", part)
		}
	}
}

// A good value is served for three intervals after the last success and then
// dropped, while live metrics come from the latest attempt.
func TestFreshness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t)
		defer m.Close(context.Background())
		var broken atomic.Bool
		attempts := 0.0
		m.Apply([]collector.Source{source(t, "a", time.Hour, "", &behaviour{collect: func(_ context.Context, out *metric.Batch) error {
			attempts++
			out.Counter(attempted, attempts)
			if broken.Load() {
				return errors.New("cannot find out")
			}
			out.Gauge(value, 7, "x")
			return nil
		}})})
		has(t, gather(m), `test_configured{source="default"} 1`) // before any run
		hasNot(t, gather(m), "test_value", "vulcan_collector_up", "vulcan_collector_last_success")
		time.Sleep(6 * time.Second)
		synctest.Wait()
		good := `test_value{source="default",n="x"} 7`
		has(t, gather(m), good, `vulcan_collector_up{collector="a",source="default"} 1`,
			`vulcan_collector_interval_seconds{collector="a",source="default"} 3600`)

		broken.Store(true)
		time.Sleep(time.Hour)
		synctest.Wait()
		has(t, gather(m), good, `test_attempts_total{source="default"} 2`, `test_configured{source="default"} 1`,
			`vulcan_collector_up{collector="a",source="default"} 0`,
			`vulcan_collector_failures_total{collector="a",source="default",reason="error"} 1`)
		time.Sleep(time.Hour + 55*time.Minute)
		has(t, gather(m), good)
		time.Sleep(6 * time.Minute)
		hasNot(t, gather(m), "test_value")

		broken.Store(false)
		time.Sleep(time.Hour)
		has(t, gather(m), good, `vulcan_collector_up{collector="a",source="default"} 1`)
	})
}

// A clock that is set forward makes old values too old; one that is set back
// does not make them young.
func TestAgeSurvivesClockJumps(t *testing.T) {
	then := time.Now()
	if got := Age(then.Add(time.Minute), then); got != time.Minute {
		t.Errorf("age = %s", got)
	}
	setForward := then.Round(0).Add(2 * time.Hour) // wall clock only
	if got := Age(setForward, then); got != 2*time.Hour {
		t.Errorf("age after a forward jump = %s", got)
	}
}

// After failures the next try comes after a minute, doubling up to the interval.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t)
		defer m.Close(context.Background())
		var at []time.Duration
		begun := time.Now()
		m.Apply([]collector.Source{source(t, "a", 6*time.Minute, "", &behaviour{collect: func(context.Context, *metric.Batch) error {
			at = append(at, time.Since(begun))
			return errors.New("no")
		}})})
		time.Sleep(22 * time.Minute)
		synctest.Wait()
		want := []time.Duration{0, time.Minute, 3 * time.Minute, 7 * time.Minute, 13 * time.Minute, 19 * time.Minute}
		if len(at) != len(want) {
			t.Fatalf("attempts at %v, want %d", at, len(want))
		}
		for i := range want {
			if at[i]-at[0] != want[i] {
				t.Errorf("attempt %d after %s, want %s", i, at[i]-at[0], want[i])
			}
		}
	})
}

// One bad source of every kind beside a good one: the good one is served, and
// each fault is told by its reason.
func TestIsolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t)
		defer m.Close(context.Background())
		release := make(chan struct{})
		defer close(release)
		good := func(_ context.Context, out *metric.Batch) error { out.Gauge(value, 1, "good"); return nil }
		kinds := map[string]func(ctx context.Context, out *metric.Batch) error{
			"good":   good,
			"panics": func(context.Context, *metric.Batch) error { panic("a defect") },
			"hangs":  func(ctx context.Context, _ *metric.Batch) error { <-ctx.Done(); return ctx.Err() },
			"stuck":  func(context.Context, *metric.Batch) error { <-release; return nil },
			"twice": func(_ context.Context, out *metric.Batch) error {
				out.Gauge(value, 1, "x")
				out.Gauge(value, 2, "x")
				return nil
			},
			"floods": func(_ context.Context, out *metric.Batch) error {
				for i := range 1_000_000 {
					out.Gauge(value, 1, fmt.Sprint(i))
				}
				return nil
			},
		}
		var sources []collector.Source
		for name, collect := range kinds {
			sources = append(sources, source(t, name, time.Minute, "", &behaviour{collect: collect}))
		}
		m.Apply(sources)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		text := gather(m)
		failed := func(name, reason string) string {
			return fmt.Sprintf(`vulcan_collector_failures_total{collector=%q,source="default",reason=%q} 1`, name, reason)
		}
		has(t, text, `test_value{source="default",n="good"} 1`,
			`vulcan_collector_up{collector="good",source="default"} 1`,
			failed("panics", "panic"), failed("hangs", "timeout"), failed("stuck", "timeout"), failed("twice", "invalid"),
			`vulcan_collector_in_flight{collector="stuck",source="default"} 1`,
			`vulcan_collector_in_flight{collector="hangs",source="default"} 0`,
			`vulcan_collector_up{collector="floods",source="default"} 1`,
			`vulcan_collector_series{collector="floods",source="default"} 100`,
			`vulcan_collector_series_dropped_total{collector="floods",source="default"} 999901`)
		hasNot(t, text, `n="x"`)
	})
}

// A run that ignores its context is not started again before it returns.
func TestStuckRunIsNotStartedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t)
		defer m.Close(context.Background())
		var running, most atomic.Int32
		release := make(chan struct{})
		m.Apply([]collector.Source{source(t, "a", time.Minute, "", &behaviour{collect: func(context.Context, *metric.Batch) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			<-release
			return nil
		}})})
		time.Sleep(time.Hour)
		if most.Load() != 1 {
			t.Errorf("%d runs at once", most.Load())
		}
		close(release)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		has(t, gather(m), `vulcan_collector_up{collector="a",source="default"} 1`)
	})
}

// Scrapes share a run; one that does not end in their budget is not waited
// for, and its older snapshot is not shown.
func TestAtScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t)
		defer m.Close(context.Background())
		var runs atomic.Int32
		var slow atomic.Bool
		m.Apply([]collector.Source{source(t, "a", 0, "", &behaviour{collect: func(ctx context.Context, out *metric.Batch) error {
			runs.Add(1)
			out.Gauge(value, 1, "x")
			if slow.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			time.Sleep(time.Second)
			return nil
		}})})
		time.Sleep(2 * time.Second)
		texts := make(chan string, 20)
		for range 20 {
			go func() { texts <- gather(m) }()
		}
		for range 20 {
			text := <-texts
			has(t, text, `test_value{source="default",n="x"} 1`)
			hasNot(t, text, "vulcan_collector_interval_seconds")
		}
		if runs.Load() != 2 { // the first attempt and one for all scrapes
			t.Errorf("%d runs for 20 scrapes", runs.Load())
		}
		slow.Store(true)
		begun := time.Now()
		text := gather(m)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("a scrape took %s", took)
		}
		has(t, text, `test_configured{source="default"} 1`)
		hasNot(t, text, "test_value")
	})
}

// A run that found nothing changed renews the last one; without a last one it
// is a failure.
func TestUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t)
		defer m.Close(context.Background())
		runs := 0
		m.Apply([]collector.Source{source(t, "a", time.Minute, "", &behaviour{collect: func(_ context.Context, out *metric.Batch) error {
			if runs++; runs == 2 {
				out.Gauge(value, 1, "x")
				return nil
			}
			return collector.ErrUnchanged
		}})})
		time.Sleep(10 * time.Second)
		has(t, gather(m), `vulcan_collector_failures_total{collector="a",source="default",reason="error"} 1`)
		time.Sleep(time.Hour)
		synctest.Wait()
		has(t, gather(m), `test_value{source="default",n="x"} 1`, `vulcan_collector_up{collector="a",source="default"} 1`,
			`vulcan_collector_failures_total{collector="a",source="default",reason="error"} 1`)
	})
}

// A run that found nothing changed publishes again what lacks the series beyond the budget, so
// they are counted again: increase() does not see a counter that was born above 0 and then rests.
func TestUnchangedDropsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t)
		defer m.Close(context.Background())
		runs := 0
		m.Apply([]collector.Source{source(t, "a", time.Minute, "", &behaviour{collect: func(_ context.Context, out *metric.Batch) error {
			if runs++; runs > 1 {
				return collector.ErrUnchanged
			}
			for i := range 150 {
				out.Gauge(value, 1, strconv.Itoa(i))
			}
			return nil
		}})})
		time.Sleep(10 * time.Second)
		has(t, gather(m), `vulcan_collector_series_dropped_total{collector="a",source="default"} 51`)
		time.Sleep(time.Minute)
		synctest.Wait()
		has(t, gather(m), `vulcan_collector_series_dropped_total{collector="a",source="default"} 102`)
	})
}

// A reload keeps unchanged sources, ends changed ones completely before their
// successor starts, and drops removed ones.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t)
		defer m.Close(context.Background())
		var mu sync.Mutex
		var order []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what)
		}
		instance := func(name string) *behaviour {
			b := &behaviour{}
			b.collect = func(context.Context, *metric.Batch) error {
				note(name + " collect")
				return nil
			}
			b.run = func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second)
				note(name + " ended")
				return nil
			}
			return b
		}
		kept, old, next := instance("kept"), instance("old"), instance("next")
		m.Apply([]collector.Source{source(t, "a", time.Minute, "1", kept), source(t, "b", time.Minute, "1", old)})
		time.Sleep(10 * time.Second)
		m.Apply([]collector.Source{source(t, "a", time.Minute, "1", instance("unused")), source(t, "b", time.Minute, "2", next)})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		mu.Lock()
		got := strings.Join(order, ", ")
		mu.Unlock()
		if want := "old ended, next collect"; !strings.HasSuffix(got, want) {
			t.Errorf("order %s, want ... %s", got, want)
		}
		if old.closed.Load() != 1 || kept.closed.Load() != 0 {
			t.Errorf("closed: old %d, kept %d", old.closed.Load(), kept.closed.Load())
		}
		m.Apply(nil)
		time.Sleep(2 * time.Second)
		hasNot(t, gather(m), "test_", `collector="a"`)
		if kept.closed.Load() != 1 {
			t.Error("removed source was not closed")
		}
	})
}

// Background work that ends or panics is started again with backoff, counted.
func TestSupervision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t)
		defer m.Close(context.Background())
		starts := 0
		m.Apply([]collector.Source{source(t, "a", time.Minute, "", &behaviour{
			collect: func(context.Context, *metric.Batch) error { return nil },
			run: func(ctx context.Context) error {
				switch starts++; starts {
				case 1:
					panic("a defect")
				case 2:
					return errors.New("lost the connection")
				}
				<-ctx.Done()
				return nil
			},
		})})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if starts != 3 {
			t.Errorf("%d starts, want 3", starts)
		}
		has(t, gather(m), `vulcan_collector_failures_total{collector="a",source="default",reason="panic"} 1`,
			`vulcan_collector_failures_total{collector="a",source="default",reason="error"} 1`)
	})
}

// Debug shows the log, the metrics and the config of one pass.
func TestDebug(t *testing.T) {
	var logger *slog.Logger
	d := collector.Define(collector.Spec[settings]{
		Name: "a", Prefix: "test_", Metrics: []metric.Metric{value}, Every: time.Hour, Timeout: time.Second,
		New: func(_ settings, env collector.Env) (collector.Collector, error) {
			logger = env.Logger
			return &behaviour{collect: func(_ context.Context, out *metric.Batch) error {
				logger.Debug("looked at it", "n", 3)
				out.Gauge(value, 3, "x")
				return nil
			}}, nil
		},
	})
	m := manager(t)
	m.Apply([]collector.Source{load(t, d, "secretless")})
	var b strings.Builder
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(b.String(), "looked at it"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no log line in\n%s", b.String())
		}
		b.Reset()
		if err := m.Debug(context.Background(), "a/default", &b); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range []string{`test_value{source="default",n="x"} 3`, "value: secretless", "# up true"} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("missing %q in\n%s", part, b.String())
		}
	}
	if err := m.Debug(context.Background(), "a/nobody", &b); err == nil {
		t.Error("an unknown source has a debug page")
	}
}

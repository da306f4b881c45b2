package runner

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/state"
)

// What is true of the latest attempt only is not shown for longer than what it measured: a run
// that hangs, or a machine that slept, would freeze it.
func TestLiveMetricsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t)
		defer m.Close(context.Background())
		runs := 0
		m.Apply([]collector.Source{source(t, "a", time.Second, "", &behaviour{collect: func(ctx context.Context, out *metric.Batch) error {
			if runs++; runs > 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			out.Counter(attempted, 1)
			return nil
		}})})
		time.Sleep(2 * time.Second)
		has(t, gather(m), `test_attempts_total{source="default"} 1`)
		time.Sleep(3 * time.Second)
		text := gather(m)
		has(t, text, `test_configured{source="default"} 1`, `vulcan_collector_in_flight{collector="a",source="default"} 1`)
		hasNot(t, text, "test_attempts_total")
	})
}

// A source that is removed while a scrape waits for its run does not answer with the run before.
func TestRemovedDuringScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t)
		defer m.Close(context.Background())
		runs := 0
		m.Apply([]collector.Source{source(t, "a", 0, "", &behaviour{collect: func(ctx context.Context, out *metric.Batch) error {
			out.Gauge(value, 1, "x")
			if runs++; runs > 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}})})
		time.Sleep(time.Second)
		text := make(chan string, 1)
		go func() { text <- gather(m) }()
		synctest.Wait()
		m.Apply(nil)
		if got := <-text; strings.Contains(got, "test_value") {
			t.Errorf("a value of an earlier scrape:\n%s", got)
		}
		if runs != 2 {
			t.Errorf("%d runs, want 2", runs)
		}
	})
}

// tenacious is a behaviour whose background work takes its time to end.
func tenacious() *behaviour {
	return &behaviour{
		collect: func(context.Context, *metric.Batch) error { return nil },
		run: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(20 * time.Second)
			return nil
		},
	}
}

// A source that was removed and comes back waits for its last life, which holds its state.
func TestRemovedAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t)
		defer m.Close(context.Background())
		first := tenacious()
		closed := int32(-1)
		second := &behaviour{collect: func(context.Context, *metric.Batch) error {
			closed = first.closed.Load()
			return nil
		}}
		m.Apply([]collector.Source{source(t, "a", time.Minute, "", first)})
		time.Sleep(10 * time.Second)
		m.Apply(nil)
		m.Apply([]collector.Source{source(t, "a", time.Minute, "", second)})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if closed != 1 {
			t.Errorf("closed when the next began: %d (-1: it did not)", closed)
		}
		has(t, gather(m), `vulcan_collector_failures_total{collector="a",source="default",reason="error"} 0`)
	})
}

// The end of the process waits for removed sources too.
func TestCloseWaitsForRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t)
		b := tenacious()
		m.Apply([]collector.Source{source(t, "a", time.Minute, "", b)})
		time.Sleep(10 * time.Second)
		m.Apply(nil)
		if err := m.Close(context.Background()); err != nil || b.closed.Load() != 1 {
			t.Errorf("Close: %v, closed %d", err, b.closed.Load())
		}
	})
}

// A panic while the collector is made does not keep the lock of its state: the next try would be
// told that another process has it.
func TestPanicInNew(t *testing.T) {
	var tries atomic.Int32
	d := collector.Define(collector.Spec[settings]{
		Name: "a", Prefix: "test_", Metrics: []metric.Metric{value}, Timeout: time.Second,
		New: func(settings, collector.Env) (collector.Collector, error) {
			if tries.Add(1) == 1 {
				panic("a defect")
			}
			return &behaviour{collect: func(context.Context, *metric.Batch) error { return nil }}, nil
		},
	})
	m := manager(t)
	m.Apply([]collector.Source{load(t, d, "x")})
	for deadline := time.Now().Add(10 * time.Second); !m.Status()[0].Up; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", m.Status()[0])
		}
		gather(m)
	}
	has(t, gather(m), `vulcan_collector_failures_total{collector="a",source="default",reason="panic"} 1`,
		`vulcan_collector_failures_total{collector="a",source="default",reason="error"} 0`)
}

// One pass for a person ends after its deadline, also where the collector does not look at it.
func TestOnceEnds(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	dir := state.ReadOnly(t.TempDir(), logger)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		stuck := source(t, "a", time.Minute, "", &behaviour{collect: func(context.Context, *metric.Batch) error { <-release; return nil }})
		begun := time.Now()
		err := Once(context.Background(), stuck, Deps{Logger: logger, Now: time.Now, State: dir}, io.Discard)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != stuck.Timeout+grace {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}

// Two debug pages of one source share its run and both have its log.
func TestTwoDebugPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logger *slog.Logger
		d := collector.Define(collector.Spec[settings]{
			Name: "a", Prefix: "test_", Metrics: []metric.Metric{value}, Every: time.Hour, Timeout: 10 * time.Second,
			New: func(_ settings, env collector.Env) (collector.Collector, error) {
				logger = env.Logger
				return &behaviour{collect: func(context.Context, *metric.Batch) error {
					time.Sleep(time.Second)
					logger.Debug("looked at it")
					return nil
				}}, nil
			},
		})
		m := manager(t)
		defer m.Close(context.Background())
		m.Apply([]collector.Source{load(t, d, "x")})
		synctest.Wait()
		pages := make([]strings.Builder, 2)
		var wait sync.WaitGroup
		for i := range pages {
			wait.Go(func() {
				if err := m.Debug(context.Background(), "a/default", &pages[i]); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		for i := range pages {
			if !strings.Contains(pages[i].String(), "looked at it") {
				t.Errorf("page %d has no log:\n%s", i, pages[i].String())
			}
		}
	})
}

package runner

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// staleAfter is how many intervals a good snapshot is served without being
// renewed.
const staleAfter = 3

// Gather returns what may be shown now: of each selected source its live
// metrics and, while it is fresh, its last good snapshot, then the exporter's
// own metrics about all sources. Sources without an interval are run, within
// budget.
func (m *Manager) Gather(ctx context.Context, selected func(collector string) bool, budget time.Duration) [][]metric.Family {
	var units []*unit
	for _, u := range m.snapshot() {
		if selected(u.src.Definition.Name) {
			units = append(units, u)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	out := make([][]metric.Family, len(units), len(units)+1)
	var wait sync.WaitGroup
	for i, u := range units {
		if u.src.Interval > 0 {
			out[i] = u.families()
			continue
		}
		wait.Go(func() { out[i] = u.scrape(ctx) })
	}
	wait.Wait()
	return append(out, m.self(units))
}

// scrape runs the source, or joins the run of another scrape, and returns
// what that run gave; nothing but live metrics if it did not end in time. The
// run has the source's own deadline: a scraper in a hurry must not make it
// fail for the others.
func (u *unit) scrape(ctx context.Context) []metric.Family {
	if c := u.start(); c != nil {
		select {
		case <-c.done:
		case <-ctx.Done():
			return u.inventory()
		}
	}
	return u.families()
}

// families is what may be shown of the source now.
func (u *unit) families() []metric.Family {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := u.live[:len(u.live):len(u.live)]
	switch {
	case u.src.Interval == 0 && !u.s.Up:
		return out
	case u.src.Interval > 0 && age(u.deps.Now(), u.s.LastSuccess) > staleAfter*u.src.Interval:
		return out
	}
	return append(out, u.good...)
}

// age is the larger of what the monotonic and the wall clock say: a suspended
// machine stops the first, a set clock moves the second, and a value that may
// be too old is one.
func age(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// Debug runs a source now, or joins its run, and writes a report for a person:
// the log of the pass, its metrics, its effective config.
func (m *Manager) Debug(ctx context.Context, id string, w io.Writer) error {
	m.mu.Lock()
	u := m.units[id]
	m.mu.Unlock()
	if u == nil {
		return fmt.Errorf("no source %q", id)
	}
	var log bytes.Buffer
	closed := u.tee.open(&log)
	c := u.start()
	if c != nil {
		select {
		case <-c.done:
		case <-ctx.Done():
		}
	}
	closed()
	s := u.status()
	fmt.Fprintf(w, "# source %s\n# up %v\n# last attempt %s, took %s\n", id, s.Up, s.LastAttempt.Format(time.RFC3339), s.LastDuration)
	if s.Error != "" {
		fmt.Fprintf(w, "# %s: %s\n", s.Reason, s.Error)
	}
	if c == nil || s.InFlight {
		fmt.Fprintln(w, "# a run is still in flight")
	}
	fmt.Fprintf(w, "\n## log\n%s\n## metrics\n", log.Bytes())
	if err := metric.WriteText(w, u.families()); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n## config (secrets are in files and not shown)\n%s", s.Config)
	return err
}

// Once makes a source's collector, runs it once and writes its metrics. It
// starts no background work; state is only read when deps.State is read-only.
func Once(ctx context.Context, s collector.Source, deps Deps, w io.Writer) error {
	u := newUnit(s, deps)
	defer u.cancel()
	store, unlock, err := deps.State.Source(s.Definition.Name, s.Name)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := s.New(u.env(store))
	if err != nil {
		return err
	}
	if closer, ok := c.(collector.Closer); ok {
		defer closer.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	batch := s.Batch()
	err = guard(func() error { s.Inventory(batch); return c.Collect(ctx, batch) })
	live, good, _, err := seal(outcome{batch, err}, ctx)
	if writeErr := metric.WriteText(w, append(live, good...)); writeErr != nil {
		return writeErr
	}
	return err
}

package runner

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

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
	known := make([]Status, len(units))
	var wait sync.WaitGroup
	for i, u := range units {
		if u.src.Interval > 0 {
			known[i], out[i] = u.look()
			continue
		}
		wait.Go(func() { known[i], out[i] = u.scrape(ctx) })
	}
	wait.Wait()
	return append(out, m.self(known))
}

// scrape runs the source, or joins the run of another scrape, and returns
// what that run gave; nothing but the inventory if it did not end in time. The
// run has the source's own deadline: a scraper in a hurry must not make it
// fail for the others.
func (u *unit) scrape(ctx context.Context) (Status, []metric.Family) {
	ended := false
	if c := u.start(); c != nil {
		select {
		case <-c.done:
			ended = true
		case <-ctx.Done():
		}
	}
	s, shown := u.look()
	if !ended {
		shown = u.configured
	}
	return s, shown
}

// look is what is known of the source and what may be shown of it, at one
// moment: a value must not go with the time of another run.
func (u *unit) look() (Status, []metric.Family) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.s
	s.InFlight = u.call != nil
	s.Failures = make(map[Reason]uint64, len(reasons))
	for _, r := range reasons {
		s.Failures[r] = u.s.Failures[r]
	}
	now := u.deps.Now()
	switch {
	case s.Interval == 0 && u.ctx.Err() != nil:
		return s, u.configured // the run that was waited for ended with the source: what is kept is older
	case s.Stale(now, s.LastAttempt):
		return s, u.configured
	case s.Interval == 0 && !s.Up, s.Stale(now, s.LastSuccess):
		return s, u.live
	}
	return s, slices.Concat(u.live, u.good)
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
	s, shown := u.look()
	fmt.Fprintf(w, "# source %s\n# up %v\n# last attempt %s, took %s\n", id, s.Up, s.LastAttempt.Format(time.RFC3339), s.LastDuration)
	if s.Error != "" {
		fmt.Fprintf(w, "# %s: %s\n", s.Reason, s.Error)
	}
	if c == nil || s.InFlight {
		fmt.Fprintln(w, "# a run is still in flight")
	}
	fmt.Fprintf(w, "\n## log\n%s\n## metrics\n", log.Bytes())
	if err := metric.WriteText(w, shown); err != nil {
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
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	result := make(chan outcome, 1)
	go func() {
		batch := s.Batch()
		err := guard(func() error {
			c, err := s.New(u.env(store))
			if err != nil {
				return err
			}
			if closer, ok := c.(collector.Closer); ok {
				defer closer.Close()
			}
			s.Inventory(batch)
			return c.Collect(ctx, batch)
		})
		result <- outcome{batch, err}
	}()
	var r outcome
	select {
	case r = <-result:
	case <-expired(ctx):
		return u.overdue(ctx)
	}
	live, good, _, err := seal(r, ctx)
	if writeErr := metric.WriteText(w, append(live, good...)); writeErr != nil {
		return writeErr
	}
	return err
}

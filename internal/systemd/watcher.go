// Package systemd watches service managers over D-Bus, for all collectors that look at units.
//
// System: systemd (system or user instance), any version from 240 on. Interface: the Manager,
// Unit, Service and Timer objects of org.freedesktop.systemd1(5). Privileges: none to read.
//
// One subscription keeps the state of all units of one manager; readers get an immutable
// snapshot and cause no D-Bus call. This is cheap (nothing happens while no unit changes, but for
// a ping every 5 s) and it is the only way to be right: a failure that lasts 100 ms, or a run
// that ends between two looks, is seen in the signals only.
//
// What is relied on (bus_unit_send_change_signal in systemd's dbus-unit.c): a change of a unit
// sends PropertiesChanged for its type's interface first, then for the Unit interface; each
// holds all properties that emit changes, with their values of that moment. Properties that emit
// none (load state, cgroup) are read once when a unit appears. Everything is read again after a
// lost connection, daemon-reload and daemon-reexec; the list of units also every 10 minutes.
//
// godbus is used directly: go-systemd's subscription drops signals when its reader is slow, and
// answers each with a call.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Times of a watcher. A dead bus is noticed at once when the connection breaks, and within
// 2*pingInterval when it hangs.
const (
	pingInterval   = 5 * time.Second
	callTimeout    = 10 * time.Second
	relistInterval = 10 * time.Minute
	debounce       = 250 * time.Millisecond
	resyncSpacing  = 5 * time.Second // between two full resyncs, however many reloads there are
	reloadPatience = time.Minute     // PID 1 may not answer while it reloads
	minBackoff     = 100 * time.Millisecond
	maxBackoff     = 5 * time.Second
)

// errConnecting is the state before the first attempt to connect has ended.
var errConnecting = errors.New("not connected yet")

// watcher keeps the state of one manager. All D-Bus traffic is in the one goroutine of run.
type watcher struct {
	address string
	logger  *slog.Logger
	now     func() time.Time

	nudge chan struct{} // interests have changed

	mu          sync.Mutex
	table       table
	interests   map[*Handle]Interest
	asked       uint64 // version of interests
	resolved    uint64 // version that the table answers
	subscribers map[*Handle][]func(RunEvent)
	down        error // nil while the table is true
	verified    time.Time
	stats       Stats
	snapshot    *Snapshot     // cache, nil after a change
	version     uint64        // of snapshot
	offset      time.Duration // wall clock minus CLOCK_MONOTONIC, see steadyOffset
	changed     chan struct{} // closed at a change of down or resolved
}

func newWatcher(address string, logger *slog.Logger, now func() time.Time) *watcher {
	return &watcher{
		address: address, logger: logger, now: now,
		nudge:       make(chan struct{}, 1),
		table:       newTable(now()),
		interests:   map[*Handle]Interest{},
		subscribers: map[*Handle][]func(RunEvent){},
		down:        errConnecting,
		changed:     make(chan struct{}),
	}
}

// run connects, follows, and connects again with backoff, until ctx ends.
func (w *watcher) run(ctx context.Context) {
	backoff := minBackoff
	for ctx.Err() == nil {
		connects := w.statistics().Connects
		err := w.guarded(ctx)
		if ctx.Err() != nil {
			return
		}
		w.setDown(err)
		if w.statistics().Connects > connects {
			backoff = minBackoff
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// guarded turns a panic, ours or a subscriber's, into an error of the session.
func (w *watcher) guarded(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return w.follow(ctx)
}

func (w *watcher) setDown(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down == nil || errors.Is(w.down, errConnecting) {
		w.logger.Warn("systemd cannot be watched; trying again", "bus", busName(w.address), "err", err)
	}
	w.down, w.snapshot = err, nil
	w.broadcast()
}

// setUp publishes the table, after a resync that read everything the interests of version name.
func (w *watcher) setUp(version uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down != nil {
		w.logger.Info("watching systemd", "bus", busName(w.address), "units", len(w.table.records))
		w.stats.Connects++
	}
	w.down, w.snapshot, w.resolved, w.verified = nil, nil, version, w.now()
	w.broadcast()
}

// broadcast wakes the readers that wait in read. Callers hold mu.
func (w *watcher) broadcast() {
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *watcher) statistics() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}

// read returns the current snapshot. It waits only until the first attempt to connect has ended
// and the interests of version are answered.
func (w *watcher) read(ctx context.Context, version uint64) (*Snapshot, error) {
	for {
		w.mu.Lock()
		down, changed := w.down, w.changed
		if down == nil && w.resolved >= version {
			s := w.current()
			w.mu.Unlock()
			return s, nil
		}
		w.mu.Unlock()
		if down != nil && !errors.Is(down, errConnecting) {
			return nil, fmt.Errorf("bus of systemd (%s): %w", busName(w.address), down)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("bus of systemd (%s): no answer yet: %w", busName(w.address), ctx.Err())
		}
	}
}

// current makes a snapshot, or takes the last one when nothing has changed. Callers hold mu.
func (w *watcher) current() *Snapshot {
	offset := w.steadyOffset()
	if w.snapshot == nil || w.snapshot.clockOffset != offset {
		w.snapshot = w.table.snapshot()
		w.version++
		w.snapshot.Version, w.snapshot.clockOffset = w.version, offset
	}
	s := *w.snapshot
	s.At, s.Stats = w.verified, w.stats
	return &s
}

func busName(address string) string {
	if address == "" {
		return "system bus"
	}
	return address
}

// deliver calls the subscribers, outside of the lock.
func (w *watcher) deliver(events []RunEvent) {
	if len(events) == 0 {
		return
	}
	w.mu.Lock()
	var callbacks []func(RunEvent)
	for _, list := range w.subscribers {
		callbacks = append(callbacks, list...)
	}
	w.mu.Unlock()
	for _, event := range events {
		for _, callback := range callbacks {
			callback(event)
		}
	}
}

// Package runner runs the configured sources: it schedules them, bounds them,
// isolates them from each other, keeps their last snapshots and says how old
// and how sound these are.
//
// A scrape only reads snapshots, except for sources without an interval, whose
// cheap run it shares with the other scrapes of the moment.
package runner

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/command"
	"vulcan.lan/vulcan_exporter/internal/state"
	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// Deps is what sources share.
type Deps struct {
	Logger  *slog.Logger
	Now     func() time.Time
	Exec    command.Runner
	Systemd *systemd.Hub
	State   *state.Dir
}

// Manager owns the running sources.
type Manager struct {
	deps    Deps
	started time.Time

	mu    sync.Mutex
	units map[string]*unit // by collector.Source.ID
	// removed are the ends of sources that are no longer wanted; a run may hold them up.
	removed map[string]<-chan struct{}
	config  configStatus
	closed  bool
}

type configStatus struct {
	ok     bool
	loaded time.Time // zero until a first success
}

// New makes a Manager without sources.
func New(deps Deps) *Manager {
	return &Manager{deps: deps, started: deps.Now(), units: map[string]*unit{}, removed: map[string]<-chan struct{}{}}
}

// Apply makes the given sources the running ones. A source whose effective
// config is unchanged keeps running with its counters, cursors and listeners;
// a changed one, or one that was removed and is back, starts after its
// predecessor has ended.
func (m *Manager) Apply(sources []collector.Source) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	wanted := make(map[string]bool, len(sources))
	for _, s := range sources {
		wanted[s.ID()] = true
		old := m.units[s.ID()]
		if old != nil && old.src.Canonical == s.Canonical {
			continue
		}
		u := newUnit(s, m.deps)
		u.predecessor = m.removed[s.ID()]
		delete(m.removed, s.ID())
		if old != nil {
			old.cancel()
			u.predecessor = old.done
		}
		m.units[s.ID()] = u
		go u.run()
	}
	for id, u := range m.units {
		if !wanted[id] {
			u.cancel()
			delete(m.units, id)
			m.removed[id] = u.done
		}
	}
	m.config = configStatus{ok: true, loaded: m.deps.Now()}
}

// ReloadFailed records that a new configuration was refused; what runs stays.
func (m *Manager) ReloadFailed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.config.ok = false
}

// Close stops all sources and waits for them until ctx ends.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	ends := slices.Collect(maps.Values(m.removed))
	for _, u := range m.units {
		u.cancel()
		ends = append(ends, u.done)
	}
	m.mu.Unlock()
	for _, end := range ends {
		select {
		case <-end:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Ready reports whether every source's first attempt has ended, or 30 s have
// passed since the start.
func (m *Manager) Ready() bool {
	const enough = 30 * time.Second
	if m.deps.Now().Sub(m.started) > enough {
		return true
	}
	for _, s := range m.Status() {
		if s.LastAttempt.IsZero() {
			return false
		}
	}
	return true
}

// Status describes all sources, ordered by collector and name.
func (m *Manager) Status() []Status {
	units := m.snapshot()
	out := make([]Status, len(units))
	for i, u := range units {
		out[i], _ = u.look()
	}
	return out
}

// Has reports whether there is a source of that ID.
func (m *Manager) Has(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.units[id] != nil
}

func (m *Manager) snapshot() []*unit {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sorted()
}

func (m *Manager) sorted() []*unit {
	units := make([]*unit, 0, len(m.units))
	for _, u := range m.units {
		units = append(units, u)
	}
	slices.SortFunc(units, func(a, b *unit) int { return strings.Compare(a.src.ID(), b.src.ID()) })
	return units
}

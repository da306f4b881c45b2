package systemd

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Hub shares watchers: one for each bus, however many collectors read it. It starts one for the
// first handle and ends it with the last.
type Hub struct {
	logger *slog.Logger
	now    func() time.Time

	mu       sync.Mutex
	watchers map[string]*shared
}

type shared struct {
	*watcher
	handles int
	cancel  context.CancelFunc
	done    chan struct{}
}

// NewHub makes a hub. Nothing is watched before the first Watch.
func NewHub(logger *slog.Logger) *Hub {
	return &Hub{logger: logger, now: time.Now, watchers: map[string]*shared{}}
}

// Watch returns a handle on the watcher of the bus at address, a D-Bus address; "" is the system
// bus ($DBUS_SYSTEM_BUS_ADDRESS, else /run/dbus/system_bus_socket). It does not wait. For a
// user's manager: unix:path=/run/user/UID/bus when run as that user,
// unix:path=/run/user/UID/systemd/private when run as that user or root.
func (h *Hub) Watch(address string) *Handle {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.watchers[address]
	if s == nil {
		ctx, cancel := context.WithCancel(context.Background())
		s = &shared{watcher: newWatcher(address, h.logger, h.now), cancel: cancel, done: make(chan struct{})}
		h.watchers[address] = s
		go func() {
			defer close(s.done)
			s.run(ctx)
		}()
	}
	s.handles++
	return &Handle{hub: h, shared: s}
}

// Close ends all watchers. Handles that are still open get errors.
func (h *Hub) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for address, s := range h.watchers {
		h.end(address, s)
	}
	return nil
}

var errClosed = errors.New("closed")

func (h *Hub) end(address string, s *shared) {
	delete(h.watchers, address)
	s.cancel()
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = errClosed
	s.broadcast()
}

// Handle is one user's view of a shared watcher. Its methods may be called at any time and from
// any goroutine.
type Handle struct {
	hub     *Hub
	shared  *shared
	version uint64 // of the watcher's interests when Require was last called, guarded by shared.mu
	once    sync.Once
}

// Interest is what a user of a watcher wants to know beyond the units in the manager's memory.
type Interest struct {
	// Names are units to report even when they are not loaded or do not exist.
	Names []string
	// Patterns are globs. The unit files that match are reported even when not in memory, but
	// for templates and those disabled or masked.
	Patterns []string
	// EnabledOnly leaves static unit files that are not in memory out of Patterns.
	EnabledOnly bool
}

// Require sets the handle's interest, in place of an earlier one. Names that are not ValidName
// are left out. The next Snapshot answers it.
func (h *Handle) Require(interest Interest) {
	w := h.shared.watcher
	w.mu.Lock()
	w.interests[h] = interest
	w.asked++
	h.version = w.asked
	w.mu.Unlock()
	w.wake()
}

func (w *watcher) wake() {
	select {
	case w.nudge <- struct{}{}:
	default:
	}
}

// Subscribe has f called for each run of a service that ends from now on, in order, by the
// watcher's goroutine: f must return at once.
func (h *Handle) Subscribe(f func(RunEvent)) {
	w := h.shared.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subscribers[h] = append(w.subscribers[h], f)
}

// Snapshot returns the state of all units now. It makes no D-Bus call and waits only after
// Watch or Require, for the first answer. The error tells why the manager cannot be watched;
// then there is no state, also no older one.
func (h *Handle) Snapshot(ctx context.Context) (*Snapshot, error) {
	h.shared.mu.Lock()
	version := h.version
	h.shared.mu.Unlock()
	return h.shared.read(ctx, version)
}

// Stats returns what the watcher has counted, also while its bus is down.
func (h *Handle) Stats() Stats { return h.shared.statistics() }

// Close releases the handle; its subscriptions end. It may be called more than once.
func (h *Handle) Close() error {
	h.once.Do(func() {
		w := h.shared.watcher
		w.mu.Lock()
		delete(w.interests, h)
		delete(w.subscribers, h)
		w.asked++
		w.mu.Unlock()
		w.wake()

		h.hub.mu.Lock()
		defer h.hub.mu.Unlock()
		h.shared.handles--
		if h.shared.handles == 0 && h.hub.watchers[w.address] == h.shared {
			h.hub.end(w.address, h.shared)
		}
	})
	return nil
}

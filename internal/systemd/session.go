package systemd

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// session is the work on one connection. Its fields belong to the watcher's goroutine.
type session struct {
	*watcher
	bus *bus

	full      bool              // a full resync is due
	relist    bool              // unit files are to be read again
	files     map[string]string // unit file -> state, of those that patterns match
	patterns  []string
	fresh     map[string]bool // new units of which nothing is known yet
	ask       map[string]bool // declared units to be looked up again
	reloading time.Time       // since when the manager reloads; zero if it does not
	lastFull  time.Time
	due       *time.Timer // when to do the above
	armed     bool
}

// follow connects and follows the manager until ctx ends or the connection is of no more use.
func (w *watcher) follow(ctx context.Context) error {
	b, err := dial(ctx, w.address)
	if err != nil {
		return err
	}
	defer b.close()
	s := &session{watcher: w, bus: b, fresh: map[string]bool{}, ask: map[string]bool{}, due: time.NewTimer(time.Hour)}
	defer s.due.Stop()
	if err := s.resync(ctx); err != nil {
		return err
	}
	ping, relist := time.NewTicker(pingInterval), time.NewTicker(relistInterval)
	defer ping.Stop()
	defer relist.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.conn.Context().Done():
			err = errors.Join(errLost, s.catchUp(ctx, everything)) // what came before is true still
		case <-b.queue.ready:
			err = s.catchUp(ctx, everything)
		case <-s.due.C:
			s.armed = false
			err = s.work(ctx)
		case <-w.nudge:
			err = s.list(ctx)
		case <-relist.C:
			err = s.list(ctx)
		case <-ping.C:
			err = s.ping(ctx)
		}
		if err != nil {
			return err
		}
		s.flush()
	}
}

func (s *session) ping(ctx context.Context) error {
	if !s.reloading.IsZero() && time.Since(s.reloading) < reloadPatience {
		return nil
	}
	if err := s.bus.ping(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	s.verified = s.now()
	s.mu.Unlock()
	return nil
}

// flush hands out the events that the table has gathered.
func (s *session) flush() {
	s.mu.Lock()
	events := s.table.events
	s.table.events = nil
	s.mu.Unlock()
	s.deliver(events)
}

// everything is after all messages so far.
const everything = math.MaxUint64

// catchUp takes up the signals from before a place in the stream of messages. It is called
// before a reply is used, so that what a reply tells is never older than what signals told.
func (s *session) catchUp(ctx context.Context, place dbus.Sequence) error {
	for _, signal := range s.bus.queue.take(place) {
		if err := s.handle(ctx, signal); err != nil {
			return err
		}
	}
	return nil
}

// arm has work called soon. Later calls do not put it off, so that a stream of signals cannot.
func (s *session) arm(after time.Duration) {
	if !s.armed {
		s.armed = true
		s.due.Reset(after)
	}
}

// handle takes up one signal. It makes no call but after daemon-reexec.
func (s *session) handle(ctx context.Context, signal *dbus.Signal) error {
	s.mu.Lock()
	s.stats.Signals++
	s.mu.Unlock()
	if !s.bus.trusted(signal) {
		return nil
	}
	member := signal.Name[strings.LastIndexByte(signal.Name, '.')+1:]
	switch body := signal.Body; member {
	case "PropertiesChanged":
		if iface, props, ok := changedProperties(body); ok {
			s.propertiesChanged(signal.Path, iface, props)
		}
	case "UnitNew":
		if name, path, ok := two[string, dbus.ObjectPath](body); ok && s.reloading.IsZero() {
			s.unitNew(name, path)
		}
	case "UnitRemoved":
		if name, _, ok := two[string, dbus.ObjectPath](body); ok && s.reloading.IsZero() {
			s.unitRemoved(name)
		}
	case "JobRemoved":
		if len(body) == 4 {
			unit, _ := body[2].(string)
			result, _ := body[3].(string)
			s.mu.Lock()
			s.table.jobRemoved(unit, result, s.now())
			s.snapshot = nil
			s.mu.Unlock()
		}
	case "Reloading":
		if len(body) == 1 {
			s.reloads(body[0] == true)
		}
	case "UnitFilesChanged":
		s.relist = true
		s.arm(debounce)
	case "NameOwnerChanged":
		return s.ownerChanged(ctx, body)
	}
	return nil
}

func two[A, B any](body []any) (a A, b B, ok bool) {
	if len(body) < 2 {
		return a, b, false
	}
	a, okA := body[0].(A)
	b, okB := body[1].(B)
	return a, b, okA && okB
}

func changedProperties(body []any) (iface string, props properties, ok bool) {
	iface, changed, ok := two[string, map[string]dbus.Variant](body)
	return iface, changed, ok
}

func (s *session) propertiesChanged(path dbus.ObjectPath, iface string, props properties) {
	name, ok := unitName(path)
	if !ok || ignored(name) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.table.get(name)
	r.path = path
	if iface != unitIface {
		r.next.setType(props) // the Unit interface's signal follows
		return
	}
	r.next.setUnit(props)
	r.next.InMemory = true
	s.table.commit(r)
	s.snapshot = nil
	if r.next.LoadState == "" || r.next.Active() && r.next.ControlGroup == "" && r.next.Type() == "service" {
		s.fresh[name] = true
		s.arm(debounce)
	}
}

func (s *session) unitNew(name string, path dbus.ObjectPath) {
	if ignored(name) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.table.get(name)
	r.path = path
	r.next.InMemory = true
	r.baseline = true // it came after the watch began: all of it counts
	s.fresh[name] = true
	s.arm(debounce)
}

func (s *session) unitRemoved(name string) {
	delete(s.fresh, name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.table.records[name]; r != nil && s.wantsFile(name) {
		r.declared = true // it stays shown, as it would be if it had never been in memory
	}
	if s.table.removed(name) {
		s.ask[name] = true
		s.arm(debounce)
	}
	s.snapshot = nil
}

// reloads notes the begin and the end of daemon-reload; in between, all units seem to leave and
// to come back.
func (s *session) reloads(begin bool) {
	if begin {
		s.reloading = time.Now()
		return
	}
	s.reloading = time.Time{}
	s.mu.Lock()
	s.stats.Reloads++
	s.mu.Unlock()
	s.full = true
	s.arm(max(debounce, resyncSpacing-time.Since(s.lastFull)))
}

// ownerChanged follows the manager through daemon-reexec, after which it has another name.
func (s *session) ownerChanged(ctx context.Context, body []any) error {
	if len(body) != 3 || body[2] == "" {
		return nil // it comes back at once, or the next ping fails
	}
	if err := s.bus.follow(ctx); err != nil {
		return err
	}
	s.reloading = time.Time{}
	s.full = true
	s.arm(debounce)
	return nil
}

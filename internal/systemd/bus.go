package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	systemdName   = "org.freedesktop.systemd1"
	managerIface  = systemdName + ".Manager"
	unitIface     = systemdName + ".Unit"
	propsIface    = "org.freedesktop.DBus.Properties"
	managerPath   = "/org/freedesktop/systemd1"
	unitPathStart = managerPath + "/unit/"
)

var errLost = errors.New("connection lost")

// bus is one connection to one manager.
type bus struct {
	conn  *dbus.Conn
	close context.CancelFunc
	queue *queue
	// answered is the place of the last reply in the stream of messages.
	answered dbus.Sequence
	// owner is the manager's unique name, the only accepted sender: anybody on the system bus
	// may send us a signal that looks like the manager's. Empty on a private socket.
	owner string
	// private: the peer is the manager itself, without a bus daemon between.
	private bool
}

// dial connects to address ("" is the system bus) and subscribes to the manager's signals.
func dial(ctx context.Context, address string) (*bus, error) {
	ctx, cancel := context.WithCancel(ctx)
	b := &bus{close: cancel, queue: &queue{ready: make(chan struct{}, 1)}}
	b.private = strings.HasSuffix(address, "/systemd/private")
	// The handshake has no deadline of its own; ending ctx closes the connection.
	limit := time.AfterFunc(callTimeout, cancel)
	err := b.handshake(ctx, address)
	if err == nil {
		err = b.subscribe(ctx)
	}
	if !limit.Stop() && err != nil {
		err = fmt.Errorf("no answer within %s: %w", callTimeout, err)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return b, nil
}

func (b *bus) handshake(ctx context.Context, address string) error {
	options := []dbus.ConnOption{dbus.WithContext(ctx), dbus.WithSignalHandler(b.queue)}
	var err error
	if address == "" {
		b.conn, err = dbus.SystemBusPrivate(options...)
	} else {
		b.conn, err = dbus.Dial(address, options...)
	}
	if err != nil {
		return err
	}
	if err := b.conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		return err
	}
	if b.private {
		return b.rouse(ctx)
	}
	return b.conn.Hello()
}

// rouse gets the first answer on a private socket. systemd leaves a first message that it reads
// together with the end of the handshake lying until another one comes.
func (b *bus) rouse(ctx context.Context) error {
	for {
		if err := b.pingWithin(ctx, 100*time.Millisecond); err == nil || ctx.Err() != nil || !b.conn.Connected() {
			return err
		}
	}
}

func (b *bus) subscribe(ctx context.Context) error {
	if !b.private {
		for _, rule := range []string{
			"type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',path_namespace='/org/freedesktop/systemd1/unit'",
			"type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',path='/org/freedesktop/systemd1'",
			"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.freedesktop.systemd1'",
		} {
			if err := b.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.AddMatch", 0, rule).Err; err != nil {
				return err
			}
		}
	}
	return b.follow(ctx)
}

// follow asks the manager for signals, at first and after daemon-reexec.
func (b *bus) follow(ctx context.Context) error {
	if err := b.call(ctx, managerIface+".Subscribe").Err; err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if b.private {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return b.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, systemdName).Store(&b.owner)
}

// trusted tells whether a signal comes from the manager or from the bus itself.
func (b *bus) trusted(s *dbus.Signal) bool {
	return b.private || s.Sender == b.owner || s.Sender == "org.freedesktop.DBus"
}

func (b *bus) call(ctx context.Context, method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	call := b.conn.Object(systemdName, managerPath).CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...)
	b.answered = call.ResponseSequence
	return call
}

func (b *bus) ping(ctx context.Context) error { return b.pingWithin(ctx, pingInterval) }

func (b *bus) pingWithin(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := b.call(ctx, "org.freedesktop.DBus.Peer.Ping").Err; err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// unitStatus is a row of Manager.ListUnits.
type unitStatus struct {
	Name, Description, LoadState, ActiveState, SubState, Following string
	Path                                                           dbus.ObjectPath
	JobID                                                          uint32
	JobType                                                        string
	JobPath                                                        dbus.ObjectPath
}

// listUnits returns what the manager has in memory.
func (b *bus) listUnits(ctx context.Context) (units []unitStatus, err error) {
	if err := b.call(ctx, managerIface+".ListUnits").Store(&units); err != nil {
		return nil, fmt.Errorf("list units: %w", err)
	}
	return units, nil
}

// listByNames loads the units if need be, so that it also tells of those not in memory. The
// result has the order of names; an alias comes back under the unit's own name.
func (b *bus) listByNames(ctx context.Context, names []string) (units []unitStatus, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	err = b.call(ctx, managerIface+".ListUnitsByNames", names).Store(&units)
	if err == nil && len(units) != len(names) {
		err = fmt.Errorf("%d names, %d units", len(names), len(units))
	}
	if err != nil {
		return nil, fmt.Errorf("list units by names: %w", err)
	}
	return units, nil
}

// unitFiles returns name -> state of the unit files that match the globs. It makes the manager
// read its unit folders (some 100 ms on a machine with many units).
func (b *bus) unitFiles(ctx context.Context, patterns []string) (map[string]string, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	var files []struct{ Path, State string }
	err := b.call(ctx, managerIface+".ListUnitFilesByPatterns", []string{}, patterns).Store(&files)
	if err != nil {
		return nil, fmt.Errorf("list unit files: %w", err)
	}
	states := make(map[string]string, len(files))
	for _, file := range files {
		states[file.Path[strings.LastIndexByte(file.Path, '/')+1:]] = file.State
	}
	return states, nil
}

type properties map[string]dbus.Variant

// details reads all properties of units, many at a time. It passes them to got in the order of
// the replies, with their place in the stream of messages; units that are gone are left out.
func (b *bus) details(ctx context.Context, units []unitPath, got func(name string, p properties, place dbus.Sequence) error) error {
	const atOnce = 32
	calls := make([]*dbus.Call, 0, atOnce)
	for chunk := range slices.Chunk(units, atOnce) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		calls = calls[:0]
		for _, u := range chunk {
			// No interface is all interfaces: the values of one moment, which two calls are not.
			calls = append(calls, b.conn.Object(systemdName, u.path).GoWithContext(ctx, propsIface+".GetAll", dbus.FlagNoAutoStart, make(chan *dbus.Call, 1), ""))
		}
		for i, call := range calls {
			<-call.Done // ends with ctx at the latest
			var props properties
			var refused dbus.Error
			err := call.Store(&props)
			switch {
			case err == nil:
				err = got(chunk[i].name, props, call.ResponseSequence)
			case errors.As(err, &refused):
				err = nil
			}
			if err != nil {
				return fmt.Errorf("properties of %s: %w", chunk[i].name, err)
			}
		}
	}
	return nil
}

type unitPath struct {
	name string
	path dbus.ObjectPath
}

// queue keeps the signals of a connection in order and drops none. godbus hands over a signal
// before it looks at the next message, so when a reply is there, all signals from before it are.
type queue struct {
	mu      sync.Mutex
	signals []*dbus.Signal
	ready   chan struct{}
}

// DeliverSignal makes the queue a dbus.SignalHandler.
func (q *queue) DeliverSignal(_, _ string, signal *dbus.Signal) {
	q.mu.Lock()
	q.signals = append(q.signals, signal)
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take removes the signals from before a place in the stream of messages.
func (q *queue) take(place dbus.Sequence) []*dbus.Signal {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < len(q.signals) && q.signals[n].Sequence < place {
		n++
	}
	taken := q.signals[:n:n]
	q.signals = q.signals[n:]
	return taken
}

// unitName decodes the last element of a unit's object path, in which every byte but letters and
// digits is written as _xx.
func unitName(path dbus.ObjectPath) (name string, ok bool) {
	escaped, ok := strings.CutPrefix(string(path), unitPathStart)
	if !ok || strings.IndexByte(escaped, '_') < 0 {
		return escaped, ok
	}
	raw := make([]byte, 0, len(escaped))
	for i := 0; i < len(escaped); i++ {
		if escaped[i] == '_' && i+2 < len(escaped) {
			if v, err := strconv.ParseUint(escaped[i+1:i+3], 16, 8); err == nil {
				raw = append(raw, byte(v))
				i += 2
				continue
			}
		}
		raw = append(raw, escaped[i])
	}
	return string(raw), true
}

package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
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
	conn    *dbus.Conn
	close   context.CancelFunc
	signals chan *dbus.Signal
	// owner is the manager's unique name, the only accepted sender: anybody on the system bus
	// may send us a signal that looks like the manager's. Empty on a private socket.
	owner string
	// private: the peer is the manager itself, without a bus daemon between.
	private bool
}

// dial connects to address ("" is the system bus) and subscribes to the manager's signals.
func dial(ctx context.Context, address string) (*bus, error) {
	ctx, cancel := context.WithCancel(ctx)
	b := &bus{close: cancel, signals: make(chan *dbus.Signal, 8192)}
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
	// Sequential: signals in the order of arrival, and none dropped.
	options := []dbus.ConnOption{dbus.WithContext(ctx), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler())}
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
		return nil
	}
	return b.conn.Hello()
}

func (b *bus) subscribe(ctx context.Context) error {
	b.conn.Signal(b.signals)
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
	if err := b.call(ctx, managerPath, managerIface+".Subscribe").Err; err != nil {
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

func (b *bus) call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return b.conn.Object(systemdName, path).CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...)
}

func (b *bus) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingInterval)
	defer cancel()
	if err := b.call(ctx, managerPath, "org.freedesktop.DBus.Peer.Ping").Err; err != nil {
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
	if err := b.call(ctx, managerPath, managerIface+".ListUnits").Store(&units); err != nil {
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
	err = b.call(ctx, managerPath, managerIface+".ListUnitsByNames", names).Store(&units)
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
	err := b.call(ctx, managerPath, managerIface+".ListUnitFilesByPatterns", []string{}, patterns).Store(&files)
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

// details reads all properties of an interface for many units, some at a time. Units that are
// gone are left out of what is passed to got.
func (b *bus) details(ctx context.Context, wanted []detail, got func(detail, properties)) error {
	const atOnce = 32
	calls := make([]*dbus.Call, 0, atOnce)
	for chunk := range slices.Chunk(wanted, atOnce) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		calls = calls[:0]
		for _, d := range chunk {
			object := b.conn.Object(systemdName, d.path)
			calls = append(calls, object.GoWithContext(ctx, propsIface+".GetAll", dbus.FlagNoAutoStart, make(chan *dbus.Call, 1), d.iface))
		}
		for i, call := range calls {
			<-call.Done // ends with ctx at the latest
			var props properties
			var refused dbus.Error
			switch err := call.Store(&props); {
			case err == nil:
				got(chunk[i], props)
			case !errors.As(err, &refused): // no answer at all
				return fmt.Errorf("properties of %s: %w", chunk[i].name, err)
			}
		}
	}
	return nil
}

// detail names one interface of one unit.
type detail struct {
	name  string
	path  dbus.ObjectPath
	iface string
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

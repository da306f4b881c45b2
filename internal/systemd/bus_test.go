package systemd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func TestReloadAndReexec(t *testing.T) {
	f := newFixture(t, Interest{Names: []string{"late.service"}})
	if u := f.snapshot().Unit("late.service"); u.LoadState != "not-found" {
		t.Errorf("late.service: %+v", *u)
	}
	_, _ = f.TrySystemctl("start", "short.service")
	f.until("short.service", func(u *Unit) bool { return u.Failures == 1 })
	resyncs := f.snapshot().Stats.Resyncs
	f.WriteUnit("late.service", "[Service]\nExecStart=/bin/sleep infinity\n")
	f.Systemctl("daemon-reload")
	f.until("late.service", func(u *Unit) bool { return u.LoadState == "loaded" })
	if got := f.snapshot().Stats; got.Resyncs <= resyncs || got.Reloads == 0 {
		t.Errorf("after daemon-reload: %+v", got)
	}
	resyncs = f.snapshot().Stats.Resyncs
	f.Systemctl("daemon-reexec")
	testenv.Eventually(t, patience, func() error {
		if s, err := f.Snapshot(context.Background()); err != nil || s.Stats.Resyncs == resyncs {
			return fmt.Errorf("no resync: %w", err)
		}
		return nil
	})
	// Signals still come, and what was counted is neither lost nor counted again.
	f.Systemctl("start", "late.service")
	f.until("late.service", (*Unit).Active)
	s := f.settle()
	if u := s.Unit("short.service"); u.Failures != 1 {
		t.Errorf("short.service: %+v", *u)
	}
	if u := s.Unit("broken.service"); u.Failures != 0 || u.ActiveState != "failed" {
		t.Errorf("broken.service: %+v", *u)
	}
}

func TestBusRestart(t *testing.T) {
	f := newFixture(t, Interest{})
	f.SignalBus(syscall.SIGKILL)
	testenv.Eventually(t, patience, func() error {
		s, err := f.Snapshot(context.Background())
		if err == nil && s.Stats.Connects < 2 {
			err = errors.New("still the first connection")
		}
		return err
	})
	_, _ = f.TrySystemctl("start", "short.service")
	f.until("short.service", func(u *Unit) bool { return u.Failures == 1 })
}

func TestLossOfBus(t *testing.T) {
	f := newFixture(t, Interest{})
	f.Systemctl("start", "--no-block", "flapping.service")
	f.until("flapping.service", func(u *Unit) bool { return u.Failures >= 1 })
	f.StopBus()
	testenv.Eventually(t, 5*time.Second, func() error {
		if _, err := f.Snapshot(context.Background()); err == nil {
			return errors.New("no error without a bus")
		}
		return nil
	})
	_, _ = f.TrySystemctl("start", "prefailed.service") // unseen
	f.Systemctl("stop", "flapping.service")
	f.StartBus()
	u := f.until("prefailed.service", func(u *Unit) bool { return u.Failures > 0 })
	if u.Failures != 1 {
		t.Errorf("prefailed.service: %+v", *u)
	}
	f.Reboot()
	f.until("healthy.service", func(u *Unit) bool { return f.snapshot().Stats.Connects >= 3 && u.Active() })
}

func TestHungBus(t *testing.T) {
	f := newFixture(t, Interest{})
	f.SignalBus(syscall.SIGSTOP)
	testenv.Eventually(t, 4*pingInterval, func() error {
		if _, err := f.Snapshot(context.Background()); err == nil {
			return errors.New("no error from a hung bus")
		}
		return nil
	})
	f.SignalBus(syscall.SIGCONT)
	f.until("healthy.service", (*Unit).Active)
}

// A user's manager, on that user's bus.
func TestUserManager(t *testing.T) {
	host := testenv.Systemd(t, map[string]string{
		"user.service": "[Service]\nType=notify\nDelegate=yes\nRuntimeDirectory=user/0\nRuntimeDirectoryMode=0700\n" +
			"Environment=XDG_RUNTIME_DIR=/run/user/0 SYSTEMD_UNIT_PATH=/etc/systemd/system/user.d\nExecStart=/lib/systemd/systemd --user\n",
		"user.d/app.service":                "[Service]\nExecStart=/bin/sleep infinity\n",
		"user.d/default.target":             "[Unit]\nDefaultDependencies=no\nWants=app.service dbus.socket\n",
		"user.d/basic.target":               "[Unit]\nDefaultDependencies=no\n",
		"user.d/sockets.target":             "[Unit]\nDefaultDependencies=no\n",
		"user.d/shutdown.target":            "[Unit]\nDefaultDependencies=no\n",
		"user.d/dbus.socket":                "[Socket]\nListenStream=%t/bus\n",
		"user.d/dbus.service":               "[Service]\nType=notify\nExecStart=/usr/bin/dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation\n",
		"default.target.wants/user.service": "",
	})
	hub := NewHub(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = hub.Close() })
	user, system := hub.Watch("unix:path="+host.Dir+"/run/user/0/bus"), hub.Watch(host.BusAddress())
	for name, handle := range map[string]*Handle{"app.service": user, "user.service": system} {
		testenv.Eventually(t, patience, func() error {
			s, err := handle.Snapshot(context.Background())
			if err != nil {
				return err
			}
			if u := s.Unit(name); u == nil || !u.Active() {
				return fmt.Errorf("%s is not active: %+v", name, u)
			}
			return nil
		})
	}
	s, err := system.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if u := s.Unit("app.service"); u != nil {
		t.Errorf("the system's manager shows a user's unit: %+v", *u)
	}
}

// Anybody may send a signal on a bus; only the manager's count.
func TestForgedSignals(t *testing.T) {
	f := newFixture(t, Interest{})
	conn, err := dbus.Connect(f.BusAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, name := range listNames(t, conn) { // to each connection, ours among them
		message := &dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(name),
			dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath(unitPathStart + "healthy_2eservice")),
			dbus.FieldInterface:   dbus.MakeVariant(propsIface),
			dbus.FieldMember:      dbus.MakeVariant("PropertiesChanged"),
			dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf("", map[string]dbus.Variant{}, []string{})),
		}, Body: []any{unitIface, map[string]dbus.Variant{"ActiveState": dbus.MakeVariant("failed"), "InvocationID": dbus.MakeVariant([]byte("forged"))}, []string{}}}
		if call := conn.Send(message, nil); call != nil && call.Err != nil {
			t.Fatal(call.Err)
		}
	}
	listNames(t, conn) // when this is answered the bus has passed the signals on
	if u := f.settle().Unit("healthy.service"); u.ActiveState != "active" || u.Failures != 0 {
		t.Errorf("healthy.service after a forged signal: %+v", *u)
	}
}

func listNames(t *testing.T, conn *dbus.Conn) (unique []string) {
	t.Helper()
	var names []string
	if err := conn.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return name[0] != ':' })
}

// insideHost is set to an address where this test binary runs again inside the test host:
// systemd's private socket admits nobody from another PID namespace.
const insideHost = "VULCAN_TEST_INSIDE_HOST"

// A manager's own socket, as root uses it for users' managers: no bus between, also none at all.
func TestPrivateSocket(t *testing.T) {
	host := testenv.Systemd(t, units)
	host.StopBus()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := host.Command(binary)
	cmd.Env = append(os.Environ(), insideHost+"=unix:path=/run/systemd/private")
	inside := testenv.Start(t, cmd)
	testenv.Eventually(t, patience, func() error {
		if err := inside.Exited(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(inside.Output(), "healthy.service is active") {
			return errors.New("nothing is seen yet")
		}
		return nil
	})
	host.Systemctl("stop", "healthy.service") // the end shows that signals come too
	if err := inside.Wait(t, patience); err != nil {
		t.Errorf("inside: %v\n%s", err, inside.Output())
	}
}

// watchInside waits for healthy.service to be active and then to stop.
func watchInside(address string) (code int) {
	hub := NewHub(slog.New(slog.NewTextHandler(os.Stdout, nil)))
	defer func() { _ = hub.Close() }()
	handle := hub.Watch(address)
	handle.Require(Interest{Names: []string{"healthy.service"}})
	for deadline, was := time.Now().Add(patience), ""; time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s, err := handle.Snapshot(context.Background())
		if err != nil {
			fmt.Println(err)
			continue
		}
		if state := s.Unit("healthy.service").ActiveState; state != was {
			fmt.Println("healthy.service is", state)
			if was = state; state == "inactive" {
				return 0
			}
		}
	}
	return 1
}

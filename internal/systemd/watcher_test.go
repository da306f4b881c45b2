package systemd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func TestStates(t *testing.T) {
	f := newFixture(t, Interest{
		Names: []string{"healthy.service", "missing.service", "masked.service", "inst@a.service", "dozing@a.service", "static.service", "wrong.timer"},
	})
	f.Systemctl("start", "inst@a.service")
	f.until("inst@a.service", (*Unit).Active)
	s := f.snapshot()
	for _, test := range []struct{ name, load, active, sub string }{
		{"healthy.service", "loaded", "active", "running"},
		{"broken.service", "loaded", "failed", "failed"},
		{"missing.service", "not-found", "inactive", "dead"},
		{"masked.service", "masked", "inactive", "dead"},
		{"inst@a.service", "loaded", "active", "running"},
		{"dozing@a.service", "loaded", "inactive", "dead"},
		{"static.service", "loaded", "inactive", "dead"},
		{"wrong.timer", "bad-setting", "inactive", "dead"},
		{"calendar.timer", "loaded", "active", "waiting"},
		{"default.target", "loaded", "active", "active"},
	} {
		u := s.Unit(test.name)
		if u == nil {
			t.Errorf("%s is not known", test.name)
		} else if u.LoadState != test.load || u.ActiveState != test.active || u.SubState != test.sub {
			t.Errorf("%s: %s %s %s, want %v", test.name, u.LoadState, u.ActiveState, u.SubState, test)
		}
	}
	if u := s.Unit("wrong.timer"); u.LoadError == "" {
		t.Error("wrong.timer: no load error")
	}
	if u := s.Unit("healthy.service"); u.Service.Type != "simple" || u.Service.ExecMainStart.IsZero() || !u.Service.ExecMainExit.IsZero() || u.ActiveEnter.IsZero() || u.ControlGroup != "/system.slice/healthy.service" {
		t.Errorf("healthy.service: %+v", *u)
	}
	if u := s.Unit("broken.service"); u.Result != "exit-code" || u.Service.ExecMainStatus != 3 || !slices.Equal(u.Results, []string{"exit-code"}) {
		t.Errorf("broken.service: %+v", *u)
	} else if u.Failures != 0 || u.Runs != 0 {
		t.Errorf("broken.service failed before the watch began, and was counted: %+v", *u)
	}
	if u := s.Unit("disabled.service"); u != nil {
		t.Errorf("disabled.service is shown, nobody asked for it: %+v", *u)
	}
}

func TestPatterns(t *testing.T) {
	f := newFixture(t, Interest{Patterns: []string{"*s*.service"}, EnabledOnly: true})
	s := f.snapshot()
	if u := s.Unit("asleep.service"); u == nil || u.InMemory || u.FileState != "enabled" || u.LoadState != "loaded" {
		t.Errorf("asleep.service is enabled and not in memory: %+v", u)
	}
	for _, name := range []string{"static.service", "disabled.service", "masked.service"} {
		if u := s.Unit(name); u != nil {
			t.Errorf("%s is shown: %+v", name, *u)
		}
	}
	f.Require(Interest{Patterns: []string{"s?atic*"}})
	s = f.snapshot()
	if s.Unit("static.service") == nil || s.Unit("asleep.service") != nil {
		t.Error("a new interest does not replace the old one")
	}
	f.Require(Interest{Patterns: []string{"*s*.service"}, EnabledOnly: true})
	f.Systemctl("enable", "disabled.service")
	f.until("disabled.service", func(u *Unit) bool { return u.FileState == "enabled" })
}

func TestTimers(t *testing.T) {
	f := newFixture(t, Interest{})
	s := f.snapshot()
	if u := s.Unit("calendar.timer"); u.Timer.Unit != "job.service" || !u.Timer.LastTrigger.IsZero() || u.Timer.Interval != 0 {
		t.Errorf("calendar.timer never ran: %+v", *u)
	}
	next := s.NextElapse(s.Unit("calendar.timer"))
	if ahead := time.Until(next); ahead < 0 || ahead > 25*time.Hour || next.Second() > 0 && next.Minute() > 1 {
		t.Errorf("calendar.timer elapses at %s", next)
	}
	u := s.Unit("monotonic.timer")
	next = s.NextElapse(u)
	if d := next.Sub(u.ActiveEnter) - time.Hour; d.Abs() > time.Second {
		t.Errorf("monotonic.timer: entered %s, elapses %s", u.ActiveEnter, next)
	}
	if next != f.snapshot().NextElapse(u) {
		t.Error("the same elapse has two times")
	}
	before := time.Now()
	f.Systemctl("start", "often.timer")
	u = f.until("often.timer", func(u *Unit) bool { return !u.Timer.LastTrigger.IsZero() && u.Timer.Interval > 0 })
	if u.Timer.LastTrigger.Before(before) || (u.Timer.Interval-time.Hour).Abs() > 10*time.Second {
		t.Errorf("often.timer: %+v", u.Timer)
	}
}

// An alias is resolved; a handle that is closed lets go of what it alone named; others go on.
func TestHandles(t *testing.T) {
	host := testenv.Systemd(t, map[string]string{
		"real.service": "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nAlias=other.service\n",
	})
	host.Systemctl("enable", "real.service")
	hub := NewHub(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = hub.Close() })
	a, b := hub.Watch(host.BusAddress()), hub.Watch(host.BusAddress())
	if a.shared != b.shared {
		t.Error("two handles on one bus have two watchers")
	}
	a.Require(Interest{Names: []string{"other.service"}})
	b.Require(Interest{Names: []string{"none.service", "not a name"}})
	s, err := a.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if u := s.Unit("other.service"); u == nil || u.Name != "real.service" || u.LoadState != "loaded" {
		t.Errorf("alias: %+v", u)
	}
	_ = a.Close()
	_ = a.Close()
	testenv.Eventually(t, patience, func() error {
		s, err := b.Snapshot(context.Background())
		if err != nil {
			return err
		}
		if s.Unit("real.service") != nil || s.Unit("none.service") == nil {
			return errors.New("interests are not those of the open handle")
		}
		return nil
	})
	_ = b.Close()
	if _, err := b.Snapshot(context.Background()); !errors.Is(err, errClosed) {
		t.Errorf("a closed handle: %v", err)
	}
	none := hub.Watch("unix:path=" + host.Dir + "/no/bus")
	testenv.Eventually(t, patience, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := none.Snapshot(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("no bus at all: %w", err)
		}
		return nil
	})
}

// A service that starts while unit files change is looked at as soon as any other.
func TestStartWhileFilesChange(t *testing.T) {
	f := newFixture(t, Interest{})
	f.WriteUnit("next.service", "[Service]\nExecStart=/bin/sleep infinity\n")
	f.WriteUnit("first.service", "[Unit]\nBefore=next.service\n[Service]\nExecStart=/bin/sleep infinity\n") // keeps it in memory
	f.Systemctl("daemon-reload")
	f.Systemctl("start", "first.service")
	f.until("next.service", func(u *Unit) bool { return u.ActiveState == "inactive" })
	f.settle()
	f.Systemctl("--no-reload", "enable", "disabled.service")
	f.Systemctl("start", "next.service")
	f.until("next.service", func(u *Unit) bool { return u.Active() && u.ControlGroup != "" })
}

package technitium

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

func TestServerReads(t *testing.T) {
	for _, version := range []string{"13.6", "14.3", "15.2"} {
		t.Run(version, func(t *testing.T) {
			now := epoch.Add(time.Minute)
			s := technitiumtest.Start(t, technitiumtest.Options{Version: version, Now: func() time.Time { return now }})
			for i := range 10 {
				row := query(i)
				if i%2 == 0 {
					row.ResponseType, row.RCode = "Blocked", "NxDomain"
				}
				s.Log(row)
			}
			old := query(0)
			old.Time = epoch.Add(-2 * time.Hour)
			s.Log(old)
			c := client(t, s)
			testStats(t, c)
			testLifetime(t, c, s, now, version == "15.2")
			testZones(t, c)
			testSettings(t, c, s, version)
			testSession(t, c, s, version)
			testUpdate(t, c, s, version)
			noToken(t, s, nil)
		})
	}
}

func testStats(t *testing.T, c *Client) {
	t.Helper()
	stats, err := c.Stats(t.Context())
	want := Outcomes{
		"total": 10, "no_error": 5, "nx_domain": 5, "blocked": 5, "recursive": 5, "clients": 1,
		"server_failure": 0, "refused": 0, "authoritative": 0, "cached": 0, "dropped": 0,
	}
	if err != nil || !maps.Equal(stats.Window, want) || stats.CachedEntries == nil || *stats.CachedEntries != 1234 ||
		stats.BlockListZones == nil || *stats.BlockListZones != 98765 || stats.Zones == nil || *stats.Zones != 4 {
		t.Errorf("%+v, %v", stats, err)
	}
	for name := range stats.Window {
		if !slices.Contains(OutcomeNames(), name) {
			t.Errorf("%s is not declared", name)
		}
	}
}

func testLifetime(t *testing.T, c *Client, s *technitiumtest.Server, started time.Time, supported bool) {
	t.Helper()
	life, err := c.Lifetime(t.Context())
	if !supported {
		if !errors.Is(err, ErrUnsupported) || ReasonOf(err) != ReasonHTTP {
			t.Errorf("%+v, %v", life, err)
		}
		return
	}
	if err != nil || life.Counts["total"] != 11 || life.Counts["blocked"] != 5 || !life.Started.Equal(started) {
		t.Errorf("%+v, %v", life, err)
	}
	s.Restart()
	if life, err := c.Lifetime(t.Context()); err != nil || life.Counts["total"] != 0 {
		t.Errorf("after a restart: %+v, %v", life, err)
	}
}

func testZones(t *testing.T, c *Client) {
	t.Helper()
	zones, err := c.Zones(t.Context())
	want := []Zone{
		{Name: "localhost", Type: "Primary", Internal: true}, {Name: "home.arpa", Type: "Primary"},
		{Name: "example.com", Type: "Secondary", SyncFailed: true}, {Name: "lan", Type: "Forwarder", Disabled: true},
	}
	if err != nil || !slices.Equal(zones, want) {
		t.Errorf("%+v, %v", zones, err)
	}
}

func testSettings(t *testing.T, c *Client, s *technitiumtest.Server, version string) {
	t.Helper()
	set, err := c.Settings(t.Context())
	if err != nil || set.Version != version || !set.Blocking || set.BlockLists != 1 || !set.ListsUpdated.IsZero() ||
		!set.NextListUpdate.IsZero() || !set.BlockingOffUntil.IsZero() || !set.Started.Equal(epoch.Add(time.Minute)) {
		t.Errorf("%+v, %v", set, err)
	}
	next := epoch.Add(5 * time.Hour)
	s.Set(func(o *technitiumtest.Settings) {
		o.NextUpdate, o.Blocking, o.TemporarilyOffTill = next, false, epoch.Add(time.Hour)
	})
	set, err = c.Settings(t.Context())
	if err != nil || set.Blocking || !set.NextListUpdate.Equal(next) || !set.ListsUpdated.Equal(next.Add(-24*time.Hour)) ||
		!set.BlockingOffUntil.Equal(epoch.Add(time.Hour)) {
		t.Errorf("%+v, %v", set, err)
	}
	// Never fetched: the server counts from the year 1.
	s.Set(func(o *technitiumtest.Settings) { o.NextUpdate, o.BlockLists = time.Time{}.Add(24*time.Hour), nil })
	set, err = c.Settings(t.Context())
	if err != nil || !set.NextListUpdate.IsZero() || !set.ListsUpdated.IsZero() || set.BlockLists != 0 {
		t.Errorf("%+v, %v", set, err)
	}
}

func testSession(t *testing.T, c *Client, s *technitiumtest.Server, version string) {
	t.Helper()
	s.Deny("Zones")
	session, err := c.Session(t.Context())
	want := map[string]bool{"Dashboard": true, "Logs": true, "Settings": true, "Zones": false}
	if err != nil || session.Version != version || session.User != "exporter" || !maps.Equal(session.May, want) {
		t.Errorf("%+v, %v", session, err)
	}
	if _, err := c.Zones(t.Context()); ReasonOf(err) != ReasonPermission || !strings.Contains(err.Error(), "Zones: View") {
		t.Errorf("%v", err)
	}
}

func testUpdate(t *testing.T, c *Client, s *technitiumtest.Server, version string) {
	t.Helper()
	if update, err := c.Update(t.Context()); err != nil || update != (Update{Current: version}) {
		t.Errorf("%+v, %v", update, err)
	}
	s.Set(func(o *technitiumtest.Settings) { o.UpdateAvailable = true })
	if update, err := c.Update(t.Context()); err != nil || update != (Update{Available: true, Current: version, Version: "99.1"}) {
		t.Errorf("%+v, %v", update, err)
	}
}

// Each call says so when the answer lacks what it is for, or has it in another form.
func TestServerReadsOfNothing(t *testing.T) {
	s := technitiumtest.Start(t, technitiumtest.Options{})
	c := client(t, s)
	calls := map[string]func() error{
		"Stats":    func() error { _, err := c.Stats(t.Context()); return err },
		"Lifetime": func() error { _, err := c.Lifetime(t.Context()); return err },
		"Zones":    func() error { _, err := c.Zones(t.Context()); return err },
		"Settings": func() error { _, err := c.Settings(t.Context()); return err },
		"Session":  func() error { _, err := c.Session(t.Context()); return err },
		"Update":   func() error { _, err := c.Update(t.Context()); return err },
	}
	for name, call := range calls {
		for _, body := range []string{
			`{"response":{},"status":"ok"}`, `{"response":null,"status":"ok"}`,
			`{"response":{"stats":{"totalQueries":"many"},"lifetimeCounters":[],"zones":{},"enableBlocking":"yes","updateAvailable":2},"info":[],"status":"ok"}`,
		} {
			s.Fail(technitiumtest.Body(body))
			if err := call(); ReasonOf(err) != ReasonDecode {
				t.Errorf("%s of %s: %v", name, body, err)
			}
		}
		s.Fail(technitiumtest.Body(`{"status":"error","errorMessage":"Access was denied."}`))
		if err := call(); ReasonOf(err) != ReasonPermission {
			t.Errorf("%s: %v", name, err)
		}
	}
}

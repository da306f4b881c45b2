package technitium

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Outcomes are numbers of queries by what became of them: of all by response code (no_error,
// server_failure, nx_domain, refused) and of all by origin of the answer (authoritative, recursive,
// cached, blocked, dropped), their total, and the number of clients. What an answer lacks is absent.
type Outcomes map[string]int64

var outcomes = []struct{ api, name string }{
	{"totalQueries", "total"}, {"totalNoError", "no_error"}, {"totalServerFailure", "server_failure"},
	{"totalNxDomain", "nx_domain"}, {"totalRefused", "refused"}, {"totalAuthoritative", "authoritative"},
	{"totalRecursive", "recursive"}, {"totalCached", "cached"}, {"totalBlocked", "blocked"},
	{"totalDropped", "dropped"}, {"totalClients", "clients"},
}

// OutcomeNames lists the keys that Outcomes can have.
func OutcomeNames() []string {
	names := make([]string, len(outcomes))
	for i, o := range outcomes {
		names[i] = o.name
	}
	return names
}

// read takes the value of a member; false if it is none of ours.
func (o Outcomes) read(s *scanner, api string) bool {
	for _, known := range outcomes {
		if known.api == api {
			o[known.name] = s.integer()
			return true
		}
	}
	return false
}

// Stats is the dashboard of the last hour.
type Stats struct {
	// Window are the queries of the last 60 minutes: a sum over a sliding window, not a counter.
	Window Outcomes
	// Zones counts the zones of the server, CachedEntries the records of its cache; AllowedZones and
	// BlockedZones its own lists, AllowListZones and BlockListZones those from URLs. nil: not told.
	Zones, CachedEntries, AllowedZones, BlockedZones, AllowListZones, BlockListZones *int64
}

// Stats returns the dashboard of the last hour. The server looks up the names of its ten top
// clients for it. Permission: Dashboard: View.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	stats := Stats{Window: Outcomes{}}
	counts := map[string]**int64{
		"zones": &stats.Zones, "cachedEntries": &stats.CachedEntries, "allowedZones": &stats.AllowedZones,
		"blockedZones": &stats.BlockedZones, "allowListZones": &stats.AllowListZones, "blockListZones": &stats.BlockListZones,
	}
	found := false
	call := call{path: "/api/dashboard/stats/get", permission: "Dashboard: View", form: url.Values{"type": {"LastHour"}, "utc": {"true"}}}
	err := c.read(ctx, call, members{
		"stats": func(s *scanner) {
			found = true
			s.object(func(name string) {
				if stats.Window.read(s, name) {
					return
				}
				if field, ok := counts[name]; ok {
					n := s.integer()
					*field = &n
				} else {
					s.skip()
				}
			})
		},
	})
	if err == nil && !found {
		err = missing(call, "stats")
	}
	return stats, err
}

// Lifetime is what the server has counted since it started.
type Lifetime struct {
	// Started is when it did.
	Started time.Time
	Counts  Outcomes
}

// Lifetime returns the counters since the server's start: errors.Is(err, ErrUnsupported) before
// version 15. Permission: Dashboard: View.
func (c *Client) Lifetime(ctx context.Context) (Lifetime, error) {
	life := Lifetime{Counts: Outcomes{}}
	// A GET, with the token in the header only: no version that has the path needs it elsewhere.
	call := call{path: "/api/dashboard/metrics/json", permission: "Dashboard: View", get: true}
	err := c.read(ctx, call, members{
		"uptimestamp": func(s *scanner) { life.Started = s.time() },
		"lifetimeCounters": func(s *scanner) {
			s.object(func(name string) {
				if !life.Counts.read(s, name) {
					s.skip()
				}
			})
		},
	})
	var status httpError
	switch {
	case errors.As(err, &status) && status.code == http.StatusNotFound:
		return life, &Error{Reason: ReasonHTTP, Path: call.path, Message: ErrUnsupported.Error(), err: ErrUnsupported}
	case err == nil && len(life.Counts) == 0:
		err = missing(call, "lifetimeCounters")
	}
	return life, err
}

// Zone is one zone that the server has.
type Zone struct {
	Name string
	// Type is Primary, Secondary, Stub, Forwarder, Catalog and so on.
	Type string
	// Internal is a zone that every server has, such as localhost.
	Internal, Disabled bool
	// Expired is a secondary zone that is not served any more; SyncFailed one whose last transfer
	// failed.
	Expired, SyncFailed bool
}

// Zones returns all zones that the token's user may see. Permission: Zones: View.
func (c *Client) Zones(ctx context.Context) ([]Zone, error) {
	var zones []Zone
	found := false
	call := call{path: "/api/zones/list", permission: "Zones: View"}
	err := c.read(ctx, call, members{
		"zones": func(s *scanner) {
			found = true
			s.array(func() { zones = append(zones, s.zone()) })
		},
	})
	if err == nil && !found {
		err = missing(call, "zones")
	}
	return zones, err
}

func (s *scanner) zone() Zone {
	var z Zone
	s.object(func(name string) {
		switch name {
		case "name":
			z.Name = s.text()
		case "type":
			z.Type = s.text()
		case "internal":
			z.Internal = s.boolean()
		case "disabled":
			z.Disabled = s.boolean()
		case "isExpired":
			z.Expired = s.boolean()
		case "syncFailed":
			z.SyncFailed = s.boolean()
		default:
			s.skip()
		}
	})
	return z
}

// Settings are those settings of the server that tell whether it blocks what it should.
type Settings struct {
	Version string
	Started time.Time // zero: not told
	// Blocking is on or off in the settings; BlockingOffUntil is the end of a pause, zero for none.
	Blocking         bool
	BlockingOffUntil time.Time
	// BlockLists counts the URLs of block and allow lists.
	BlockLists int
	// ListsUpdated is when these were last fetched, NextListUpdate when they will be. Zero: the
	// server fetches none by itself, or has not yet.
	ListsUpdated, NextListUpdate time.Time
}

// Settings returns a part of the server's settings. Permission: Settings: View.
func (c *Client) Settings(ctx context.Context) (Settings, error) {
	var set Settings
	hours, found := int64(0), false
	call := call{path: "/api/settings/get", permission: "Settings: View"}
	err := c.read(ctx, call, members{
		"version":                      func(s *scanner) { set.Version = s.text() },
		"uptimestamp":                  func(s *scanner) { set.Started = s.time() },
		"enableBlocking":               func(s *scanner) { set.Blocking, found = s.boolean(), true },
		"temporaryDisableBlockingTill": func(s *scanner) { set.BlockingOffUntil = s.time() },
		"blockListUrls": func(s *scanner) {
			if s.peek() == '[' {
				s.array(func() { set.BlockLists++; s.skip() })
			} else {
				s.skip() // null: none
			}
		},
		"blockListUpdateIntervalHours": func(s *scanner) { hours = s.integer() },
		"blockListNextUpdatedOn":       func(s *scanner) { set.NextListUpdate = s.time() },
	})
	if err == nil && !found {
		err = missing(call, "enableBlocking")
	}
	// The server computes the next from the last. Of lists never fetched it gives the year 1.
	if !set.NextListUpdate.IsZero() && hours > 0 {
		set.ListsUpdated = set.NextListUpdate.Add(-time.Duration(hours) * time.Hour)
	}
	return set, err
}

// Session is what the server says about itself and the token.
type Session struct {
	Version string
	User    string
	// May says for a section, as "Logs", whether the token's user may view it.
	May map[string]bool
}

// Session asks about the token. Permission: none.
func (c *Client) Session(ctx context.Context) (Session, error) {
	session := Session{May: map[string]bool{}}
	call := call{path: "/api/user/session/get"}
	permissions := func(s *scanner) {
		s.object(func(section string) {
			s.object(func(name string) {
				if name == "canView" {
					session.May[section] = s.boolean()
				} else {
					s.skip()
				}
			})
		})
	}
	info := func(s *scanner) {
		s.object(func(name string) {
			switch name {
			case "version":
				session.Version = s.text()
			case "permissions":
				permissions(s)
			default:
				s.skip()
			}
		})
	}
	// Unlike all other answers its parts are not inside of a response.
	parts := members{"username": func(s *scanner) { session.User = s.text() }, "info": info}
	err := c.do(ctx, call, func(r io.Reader) error { return decodeEnvelope(r, parts, true) })
	if err == nil && session.Version == "" {
		err = missing(call, "info.version")
	}
	return session, err
}

// Update is what the server knows about newer versions of itself.
type Update struct {
	Available        bool
	Current, Version string // Version is the newer one, "" if there is none
}

// Update makes the server ask its vendor for a newer version: not more than once a day, please.
// Permission: none.
func (c *Client) Update(ctx context.Context) (Update, error) {
	var update Update
	found := false
	call := call{path: "/api/user/checkForUpdate"}
	err := c.read(ctx, call, members{
		"updateAvailable": func(s *scanner) { update.Available, found = s.boolean(), true },
		"currentVersion":  func(s *scanner) { update.Current = s.text() },
		"updateVersion":   func(s *scanner) { update.Version = s.text() },
	})
	if err == nil && !found {
		err = missing(call, "updateAvailable")
	}
	return update, err
}

// read decodes the members of an answer's response.
func (c *Client) read(ctx context.Context, call call, m members) error {
	return c.do(ctx, call, func(r io.Reader) error { return decodeEnvelope(r, m, false) })
}

func missing(c call, name string) error {
	err := decodeError("the answer has no " + strconv.Quote(name))
	return &Error{Reason: ReasonDecode, Path: c.path, Message: err.Error(), err: err}
}

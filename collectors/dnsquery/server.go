package dnsquery

import (
	"context"
	"errors"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

const (
	serverEvery = time.Minute
	updateEvery = 24 * time.Hour
	updateRetry = time.Hour
)

// server asks the server about itself, once a minute; in between it shows what it was told.
type server struct {
	client  *technitium.Client
	now     func() time.Time
	updates bool
	failed  func(error)
	log     collector.Transitions

	asked, askedUpdate time.Time // when it is to be asked again
	stats              *technitium.Stats
	settings           *technitium.Settings
	lifetime           *technitium.Lifetime
	update             *technitium.Update
}

func (s *server) collect(ctx context.Context, out *metric.Batch) {
	if now := s.now(); !now.Before(s.asked) || s.asked.Sub(now) > serverEvery {
		s.ask(ctx)
		s.asked = now.Add(serverEvery)
	}
	s.emit(out)
}

// ask replaces what is known; what gives no answer is not known any more.
func (s *server) ask(ctx context.Context) {
	s.stats = answer(s, "dashboard", func() (technitium.Stats, error) { return s.client.Stats(ctx) })
	s.settings = answer(s, "settings", func() (technitium.Settings, error) { return s.client.Settings(ctx) })
	s.lifetime = answer(s, "lifetime counters", func() (technitium.Lifetime, error) { return s.client.Lifetime(ctx) })
	now := s.now()
	if !s.updates || now.Before(s.askedUpdate) && s.askedUpdate.Sub(now) <= updateEvery {
		return
	}
	s.update = answer(s, "update check", func() (technitium.Update, error) { return s.client.Update(ctx) })
	s.askedUpdate = now.Add(updateEvery)
	if s.update == nil {
		s.askedUpdate = now.Add(updateRetry)
	}
}

// answer is nil where there is none.
func answer[T any](s *server, what string, ask func() (T, error)) *T {
	v, err := ask()
	if errors.Is(err, technitium.ErrUnsupported) {
		return nil
	}
	s.failed(err)
	s.log.Note(what, err, string(technitium.ReasonOf(err)))
	if err != nil {
		return nil
	}
	return &v
}

func (s *server) emit(out *metric.Batch) {
	if s.stats != nil {
		emitStats(out, s.stats)
	}
	if s.lifetime != nil {
		for name, n := range s.lifetime.Counts {
			if name != "clients" {
				out.Counter(lifetimeQueries, float64(n), name)
			}
		}
	}
	if set := s.settings; set != nil {
		out.Time(serverStart, set.Started)
		out.Bool(blocking, set.Blocking && !s.now().Before(set.BlockingOffUntil))
		out.Time(listsUpdated, set.ListsUpdated)
		out.Time(listsNext, set.NextListUpdate)
		if set.Version != "" {
			out.Info(serverInfo, metric.LabelValue(set.Version))
		}
	}
	if s.update != nil {
		out.Bool(updateThere, s.update.Available)
	}
}

func emitStats(out *metric.Batch, stats *technitium.Stats) {
	for name, n := range stats.Window {
		if name != "clients" {
			out.Gauge(windowQueries, float64(n), name)
		}
	}
	for name, n := range map[string]*int64{
		"zones": stats.Zones, "allowed": stats.AllowedZones, "blocked": stats.BlockedZones,
		"allow_list": stats.AllowListZones, "block_list": stats.BlockListZones,
	} {
		if n != nil {
			out.Gauge(serverZones, float64(*n), name)
		}
	}
	if stats.CachedEntries != nil {
		out.Gauge(cachedEntries, float64(*stats.CachedEntries))
	}
}

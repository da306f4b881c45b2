// Package criticalservice tells of a required list of units whether each is up.
//
// System: systemd. Interface: the snapshot of internal/systemd, which follows the system bus
// ($DBUS_SYSTEM_BUS_ADDRESS, else /run/dbus/system_bus_socket). Privileges: none. Cost: no D-Bus
// call and no fork at a scrape; four series a unit.
//
// Every unit on the list has all its series also when it does not exist: what is required and
// gone is down, not absent. Without a bus there are no states, and the collector fails.
package criticalservice

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// Config is the list of units that must be active.
type Config struct {
	Units []string `yaml:"units" doc:"names of units, such as nginx.service, and globs, such as \"redis-*.service\", which stand for the installed units that match and are not disabled or masked"`
}

// Validate checks that each entry can name a unit, and none twice.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if len(c.Units) == 0 {
		report("units", "expected at least one unit such as nginx.service")
	}
	for i, unit := range c.Units {
		path := fmt.Sprintf("units[%d]", i)
		switch {
		case systemd.IsPattern(unit):
			if !systemd.ValidPattern(unit) {
				report(path, "%q is not a valid glob", unit)
			}
		case strings.Contains(unit, "@."):
			report(path, "%q is a template; expected an instance such as %q", unit, strings.Replace(unit, "@.", "@NAME.", 1))
		case !systemd.ValidName(unit):
			report(path, "expected the full name of a unit such as nginx.service, found %q", unit)
		}
		if slices.Index(c.Units, unit) < i {
			report(path, "%q is listed twice", unit)
		}
	}
}

// Definition describes the collector.
func Definition() *collector.Definition {
	return collector.Define(collector.Spec[Config]{
		Name:      "criticalservice",
		Summary:   "Whether each of a required list of systemd units is up.",
		Prefix:    "critical_service_",
		Metrics:   []metric.Metric{configured, loaded, active, failed},
		Timeout:   5 * time.Second,
		Inventory: inventory,
		New:       newCollector,
	})
}

func inventory(cfg Config, out *metric.Batch) {
	for _, unit := range cfg.Units {
		if !systemd.IsPattern(unit) {
			out.Gauge(configured, 1, unit)
		}
	}
}

type critical struct {
	names, patterns []string
	hub             *systemd.Hub
	logger          *slog.Logger

	once    sync.Once
	handle  *systemd.Handle
	version uint64          // of the snapshot that was emitted last
	empty   map[string]bool // globs that matched nothing, to say so once
}

func newCollector(cfg Config, env collector.Env) (collector.Collector, error) {
	c := &critical{hub: env.Systemd, logger: env.Logger, empty: map[string]bool{}}
	for _, unit := range cfg.Units {
		if systemd.IsPattern(unit) {
			c.patterns = append(c.patterns, unit)
		} else {
			c.names = append(c.names, unit)
		}
	}
	return c, nil
}

// watch opens the watch at the first use.
func (c *critical) watch() *systemd.Handle {
	c.once.Do(func() {
		c.handle = c.hub.Watch("")
		c.handle.Require(systemd.Interest{Names: c.names, Patterns: c.patterns})
	})
	return c.handle
}

// Collect emits the state of each unit.
func (c *critical) Collect(ctx context.Context, out *metric.Batch) error {
	s, err := c.watch().Snapshot(ctx)
	if err != nil {
		c.version = 0
		return err
	}
	if s.Version == c.version {
		return collector.ErrUnchanged
	}
	for _, pattern := range emit(s, c.names, c.patterns, out) {
		if !c.empty[pattern] {
			c.logger.Warn("no installed unit matches", "pattern", pattern)
		}
		c.empty[pattern] = true
	}
	if c.version = s.Version; ctx.Err() != nil {
		c.version = 0 // too late to be published
	}
	return nil
}

// Close ends the watch.
func (c *critical) Close() error {
	if c.handle == nil {
		return nil
	}
	return c.handle.Close()
}

// emit maps a snapshot to series. It returns the globs that match nothing: such a glob is itself
// shown as a unit that is missing.
func emit(s *systemd.Snapshot, names, patterns []string, out *metric.Batch) (empty []string) {
	shown := make(map[string]bool, len(names))
	for _, name := range names {
		shown[name] = true
	}
	for _, name := range names {
		u := s.Unit(name)
		emitState(out, name, u)
		if u != nil && !shown[u.Name] { // name is an alias: others know the unit by its own name
			shown[u.Name] = true
			out.Gauge(configured, 1, u.Name)
		}
	}
	for _, pattern := range patterns {
		matched := false
		for _, u := range s.Match(pattern) {
			if !u.Installed() {
				continue
			}
			matched = true
			if !shown[u.Name] {
				shown[u.Name] = true
				out.Gauge(configured, 1, u.Name)
				emitState(out, u.Name, u)
			}
		}
		if !matched {
			empty = append(empty, pattern)
			out.Gauge(configured, 1, pattern)
			emitState(out, pattern, nil)
		}
	}
	return empty
}

func emitState(out *metric.Batch, name string, u *systemd.Unit) {
	if u == nil {
		u = &systemd.Unit{}
	}
	out.Bool(loaded, u.LoadState == "loaded", name)
	out.Bool(active, u.Active(), name)
	out.Bool(failed, u.ActiveState == "failed", name)
}

// Package systemd shows the units of a service manager.
//
// System: systemd, of the system or of a user. Interface: the snapshot of internal/systemd, which
// follows the manager's D-Bus signals; on request the files of control groups. Privileges: none
// for the system; that user's or root's for a user. Cost: no D-Bus call at a scrape, and no work
// at all while no unit changes; seven series a service. Control groups add three file reads and
// three series a running service.
//
// Failures are counted from signals, so one that lasts 100 ms between two scrapes is not missed.
// Counters begin at 0 with the exporter. Without a bus there are no states, and the collector
// fails within seconds.
package systemd

import (
	"context"
	"log/slog"
	"math"
	"os"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// Config chooses a manager and its units.
type Config struct {
	User       string        `yaml:"user" doc:"name or uid of the user whose manager to watch; the system's when empty"`
	Include    config.Regexp `yaml:"include" doc:"units to show, as a regular expression for the whole name"`
	Exclude    config.Regexp `yaml:"exclude" doc:"units not to show, as a regular expression for the whole name"`
	Resources  bool          `yaml:"resources" doc:"show memory, CPU time and tasks of running services, from their control groups"`
	CgroupRoot string        `yaml:"cgroup_root" doc:"where the control group hierarchy is mounted"`
}

// Validate checks that the user exists.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if c.User == "" {
		return
	}
	if _, err := systemd.Address(c.User, os.Geteuid()); err != nil {
		report("user", "%v", err)
	}
}

// defaultExclude leaves out what cannot fail or comes and goes with containers and logins.
const defaultExclude = `.+\.(device|scope|slice|target)|(var-lib-(containers|docker)|run-(user|netns|credentials|docker))-.+\.mount`

// Definition describes the collector.
func Definition() *collector.Definition {
	spec := collector.Spec[Config]{
		Name:     "systemd",
		Summary:  "States, failures, restarts and timers of systemd units, fed by D-Bus signals.",
		Metrics:  metrics(),
		Timeout:  5 * time.Second,
		Sources:  true,
		Budget:   20_000, // 1,000 services with resources are 10,000
		Defaults: Config{CgroupRoot: "/sys/fs/cgroup"},
		New:      newCollector,
		// The system is always watched; users' managers are further sources.
		Discover: func(cfg Config) ([]collector.Named[Config], error) {
			return []collector.Named[Config]{{Name: "default", Config: cfg}}, nil
		},
	}
	mustSet(&spec.Defaults.Include, ".+")
	mustSet(&spec.Defaults.Exclude, defaultExclude)
	return collector.Define(spec)
}

func mustSet(r *config.Regexp, expression string) {
	if err := r.UnmarshalText([]byte(expression)); err != nil {
		panic(err) // a constant of this file is wrong
	}
}

type units struct {
	cfg     Config
	address string
	hub     *systemd.Hub
	logger  *slog.Logger

	once    sync.Once
	handle  *systemd.Handle
	version uint64          // of the snapshot that was emitted last
	chosen  map[string]bool // what Include and Exclude say of a name
	broken  map[string]bool // units whose load error has been logged
}

func newCollector(cfg Config, env collector.Env) (collector.Collector, error) {
	addr, err := systemd.Address(cfg.User, os.Geteuid())
	if err != nil {
		return nil, err
	}
	return &units{cfg: cfg, address: addr, hub: env.Systemd, logger: env.Logger, chosen: map[string]bool{}, broken: map[string]bool{}}, nil
}

// watch opens the watch at the first use.
func (c *units) watch() *systemd.Handle {
	c.once.Do(func() {
		c.handle = c.hub.Watch(c.address)
		c.handle.Require(systemd.Interest{Patterns: []string{"*.service", "*.timer"}, EnabledOnly: true})
	})
	return c.handle
}

// Collect emits the units of the current snapshot.
func (c *units) Collect(ctx context.Context, out *metric.Batch) error {
	s, err := c.watch().Snapshot(ctx)
	emitStats(c.handle.Stats(), out)
	if err != nil {
		c.version = 0
		return err
	}
	if s.Version == c.version && !c.cfg.Resources {
		return collector.ErrUnchanged
	}
	c.emit(s, out)
	if c.version = s.Version; ctx.Err() != nil {
		c.version = 0 // too late to be published
	}
	return nil
}

// Close ends the watch.
func (c *units) Close() error {
	if c.handle == nil {
		return nil
	}
	return c.handle.Close()
}

func (c *units) emit(s *systemd.Snapshot, out *metric.Batch) {
	for _, u := range s.Units() {
		if !c.chooses(u.Name) {
			continue
		}
		if shown(u) {
			emitState(s, u, out)
			c.logLoadError(u)
		}
		if shown(u) || u.Failures > 0 {
			out.Counter(failures, float64(u.Failures), u.Name)
		}
		for _, result := range u.Results {
			out.Bool(unitResult, u.Result == result, u.Name, result)
		}
		if c.cfg.Resources && u.ControlGroup != "" {
			emitResources(c.cfg.CgroupRoot, u, out)
		}
	}
}

// chooses applies the filters, once a name.
func (c *units) chooses(name string) bool {
	chosen, known := c.chosen[name]
	if !known {
		const most = 20_000 // names of transient units never come back
		if len(c.chosen) > most {
			clear(c.chosen)
		}
		chosen = c.cfg.Include.Matches(name) && !c.cfg.Exclude.Matches(name)
		c.chosen[name] = chosen
	}
	return chosen
}

// shown: in the manager's memory, or enabled and not in it; without what is merely referred to.
func shown(u *systemd.Unit) bool {
	if u.ActiveState == "" || u.LoadState == "not-found" && u.ActiveState == "inactive" {
		return false
	}
	return u.InMemory || u.FileState == "enabled" || u.FileState == "enabled-runtime"
}

func emitStats(stats systemd.Stats, out *metric.Batch) {
	out.Counter(connects, float64(stats.Connects))
	out.Counter(resyncs, float64(stats.Resyncs))
	out.Counter(reloads, float64(stats.Reloads))
}

func emitState(s *systemd.Snapshot, u *systemd.Unit, out *metric.Batch) {
	state := u.ActiveState
	if u.Active() {
		state = "active"
	}
	out.State(unitState, state, u.Name, u.Type())
	if u.LoadState == "bad-setting" || u.LoadState == "error" {
		out.Gauge(loadError, 1, u.Name, u.LoadState)
	}
	switch u.Type() {
	case "service":
		if u.Service.Type != "" {
			out.Counter(restarts, float64(u.Service.Restarts), u.Name)
		}
	case "timer":
		out.Time(lastTrigger, u.Timer.LastTrigger, u.Name)
		out.Time(nextElapse, s.NextElapse(u), u.Name)
		if u.Timer.Interval > 0 {
			out.Gauge(interval, u.Timer.Interval.Seconds(), u.Name)
		}
	}
}

// logLoadError says once why a unit cannot be loaded; the text is not for a label.
func (c *units) logLoadError(u *systemd.Unit) {
	if u.LoadError == "" {
		delete(c.broken, u.Name)
	} else if !c.broken[u.Name] {
		c.broken[u.Name] = true
		c.logger.Warn("unit cannot be loaded", "name", u.Name, "load_state", u.LoadState, "reason", u.LoadError)
	}
}

func emitResources(root string, u *systemd.Unit, out *metric.Batch) {
	usage, err := systemd.ReadCgroup(root, u.ControlGroup)
	if err != nil {
		return // it ended since the snapshot
	}
	if !math.IsNaN(usage.MemoryBytes) {
		out.Gauge(memory, usage.MemoryBytes, u.Name)
	}
	if !math.IsNaN(usage.CPUSeconds) {
		out.Counter(cpu, usage.CPUSeconds, u.Name)
	}
	if !math.IsNaN(usage.Tasks) {
		out.Gauge(tasks, usage.Tasks, u.Name)
	}
}

// Package zfs watches OpenZFS pools, datasets and snapshots through the zpool
// and zfs commands (zpool-list(8), zpool-status(8), zfs-list(8)).
//
// Privileges: none where /dev/zfs is mode 0666, the default; a systemd unit with
// PrivateDevices= does not see it. Only reading subcommands are run, and never
// one that would load the kernel module. Cost: two zpool processes a run, and
// two zfs processes for each pool. Snapshots are counted by dataset from name
// and creation alone, which ZFS answers from the directory of snapshots without
// reading each of them.
//
// A command may hang in the kernel (state D) and survive SIGKILL. Each has a
// deadline within the run's, none is waited for beyond it, and while one of an
// earlier run lives none with the same arguments is started; the state of the
// pools then comes from /proc/spl/kstat/zfs, which needs none of ZFS' locks.
// Pools are asked one by one for their datasets, for `zfs list` as a whole says
// nothing of a pool that it leaves out.
//
// Not used: github.com/mistifyio/go-zfs. Its calls take no context, so one hung
// child would hold the whole source; it reads a dash, ZFS' word for "not known",
// as 0; one mountpoint with a tab makes all of Datasets fail; it has no creation
// time, capacity, scan or device; it inherits the whole environment and so the
// locale. The tests hold this package against it where both can answer.
package zfs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"vulcan.lan/vulcan_exporter/collectors/zfs/sanoid"
	"vulcan.lan/vulcan_exporter/collectors/zfs/status"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Config is what the operator decides.
type Config struct {
	Pools        []string        `yaml:"pools" doc:"names of the pools that must be imported; pools that are found are shown in any case"`
	Include      []string        `yaml:"include" doc:"globs of the datasets to show (** crosses slashes); all where empty"`
	Exclude      []string        `yaml:"exclude" doc:"globs of datasets not to show nor to ask for, such as those of containers"`
	ScrubMaxAge  config.Duration `yaml:"scrub_max_age" doc:"how old the last finished scrub of a pool may become; 0 expects none"`
	Snapshots    []SnapshotRule  `yaml:"snapshots" doc:"how old the newest snapshot of datasets may become"`
	SanoidConfig string          `yaml:"sanoid_config" doc:"path of a sanoid.conf whose monitoring limits are expected as well"`
}

// SnapshotRule expects a rhythm of snapshots.
type SnapshotRule struct {
	Datasets string          `yaml:"datasets" doc:"glob of dataset names (** crosses slashes)"`
	Names    string          `yaml:"names" doc:"glob of the snapshot names that count, such as autosnap_*_hourly; all where empty"`
	MaxAge   config.Duration `yaml:"max_age" doc:"how old the newest of them may become"`
}

// Validate checks globs and completes rules.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	for key, globs := range map[string][]string{"include": c.Include, "exclude": c.Exclude} {
		for i, glob := range globs {
			validGlob(report, index(key, i), glob)
		}
	}
	seen := map[string]bool{}
	for i, p := range c.Pools {
		if p == "" || seen[p] {
			report(index("pools", i), "expected a pool name, once; found %q", p)
		}
		seen[p] = true
	}
	rules := map[[2]string]bool{}
	for i := range c.Snapshots {
		r, at := &c.Snapshots[i], index("snapshots", i)
		if r.Names == "" {
			r.Names = "*"
		}
		validGlob(report, at+".datasets", r.Datasets)
		validGlob(report, at+".names", r.Names)
		if r.MaxAge <= 0 {
			report(at+".max_age", "expected a duration above 0")
		}
		key := [2]string{r.Datasets, r.Names}
		if rules[key] {
			report(at, "another rule has the same datasets and names")
		}
		rules[key] = true
	}
}

func index(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

func validGlob(report func(path, format string, args ...any), path, glob string) {
	if glob == "" || !doublestar.ValidatePattern(glob) {
		report(path, "expected a glob such as tank/data/**, found %q", glob)
	}
}

// Definition is the collector's place in the exporter.
func Definition() *collector.Definition {
	return collector.Define(collector.Spec[Config]{
		Name:    "zfs",
		Summary: "ZFS pools, devices, scrubs, datasets and the rhythm of snapshots.",
		Metrics: declared,
		Every:   time.Minute,
		Timeout: 30 * time.Second,
		Budget:  50_000, // some ten series for each of 5,000 datasets
		// A month between scrubs, as Debian and NixOS schedule them, is up to 35
		// days where it is "the second Sunday"; a scrub itself may take days.
		Defaults: Config{ScrubMaxAge: config.Duration(40 * 24 * time.Hour)},
		Inventory: func(cfg Config, out *metric.Batch) {
			for _, name := range cfg.Pools {
				out.Gauge(poolConfigured, 1, name)
			}
		},
		New: New,
	})
}

// Collector observes the ZFS of this machine.
type Collector struct {
	cfg  Config
	env  collector.Env
	proc string // /proc, or a test's

	text   bool           // zpool status has no JSON (before OpenZFS 2.3)
	hung   atomic.Bool    // a command was killed and may still be there
	undead map[string]int // those that are, by command line
	memory *memory
	// policy is sanoid's, empty where it is not configured or could not be read.
	policy    *sanoid.Policy
	policyErr error
	log       collector.Transitions
}

// New makes the collector.
func New(cfg Config, env collector.Env) (collector.Collector, error) {
	return &Collector{cfg: cfg, env: env, proc: "/proc", log: collector.Transitions{Logger: env.Logger}}, nil
}

// Collect runs the commands and emits what they say. It is an error when the
// pools or their status could not be found out. A pool whose datasets could
// not be listed says so in a metric of its own.
func (c *Collector) Collect(ctx context.Context, out *metric.Batch) error {
	c.undead = c.findUndead()
	pools, err := c.listPools(ctx)
	if err != nil {
		c.emitKernelStates(out, errors.Is(err, errNoModule))
		return err
	}
	names := make(map[string]string, len(pools))
	for _, p := range pools {
		names[p.name] = p.health
	}
	c.emitImported(out, names)
	statuses, err := c.listStatus(ctx)
	if err != nil {
		return err
	}
	listings := c.listDatasets(ctx, pools)
	for i, p := range pools {
		emitPool(out, p, listings[i].root)
		// A pool that was imported a moment ago has no status yet.
		if at := slices.IndexFunc(statuses, func(s status.Pool) bool { return s.Name == p.name }); at >= 0 {
			emitStatus(out, statuses[at])
			c.emitScrub(out, p, statuses[at].Scan, listings[i].root)
		}
	}
	for i, p := range pools { // last, for they are what may exceed the budget
		c.emitDatasets(out, p, listings[i])
	}
	c.saveMemory()
	c.emitRules(out, names, listings)
	return nil
}

// listStatus prefers the JSON form and falls back to the text where zpool does
// not know it.
func (c *Collector) listStatus(ctx context.Context) ([]status.Pool, error) {
	if !c.text {
		out, err := c.run(ctx, "zpool", "status", "-j", "--json-int")
		if err == nil {
			return status.ParseJSON(out)
		}
		var failed *exitError
		if !errors.As(err, &failed) || failed.code != usageError {
			return nil, err
		}
		c.text = true
	}
	out, err := c.run(ctx, "zpool", "status", "-p")
	if err != nil {
		return nil, err
	}
	return status.ParseText(out)
}

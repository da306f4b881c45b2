// Package restic observes restic repositories (https://restic.readthedocs.io/)
// of any backend through the restic command, 0.14 or later.
//
// What it calls, always with --no-lock and never a command that writes:
//
//	snapshots --json         each pass
//	stats --json (3 modes)   when the set of snapshots has changed
//	list locks, cat lock     at a slower interval of their own
//	check, cat blob, dump    where a check or a restore drill is configured
//
// Privileges: the repository's password, the backend's credentials, and read
// access where the backend is a folder. Cost: each call derives the key, about
// half a second of CPU, so a pass over an unchanged repository is one call. A
// repository that cannot be read is data: what the last listing showed is told
// for three intervals more, with its own timestamp, and then no longer.
//
// A restic that is killed, with its process group, at the deadline leaves
// neither a lock nor a file: reading commands are given --no-lock and restored
// files go through a pipe.
package restic

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Definition is the collector's place in the exporter.
func Definition() *collector.Definition {
	limits := newLimits()
	return collector.Define(collector.Spec[Config]{
		Name:        "restic",
		Summary:     "restic repositories: snapshots and their age, sizes, locks, integrity, retention and restore drills.",
		Metrics:     declared,
		Every:       time.Hour,
		Timeout:     10 * time.Minute,
		Sources:     true,
		SourceLabel: "repository",
		Defaults: Config{
			Binary: "restic",
			// Daily jobs that run one after the other shift: 30 h between two
			// snapshots was seen in normal operation, 36 h was never reached.
			MaxAge:        config.Duration(40 * time.Hour),
			LocksInterval: config.Duration(6 * time.Hour),
			Check:         Check{Parts: 52, Timeout: config.Duration(6 * time.Hour)},
		},
		Discover:  discover,
		Inventory: inventory,
		New: func(cfg Config, env collector.Env) (collector.Collector, error) {
			return newCollector(cfg, env, limits), nil
		},
	})
}

// Collector observes one repository.
type Collector struct {
	cfg    Config
	env    collector.Env
	client *client

	// attempted tells Run that the first pass is over: heavy work waits for it.
	attempted chan struct{}
	once      sync.Once

	// Only Collect uses these.
	listing *listing // the last good one
	locks   *locks   // the last good ones
	log     collector.Transitions
	unit    *unitWatch

	mu     sync.Mutex // of what Collect and Run share
	memory memory
	loaded bool
}

func newCollector(cfg Config, env collector.Env, limits *limits) *Collector {
	c := &Collector{
		cfg: cfg, env: env,
		client:    &client{cfg: cfg, exec: env.Exec, limits: limits, now: env.Now},
		attempted: make(chan struct{}),
		log:       collector.Transitions{Logger: env.Logger},
	}
	if cfg.Check.Unit != "" {
		c.unit = &unitWatch{hub: env.Systemd, name: cfg.Check.Unit}
	}
	return c
}

// Close lets go of the watched unit.
func (c *Collector) Close() error {
	if c.unit == nil {
		return nil
	}
	return c.unit.Close()
}

// Collect implements collector.Collector. Only what keeps restic from being
// asked at all is an error.
func (c *Collector) Collect(ctx context.Context, out *metric.Batch) error {
	defer c.once.Do(func() { close(c.attempted) })
	environ, err := c.client.environ()
	if err != nil {
		return err
	}
	if err := c.load(environ.location()); err != nil {
		return err
	}
	fresh, err := c.list(ctx)
	reason, err := c.outcome("listing", err)
	if err != nil {
		return err
	}
	if reason == "" {
		c.listing = fresh
		c.remember(fresh)
	}
	out.Bool(listingSuccess, reason == "")
	for _, r := range reasons {
		out.Bool(listingError, r == reason, r)
	}
	c.emitListing(out)
	if reason == "" {
		err = errors.Join(c.stats(ctx, fresh, out), c.lookForLocks(ctx, out))
	} else {
		c.emitStats(out)
		c.emitLocks(out)
	}
	c.log.Note("reading of the check's result", c.readExternalCheck(ctx), "")
	c.emitProofs(out)
	c.emitGroups(out)
	return errors.Join(err, c.save())
}

// list lists the snapshots. It may take half of the run; a backend that fails
// is asked again after a minute and after three (at an interval of an hour),
// as nobody will come back before the next run.
func (c *Collector) list(ctx context.Context) (*listing, error) {
	limit := c.env.Interval
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline) / 2
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pauses := []time.Duration{c.env.Interval / 60, c.env.Interval / 20}
	for {
		found, err := c.client.snapshots(ctx)
		var failed *failure
		if err == nil || len(pauses) == 0 || !errors.As(err, &failed) || !failed.transient() {
			return found, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pauses[0]):
			pauses = pauses[1:]
		}
	}
}

// outcome is the reason of a failed call, "" where it worked. What is not
// restic's word on the repository stays an error.
func (c *Collector) outcome(what string, err error) (reason, error) {
	var failed *failure
	if err != nil && !errors.As(err, &failed) {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	c.log.Note(what, err, "")
	if err != nil {
		return failed.reason, nil
	}
	return "", nil
}

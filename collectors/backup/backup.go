// Package backup observes backup jobs that systemd runs and the files that
// they must leave behind.
//
// Jobs are services, found by name or glob, with their timers. Their runs are
// followed by D-Bus signals (org.freedesktop.systemd1(5)), so a run that ends
// between two scrapes is not missed, and what must survive a reboot, when
// systemd forgets results, is kept in the state. Artifacts are looked at with
// stat and, once for each new dump, read to their end: exit status is not
// outcome.
//
// Privileges: none for jobs; read access for artifacts. Cost: no call to
// systemd in a pass; one stat for each file of an artifact.
package backup

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// Config names jobs and artifacts.
type Config struct {
	Jobs      []Job      `yaml:"jobs" doc:"backup jobs that systemd runs"`
	Artifacts []Artifact `yaml:"artifacts" doc:"files or folders that backups leave behind"`
}

// Job is one service or, by a glob, many.
type Job struct {
	Units            string          `yaml:"units" doc:"service or glob, such as restic-backups-*.service; what the * matches becomes the label backup"`
	ExpectedInterval config.Duration `yaml:"expected_interval" doc:"time between two runs where there is no timer to read it from"`
}

// Artifact is what a job must produce.
type Artifact struct {
	Name   string          `yaml:"name" doc:"value of the label backup"`
	Path   string          `yaml:"path" doc:"file, folder, or glob whose newest match counts"`
	Format string          `yaml:"format" doc:"pg_dump: the end of the newest file is checked (plain, gzip, zstd)"`
	MaxAge config.Duration `yaml:"max_age" doc:"age at which it is stale"`
	Unit   string          `yaml:"unit" doc:"service that writes it; while that runs the file is not judged"`
}

// Validate implements config.Validator.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if len(c.Jobs)+len(c.Artifacts) == 0 {
		report("jobs", "expected at least one job or artifact")
	}
	for i, j := range c.Jobs {
		at := index("jobs", i) + ".units"
		switch {
		case filepath.Ext(j.Units) != ".service":
			report(at, "expected a service or a glob of services such as restic-backups-*.service, found %q", j.Units)
		case !systemd.ValidPattern(j.Units):
			report(at, "expected a glob, found %q", j.Units)
		}
	}
	names := map[string]bool{}
	for i, a := range c.Artifacts {
		at := index("artifacts", i)
		if a.Name == "" || names[a.Name] {
			report(at+".name", "expected a unique name, found %q", a.Name)
		}
		names[a.Name] = true
		if _, err := filepath.Match(a.Path, ""); err != nil || !filepath.IsAbs(a.Path) {
			report(at+".path", "expected an absolute path or glob, found %q", a.Path)
		}
		if a.Format != "" && a.Format != formatPgDump {
			report(at+".format", "expected %s or nothing, found %q", formatPgDump, a.Format)
		}
	}
}

// Definition registers the collector.
func Definition() *collector.Definition {
	return collector.Define(collector.Spec[Config]{
		Name:    "backup",
		Summary: "Backup jobs that systemd runs: their last success, failures and next run, and the files that they must leave behind.",
		Metrics: declared,
		Every:   15 * time.Second,
		Timeout: 10 * time.Second,
		New:     open,
	})
}

type backup struct {
	cfg      Config
	env      collector.Env
	verifier *verifier

	handle *systemd.Handle // nil before the first pass and without jobs
	asked  []string        // the unit names that the handle was asked for
	memory memory
	loaded bool

	mu     sync.Mutex
	events []systemd.RunEvent // not yet taken into memory
}

func open(cfg Config, env collector.Env) (collector.Collector, error) {
	return &backup{cfg: cfg, env: env, verifier: newVerifier(env.Logger)}, nil
}

// Run verifies new dumps, one after the other, beside the passes.
func (b *backup) Run(ctx context.Context) error { return b.verifier.run(ctx) }

// Close lets go of the watcher.
func (b *backup) Close() error {
	if b.handle == nil {
		return nil
	}
	return b.handle.Close()
}

// Collect implements collector.Collector. Artifacts are told also while
// systemd cannot be asked.
func (b *backup) Collect(ctx context.Context, out *metric.Batch) error {
	if !b.loaded {
		if _, err := b.env.State.Load(&b.memory); err != nil {
			return err
		}
		b.memory.init()
		b.loaded = true
	}
	snapshot, err := b.snapshot(ctx)
	if snapshot != nil {
		b.emitJobs(out, snapshot)
	}
	b.emitArtifacts(ctx, out, snapshot)
	return errors.Join(err, b.save())
}

// save keeps the memory where it changed.
func (b *backup) save() error {
	if !b.memory.changed {
		return nil
	}
	if err := b.env.State.Save(&b.memory); err != nil {
		return err
	}
	b.memory.changed = false
	return nil
}

// snapshot is the state of the jobs' manager, nil where there are no jobs.
func (b *backup) snapshot(ctx context.Context) (*systemd.Snapshot, error) {
	if len(b.cfg.Jobs) == 0 {
		return nil, nil
	}
	if b.handle == nil {
		b.handle = b.env.Systemd.Watch("")
		b.handle.Subscribe(b.ended)
	}
	if i := b.interest(); !slices.Equal(i.Names, b.asked) || b.asked == nil {
		b.handle.Require(i)
		b.asked = i.Names
	}
	return b.handle.Snapshot(ctx)
}

// ended queues a run that ended, on the watcher's goroutine.
func (b *backup) ended(e systemd.RunEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

func (b *backup) takeEvents() []systemd.RunEvent {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events = nil
	return events
}

// interest is what the jobs of the configuration and of the memory need: a
// unit that was seen once is asked for by name, so that one which systemd let
// go of, or a timer that was disabled, is told and not forgotten.
func (b *backup) interest() systemd.Interest {
	var i systemd.Interest
	for _, j := range b.cfg.Jobs {
		timer := strings.TrimSuffix(j.Units, ".service") + ".timer"
		i.Patterns = append(i.Patterns, timer)
		if systemd.IsPattern(j.Units) {
			i.Patterns = append(i.Patterns, j.Units)
		} else {
			i.Names = append(i.Names, j.Units)
		}
	}
	for unit, r := range b.memory.Jobs {
		i.Names = append(i.Names, unit)
		if r.Timer != "" {
			i.Names = append(i.Names, r.Timer)
		}
	}
	slices.Sort(i.Names)
	i.Names = slices.Compact(i.Names)
	return i
}

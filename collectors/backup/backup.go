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
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/jobs"
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
		jobs.ValidateUnits(j.Units, fmt.Sprintf("jobs[%d].units", i), "restic-backups-*.service", report)
	}
	names := map[string]bool{}
	for i, a := range c.Artifacts {
		at := fmt.Sprintf("artifacts[%d]", i)
		if a.Name == "" || names[a.Name] {
			report(at+".name", "expected a unique name, found %q", a.Name)
		}
		names[a.Name] = true
		if _, err := filepath.Match(a.Path, ""); err != nil || !filepath.IsAbs(a.Path) {
			report(at+".path", "expected an absolute path or glob, found %q", a.Path)
		}
		if a.Unit != "" && (!strings.HasSuffix(a.Unit, ".service") || systemd.IsPattern(a.Unit)) {
			report(at+".unit", "expected a service such as postgresqlBackup.service, found %q", a.Unit)
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
	follower *jobs.Follower // nil without units
	memory   memory
	loaded   bool
}

func open(cfg Config, env collector.Env) (collector.Collector, error) {
	b := &backup{cfg: cfg, env: env, verifier: newVerifier(env.Logger)}
	var units []string
	for _, j := range cfg.Jobs {
		units = append(units, j.Units)
	}
	for _, a := range cfg.Artifacts { // after the jobs, of which they may be one
		if a.Unit != "" {
			units = append(units, a.Unit)
		}
	}
	if len(units) > 0 {
		b.follower = jobs.NewFollower(env.Systemd, "", units, env.Now)
	}
	return b, nil
}

// Run verifies new dumps, one after the other, beside the passes.
func (b *backup) Run(ctx context.Context) error { return b.verifier.run(ctx) }

// Close lets go of the watcher.
func (b *backup) Close() error {
	if b.follower == nil {
		return nil
	}
	return b.follower.Close()
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
	snapshot, err := b.collectJobs(ctx, out)
	b.emitArtifacts(ctx, out, snapshot)
	return errors.Join(err, b.save())
}

// collectJobs gives the state of the jobs' manager, nil where there are no
// units.
func (b *backup) collectJobs(ctx context.Context, out *metric.Batch) (*systemd.Snapshot, error) {
	if b.follower == nil {
		return nil, nil
	}
	view, err := b.follower.Look(ctx, b.memory.Jobs)
	if err != nil {
		return nil, err
	}
	b.memory.changed = b.memory.changed || view.Changed
	for i, n := range view.Matched[:len(b.cfg.Jobs)] {
		runs.EmitMatched(out, b.cfg.Jobs[i].Units, n)
	}
	for _, j := range view.Jobs {
		if j.Entry >= len(b.cfg.Jobs) {
			continue // a unit of an artifact
		}
		runs.Emit(out, j, b.cfg.Jobs[j.Entry].ExpectedInterval.Std(), j.Stem)
	}
	return view.Snapshot, nil
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

// memory is what must survive restarts and reboots.
type memory struct {
	Jobs      jobs.Past           `json:"jobs"`
	Artifacts map[string]*history `json:"artifacts"` // by name
	changed   bool
}

func (m *memory) init() {
	if m.Jobs == nil {
		m.Jobs = jobs.Past{}
	}
	if m.Artifacts == nil {
		m.Artifacts = map[string]*history{}
	}
}

// Package homeassistant observes Home Assistant (https://www.home-assistant.io): its API, its
// backups and its recorder's database.
//
// Reads: GET /api/config with a long-lived token; the headers of the *.tar in the backup folders
// and the backup.json in them (each file once, until it changes); .storage/backup; six SELECTs on
// the recorder's tables in PostgreSQL or SQLite. Privileges: read on the folders and files; for
// SQLite also on its -wal and -shm; for PostgreSQL a role with SELECT on states, states_meta and
// schema_changes. Cost: some milliseconds; a backup of 20 GB costs as little as one of 1 MB.
// Nothing is written.
package homeassistant

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/httpjson"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/pgsession"
)

// Config names the parts to observe; each is optional.
type Config struct {
	URL                  string            `yaml:"url" doc:"base URL of the API, such as http://127.0.0.1:8123"`
	TokenFile            config.SecretFile `yaml:"token_file" doc:"file with a long-lived access token"`
	CAFile               string            `yaml:"ca_file" doc:"CA certificates to trust instead of the system's, PEM"`
	Backups              []string          `yaml:"backups" doc:"folders with the backups, *.tar"`
	ConfigDir            string            `yaml:"config_dir" doc:"Home Assistant's configuration folder, whose .storage/backup has the schedule of backups"`
	RecorderSQLite       string            `yaml:"recorder_sqlite" doc:"the recorder's SQLite file, home-assistant_v2.db"`
	RecorderDSN          string            `yaml:"recorder_dsn" doc:"connection string of the recorder's PostgreSQL database, without a password"`
	RecorderPasswordFile config.SecretFile `yaml:"recorder_password_file" doc:"file with the password of the role in recorder_dsn"`
}

// Validate implements config.Validator.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if c.URL == "" && len(c.Backups) == 0 && c.ConfigDir == "" && c.RecorderSQLite == "" && c.RecorderDSN == "" {
		report("url", "expected at least one of url, backups, config_dir, recorder_sqlite and recorder_dsn")
	}
	if c.URL != "" {
		if err := (httpjson.Config{URL: c.URL}).Check(); err != nil {
			report("url", "%v", err)
		}
		if c.TokenFile == "" {
			report("token_file", "expected a file with a token: the API answers nothing without one")
		}
	}
	for key, paths := range map[string][]string{"backups": c.Backups, "config_dir": {c.ConfigDir}, "recorder_sqlite": {c.RecorderSQLite}} {
		for _, p := range paths {
			if (p != "" || key == "backups") && !filepath.IsAbs(p) {
				report(key, "expected an absolute path, found %q", p)
			}
		}
	}
	if c.RecorderDSN == "" {
		return
	}
	if c.RecorderSQLite != "" {
		report("recorder_dsn", "expected either recorder_sqlite or recorder_dsn")
	}
	if err := (pgsession.Config{DSN: c.RecorderDSN}).Check(); err != nil {
		report("recorder_dsn", "%v", err)
	}
}

// Definition registers the collector.
func Definition() *collector.Definition {
	return collector.Define(collector.Spec[Config]{
		Name:    "homeassistant",
		Summary: "Home Assistant: API, backups and their schedule, the recorder's database.",
		Prefix:  "home_assistant_",
		Metrics: declared,
		Every:   time.Minute,
		Timeout: 30 * time.Second,
		New:     open,
	})
}

type home struct {
	cfg    Config
	logger *slog.Logger

	api      *httpjson.Client // nil where not configured
	postgres *pgsession.Session
	known    map[string]file // backups by path
	log      collector.Transitions
}

func open(cfg Config, env collector.Env) (collector.Collector, error) {
	h := &home{cfg: cfg, logger: env.Logger, known: map[string]file{}, log: collector.Transitions{Logger: env.Logger}}
	if cfg.RecorderDSN != "" {
		h.postgres = pgsession.New(pgsession.Config{DSN: cfg.RecorderDSN, PasswordFile: cfg.RecorderPasswordFile}, "vulcan_exporter")
	}
	if cfg.URL == "" {
		return h, nil
	}
	var err error
	h.api, err = httpjson.New(httpjson.Config{URL: cfg.URL, TokenFile: cfg.TokenFile, CAFile: cfg.CAFile})
	return h, err
}

// Close ends the connections.
func (h *home) Close() error {
	if h.api != nil {
		h.api.Close()
	}
	if h.postgres != nil {
		return h.postgres.Close()
	}
	return nil
}

// Collect implements collector.Collector. The parts do not hinder each other: what one could not
// read is said in its own metric.
func (h *home) Collect(ctx context.Context, out *metric.Batch) error {
	deadline, ok := ctx.Deadline()
	share := time.Until(deadline) / 3 // a part that hangs leaves time for the others
	for _, p := range []struct {
		name       string
		configured bool
		read       func(context.Context, *metric.Batch) error
	}{
		{partBackups, len(h.cfg.Backups) > 0, h.readBackups},
		{partSchedule, h.cfg.ConfigDir != "", h.readSchedule},
		{partRecorder, h.cfg.RecorderSQLite != "" || h.postgres != nil, h.readRecorder},
	} {
		if !p.configured {
			continue
		}
		inner, cancel := context.WithCancel(ctx)
		if ok {
			cancel()
			inner, cancel = context.WithTimeout(ctx, share)
		}
		err := p.read(inner, out)
		cancel()
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err() // we are being stopped: that says nothing about the part
		}
		h.log.Note(p.name, err, "")
		out.Bool(readable, err == nil, p.name)
	}
	if h.api == nil {
		return nil
	}
	inner, cancel := context.WithTimeout(ctx, share*9/10)
	defer cancel()
	return h.probe(ctx, inner, out)
}

// probe asks for the configuration, which a core that is wedged does not give.
//
//	{"version":"2026.10.1","state":"RUNNING","components":["api"]}
func (h *home) probe(outer, ctx context.Context, out *metric.Batch) error {
	var answer struct{ Version, State string }
	begun := time.Now()
	err := h.api.Get(ctx, "/api/config", &answer)
	if errors.Is(outer.Err(), context.Canceled) {
		return outer.Err()
	}
	took := time.Since(begun)
	reason := ""
	switch {
	case err != nil:
		reason = httpjson.Reason(err)
	case answer.Version == "":
		reason, err = httpjson.ReasonFormat, errors.New("the answer has no version")
	}
	h.log.Note("api", err, reason)
	out.Bool(apiUp, reason == "")
	for _, r := range httpjson.Reasons() {
		out.Bool(apiError, r == reason, r)
	}
	if reason == "" {
		out.Gauge(apiSeconds, took.Seconds())
		out.Info(info, metric.LabelValue(answer.Version))
		if answer.State != "" {
			out.State(coreState, answer.State)
		}
	}
	return nil
}

// Package mbsync observes mail accounts that services synchronise with
// mbsync (isync), and the Maildirs that they leave behind.
//
// System: services of systemd, one for each account, found by name or glob
// with their timers; isync 1.4 and 1.5. Runs are followed by D-Bus signals
// (org.freedesktop.systemd1(5)): a run that is killed, or fails between two
// scrapes, is not missed, and a failed one never renews the last success.
// Messages are counted by their names in the Maildirs; no mail is opened.
//
// Privileges: none for the runs, or the user's for a user's manager; read and
// search access to the folders of mailboxes that are counted. Cost: no call
// to systemd in a pass; two stats for a mailbox that did not change, one read
// of its folders (0.2 s for 500,000 messages) for one that did.
package mbsync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/jobs"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// Config names the services and where their mail is.
type Config struct {
	User     string    `yaml:"user" doc:"name or uid of the user whose manager runs the services; the system's when empty"`
	Accounts []Account `yaml:"accounts" doc:"accounts that services synchronise"`
}

// Account is one service or, by a glob, many. In paths, {account} stands for
// the account's name.
type Account struct {
	Units            string          `yaml:"units" doc:"service or glob, such as mbsync-*.service; the label account is what the * matches, or a plain name without mbsync-"`
	ExpectedInterval config.Duration `yaml:"expected_interval" doc:"time between two runs where there is no timer to read it from"`
	Maildir          string          `yaml:"maildir" doc:"folder that holds the mailboxes to count, such as /home/u/Mail/{account}; none are counted when empty"`
	Mailboxes        []string        `yaml:"mailboxes" doc:"mailboxes to count, as folders below maildir or globs; [INBOX] when empty"`
	Journals         string          `yaml:"journals" doc:"glob of the journals of interrupted runs where SyncState is a folder, such as /home/u/.mbsync/:{account}-*.journal"`
	SummaryLog       string          `yaml:"summary_log" doc:"file to which the service appends what mbsync prints; isync 1.5 ends it with a line of numbers"`
}

// Validate implements config.Validator.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if _, err := systemd.Address(c.User, os.Geteuid()); err != nil {
		report("user", "%v", err)
	}
	if len(c.Accounts) == 0 {
		report("accounts", "expected at least one service or glob of services")
	}
	for i, a := range c.Accounts {
		at := fmt.Sprintf("accounts[%d].", i)
		jobs.ValidateUnits(a.Units, at+"units", "mbsync-*.service", report)
		for key, path := range map[string]string{"maildir": a.Maildir, "journals": a.Journals, "summary_log": a.SummaryLog} {
			if _, err := filepath.Match(path, ""); path != "" && (err != nil || !filepath.IsAbs(path)) {
				report(at+key, "expected an absolute path, found %q", path)
			}
		}
		for j, box := range a.Mailboxes {
			if _, err := filepath.Match(box, ""); err != nil || !filepath.IsLocal(box) {
				report(fmt.Sprintf("%smailboxes[%d]", at, j), "expected a folder below maildir or a glob, found %q", box)
			}
		}
		if len(a.Mailboxes) > 0 && a.Maildir == "" {
			report(at+"mailboxes", "expected maildir, the folder that they are below")
		}
	}
}

// Definition registers the collector.
func Definition() *collector.Definition {
	return collector.Define(collector.Spec[Config]{
		Name:    "mbsync",
		Summary: "Mail accounts that mbsync synchronises: last success, failures, exit status and rhythm of each, and messages in their Maildirs.",
		Metrics: declared,
		Every:   30 * time.Second,
		Timeout: 20 * time.Second,
		New:     open,
	})
}

type mbsync struct {
	cfg      Config
	env      collector.Env
	follower *jobs.Follower
	folders  folders
	memory   memory
	loaded   bool
	changed  bool // memory is not saved yet
}

// memory is what must survive restarts and reboots.
type memory struct {
	Accounts jobs.Past `json:"accounts"`
}

func open(cfg Config, env collector.Env) (collector.Collector, error) {
	bus, err := systemd.Address(cfg.User, os.Geteuid())
	if err != nil {
		return nil, err
	}
	units := make([]string, len(cfg.Accounts))
	for i, a := range cfg.Accounts {
		units[i] = a.Units
	}
	return &mbsync{
		cfg: cfg, env: env,
		follower: jobs.NewFollower(env.Systemd, bus, units, env.Now),
		folders:  folders{},
	}, nil
}

// Close lets go of the watcher.
func (m *mbsync) Close() error { return m.follower.Close() }

// Collect implements collector.Collector.
func (m *mbsync) Collect(ctx context.Context, out *metric.Batch) error {
	if !m.loaded {
		if _, err := m.env.State.Load(&m.memory); err != nil {
			return err
		}
		if m.memory.Accounts == nil {
			m.memory.Accounts = jobs.Past{}
		}
		m.loaded = true
	}
	view, err := m.follower.Look(ctx, m.memory.Accounts)
	if err != nil {
		return err
	}
	for i, n := range view.Matched {
		runs.EmitMatched(out, m.cfg.Accounts[i].Units, n)
	}
	told := map[string]bool{}
	for _, j := range view.Jobs {
		m.emit(ctx, out, j, told)
	}
	m.changed = m.changed || view.Changed
	if m.changed { // also what an earlier pass could not save
		err = m.env.State.Save(&m.memory)
		m.changed = err != nil
	}
	return errors.Join(err, ctx.Err())
}

func (m *mbsync) emit(ctx context.Context, out *metric.Batch, j jobs.Job, told map[string]bool) {
	cfg := m.cfg.Accounts[j.Entry]
	name := cfg.name(j)
	runs.Emit(out, j, cfg.ExpectedInterval.Std(), name)
	if r := j.Past; !r.Exit.IsZero() {
		out.State(lastResult, r.Result, j.Unit.Name, name)
		if r.Status >= 0 {
			out.Gauge(lastExitStatus, float64(r.Status), j.Unit.Name, name)
		}
	}
	cfg = cfg.of(name)
	boxes := find(cfg)
	if !told[name] { // two services may have one account's name
		told[name] = true
		for _, b := range boxes {
			m.emitMailbox(ctx, out, name, b)
		}
	}
	if jobs.Running(j.Unit) {
		return // a journal is no leftover now, and the log has no end
	}
	if found, err := journal(cfg, boxes); err == nil {
		out.Bool(journalPresent, found, j.Unit.Name, name)
	}
	if s, ok := readSummary(cfg.SummaryLog); ok {
		emitSummary(out, s, j.Unit.Name, name)
	}
}

func (m *mbsync) emitMailbox(ctx context.Context, out *metric.Batch, account string, b mailbox) {
	c, err := count{}, b.err
	if err == nil {
		c, err = m.folders.count(ctx, b.path, m.env.Now())
	}
	if err != nil {
		out.Gauge(mailboxError, 1, account, b.name, reasonOf(err))
		return
	}
	out.Gauge(mailboxMessages, float64(c.messages), account, b.name)
	out.Gauge(mailboxUnseen, float64(c.unseen), account, b.name)
}

// name is the account's: what the glob's * matches, or the unit's name as it
// is usual.
func (a Account) name(j jobs.Job) string {
	if systemd.IsPattern(a.Units) {
		return j.Stem
	}
	return strings.TrimPrefix(strings.TrimPrefix(j.Stem, "mbsync-"), "mbsync@")
}

// of puts the account's name into the paths.
func (a Account) of(name string) Account {
	for _, path := range []*string{&a.Maildir, &a.Journals, &a.SummaryLog} {
		*path = strings.ReplaceAll(*path, "{account}", name)
	}
	return a
}

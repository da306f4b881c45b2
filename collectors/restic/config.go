package restic

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Config is one repository. Definitions counts at the level of the collector
// only.
type Config struct {
	Definitions     []string          `yaml:"definitions" doc:"globs of env files or of service units with Environment= and EnvironmentFile= (NixOS: /etc/systemd/system/restic-backups-*.service), each one more repository, named by what the * matches"`
	Location        string            `yaml:"location" doc:"as for restic -r (a folder, s3:, b2:, rest:, sftp:, rclone: ...); else RESTIC_REPOSITORY of environment_file"`
	PasswordFile    config.SecretFile `yaml:"password_file" doc:"file with the repository's password"`
	PasswordCommand string            `yaml:"password_command" doc:"command that prints the password, instead of password_file"`
	EnvironmentFile config.SecretFile `yaml:"environment_file" doc:"KEY=value lines (or a service unit) with the backend's credentials; read, never run"`
	Binary          string            `yaml:"binary" doc:"restic to call; a path, or a name on PATH"`
	CacheDir        string            `yaml:"cache_dir" doc:"folder for restic's cache; restic's own default where empty"`
	Options         []string          `yaml:"options" doc:"extended options of the backend, each as after restic -o"`
	MaxAge          config.Duration   `yaml:"max_age" doc:"how old the newest snapshot of the repository may become"`
	Expect          []Expectation     `yaml:"expect" doc:"snapshots of certain hosts, tags or paths that there must be"`
	Retention       Retention         `yaml:"retention" doc:"what forget is told to keep, to see whether that is there"`
	LocksInterval   config.Duration   `yaml:"locks_interval" doc:"time between two listings of locks; each pass while there are locks; 0 lists none"`
	Check           Check             `yaml:"check" doc:"integrity checks"`
	RestoreDrill    Drill             `yaml:"restore_drill" doc:"restores of a random file"`
}

// Expectation is a kind of snapshot that there must be. What is empty matches
// anything.
type Expectation struct {
	Host   string          `yaml:"host" doc:"host name of the snapshots"`
	Tags   []string        `yaml:"tags" doc:"tags that the snapshots have, all of them"`
	Paths  []string        `yaml:"paths" doc:"paths that the snapshots have, all of them"`
	MaxAge config.Duration `yaml:"max_age" doc:"how old the newest one may become; the repository's max_age where 0"`
}

// Retention is the policy given to restic forget.
type Retention struct {
	KeepLast    int `yaml:"keep_last" doc:"as --keep-last"`
	KeepHourly  int `yaml:"keep_hourly" doc:"as --keep-hourly"`
	KeepDaily   int `yaml:"keep_daily" doc:"as --keep-daily"`
	KeepWeekly  int `yaml:"keep_weekly" doc:"as --keep-weekly"`
	KeepMonthly int `yaml:"keep_monthly" doc:"as --keep-monthly"`
	KeepYearly  int `yaml:"keep_yearly" doc:"as --keep-yearly"`
}

// Check is where the integrity of the repository is known from: the
// exporter's own check, or one that something else runs.
type Check struct {
	Interval   config.Duration `yaml:"interval" doc:"time between two checks, later than which one is told to be overdue; without unit and result_file the exporter runs them itself; 0 expects none"`
	Parts      int             `yaml:"parts" doc:"the exporter's check reads one of so many parts of the data each time"`
	Timeout    config.Duration `yaml:"timeout" doc:"deadline of one of the exporter's checks"`
	Unit       string          `yaml:"unit" doc:"service that checks the repository"`
	ResultFile string          `yaml:"result_file" doc:"file with the output of the last restic check, text or JSON"`
}

// own tells whether the exporter checks by itself.
func (c Check) own() bool { return c.Interval > 0 && c.Unit == "" && c.ResultFile == "" }

// Drill is a restore of one random file of the newest snapshot.
type Drill struct {
	Interval config.Duration `yaml:"interval" doc:"time between two drills; 0 makes none"`
}

// Validate implements config.Validator.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if c.Location == "" && c.EnvironmentFile == "" {
		report("location", "expected a repository here or an environment_file with RESTIC_REPOSITORY")
	}
	if hasPassword(c.Location) {
		report("location", "holds a password; put it into environment_file as RESTIC_REPOSITORY")
	}
	if c.PasswordFile == "" && c.PasswordCommand == "" && c.EnvironmentFile == "" {
		report("password_file", "expected password_file, password_command or an environment_file with either")
	}
	if c.PasswordFile != "" && c.PasswordCommand != "" {
		report("password_command", "expected either password_file or password_command")
	}
	if c.Binary == "" {
		report("binary", "expected a name or path")
	}
	c.validateExpectations(report)
	for _, rule := range c.Retention.rules() {
		if rule.keep < 0 {
			report("retention.keep_"+rule.name, "expected a number of at least 0")
		}
	}
	k := c.Check
	switch {
	case k.Unit != "" && k.ResultFile != "":
		report("check.result_file", "expected either unit or result_file")
	case k.Unit+k.ResultFile != "" && k.Interval <= 0:
		report("check.interval", "expected the time between two checks, after which a result is too old")
	case k.Unit != "" && !strings.HasSuffix(k.Unit, ".service"):
		report("check.unit", "expected a service such as restic-check.service, found %q", k.Unit)
	case k.Parts < 1:
		report("check.parts", "expected a number of at least 1")
	case k.own() && k.Timeout <= 0:
		report("check.timeout", "expected a duration above 0")
	}
}

func (c *Config) validateExpectations(report func(path, format string, args ...any)) {
	seen := map[[3]string]bool{}
	for i := range c.Expect {
		e, at := &c.Expect[i], fmt.Sprintf("expect[%d]", i)
		if e.MaxAge == 0 {
			e.MaxAge = c.MaxAge
		}
		key := [3]string{e.Host, joined(e.Tags), joined(e.Paths)}
		switch {
		case key == [3]string{}:
			report(at, "expected a host, tags or paths")
		case seen[key]:
			report(at, "the same host, tags and paths are expected twice")
		}
		seen[key] = true
	}
}

// hasPassword finds the password in locations such as rest:https://u:p@host/.
func hasPassword(location string) bool {
	_, rest, _ := strings.Cut(location, ":")
	for _, text := range []string{location, rest} {
		if u, err := url.Parse(text); err == nil && u.User != nil {
			if _, set := u.User.Password(); set {
				return true
			}
		}
	}
	return false
}

// expectations are the configured ones and, first, that of the repository as
// a whole.
func (c *Config) expectations() []Expectation {
	if c.MaxAge == 0 {
		return c.Expect
	}
	return append([]Expectation{{MaxAge: c.MaxAge}}, c.Expect...)
}

func (e Expectation) labels() []string { return []string{e.Host, joined(e.Tags), joined(e.Paths)} }

func inventory(c Config, out *metric.Batch) {
	out.Gauge(repositoryConfigured, 1)
	for _, e := range c.expectations() {
		if e.MaxAge > 0 {
			out.Gauge(expectedMaxAge, e.MaxAge.Std().Seconds(), e.labels()...)
		}
	}
	if c.Check.Interval > 0 {
		out.Gauge(checkInterval, c.Check.Interval.Std().Seconds())
	}
	if c.RestoreDrill.Interval > 0 {
		out.Gauge(drillInterval, c.RestoreDrill.Interval.Std().Seconds())
	}
}

// discover makes a repository of each definition.
func discover(c Config) ([]collector.Named[Config], error) {
	var found []collector.Named[Config]
	names := map[string]string{}
	for _, glob := range c.Definitions {
		files, err := filepath.Glob(glob)
		if err != nil || !filepath.IsAbs(glob) {
			return nil, fmt.Errorf("definitions: expected the absolute path or glob of files, found %q", glob)
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("definitions: no file matches %s", glob)
		}
		for _, file := range files {
			name := definitionName(glob, file)
			if other, taken := names[name]; taken && other != file {
				return nil, fmt.Errorf("definitions: %s and %s are both named %q", other, file, name)
			}
			names[name] = file
			one := c
			one.Definitions, one.EnvironmentFile = nil, config.SecretFile(file)
			found = append(found, collector.Named[Config]{Name: name, Config: one})
		}
	}
	return found, nil
}

// definitionName is what the first * of the glob's last element matched, or
// the file's name without its suffix.
func definitionName(glob, file string) string {
	name := filepath.Base(file)
	before, after, starred := strings.Cut(filepath.Base(glob), "*")
	if starred && len(before)+len(after) < len(name) && strings.HasPrefix(name, before) && strings.HasSuffix(name, after) {
		return name[len(before) : len(name)-len(after)]
	}
	return strings.TrimSuffix(name, filepath.Ext(name))
}

// maxLabel keeps long lists of paths from making long labels.
const maxLabel = 200

// joined is a list as a label: sorted, comma-joined, cut to 200 bytes at a
// character.
func joined(list []string) string {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	return clip(strings.Join(sorted, ","))
}

func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxLabel {
		return s
	}
	return strings.ToValidUTF8(s[:maxLabel], "")
}

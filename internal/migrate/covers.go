package migrate

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v3"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// settings are what the collectors' configurations say of what the scripts watched. Each
// collector has some of the keys.
type settings struct {
	source string

	Units []string `yaml:"units"` // criticalservice
	Jobs  []struct {
		Units string `yaml:"units"`
	} `yaml:"jobs"` // backup
	Accounts []struct {
		Units string `yaml:"units"`
	} `yaml:"accounts"` // mbsync
	Files []struct {
		Paths   []string `yaml:"paths"`
		Exclude []string `yaml:"exclude"`
	} `yaml:"files"` // certificate
	Roots         []string `yaml:"roots"`
	Intermediates []string `yaml:"intermediates"`
	Endpoints     []struct {
		Serves string `yaml:"serves"`
	} `yaml:"endpoints"`
	Canary struct {
		Models []string `yaml:"models"`
	} `yaml:"canary"` // litellm
	Backups []string `yaml:"backups"` // homeassistant
	Loki    struct {
		URL string `yaml:"url"`
	} `yaml:"loki"` // dnsquery
	Listen string `yaml:"listen"` // opnsense
	Check  struct {
		Interval   config.Duration `yaml:"interval"`
		Unit       string          `yaml:"unit"`
		ResultFile string          `yaml:"result_file"`
	} `yaml:"check"` // restic
}

// read gives the settings of the sources by collector.
func read(sources []collector.Source) map[string][]settings {
	all := map[string][]settings{}
	for _, script := range Scripts() {
		for _, s := range sources {
			if s.Definition.Name == script.Collector {
				one := settings{source: s.Name}
				_ = yaml.Unmarshal([]byte(s.Canonical), &one) // what cannot be read covers nothing
				all[script.Collector] = append(all[script.Collector], one)
			}
		}
	}
	return all
}

// demand is a thing that a script watched and the configuration has to name.
type demand struct {
	// what it is, and why it is not covered where it is not met.
	what, fix string
	met       bool
	// label has the value now.
	label, value, now string
}

// compared are the labels by which the scripts told apart what they watched. litellm's came late.
var compared = map[string]string{
	"restic": "repository", "backup": "backup", "mbsync": "account", "certificate": "path",
	"criticalservice": "service", "litellm": "model",
}

// demands lists what series of an old metric ask of its collector's settings. Those that the
// series do not tell are undecided.
func demands(n Name, series []map[string]string, all []settings) (list []demand, undecided bool) {
	switch {
	case n.Collector == "homeassistant":
		return []demand{{what: "backups of Home Assistant", fix: "homeassistant.backups is empty", met: some(all, func(s settings) bool { return len(s.Backups) > 0 })}}, false
	case strings.HasPrefix(n.Old, "dns_"):
		return []demand{{what: "rows to Loki", fix: "dnsquery.loki.url is empty", met: some(all, func(s settings) bool { return s.Loki.URL != "" })}}, false
	case strings.HasPrefix(n.Old, "restic_integrity_") || strings.HasPrefix(n.Old, "restic_read_data_"):
		return checks(all), false
	case compared[n.Collector] == "" || n.Old == "certificate_exporter_last_run_timestamp_seconds":
		return nil, false
	}
	label := compared[n.Collector]
	for _, s := range series {
		value, ok := s[label]
		switch {
		case ok && value != "":
			d := find(n.Collector, value, all)
			d.what, d.label, d.value = fmt.Sprintf("%s %q", label, value), label, value
			list = append(list, d)
		case n.Collector == "litellm": // the one model that the script knew
			list = append(list, demand{what: "completion", fix: "litellm.canary.models is empty", met: some(all, func(s settings) bool { return len(s.Canary.Models) > 0 })})
		default:
			undecided = true
		}
	}
	return list, undecided
}

func some(all []settings, is func(settings) bool) bool { return slices.ContainsFunc(all, is) }

// checks are those of each repository: the script read all of them.
func checks(all []settings) []demand {
	var list []demand
	for _, s := range all {
		list = append(list, demand{
			what: fmt.Sprintf("check of repository %q", s.source), fix: "restic.sources[].check has no interval, unit or result_file",
			met: s.Check.Interval > 0 || s.Check.Unit != "" || s.Check.ResultFile != "",
		})
	}
	return list
}

// find looks for the value of a collector's label in its settings.
func find(name, value string, all []settings) demand {
	var d demand
	unit := value + ".service"
	for _, s := range all {
		switch name {
		case "restic":
			d.fix = "restic.sources[].name has it not"
			d.met = d.met || s.source == value
		case "litellm":
			d.fix = "litellm.canary.models has it not"
			d.met = d.met || slices.Contains(s.Canary.Models, value)
		case "certificate":
			d.fix = "certificate.files[].paths has it not"
			d.met = d.met || s.hasFile(value)
		case "criticalservice":
			d.fix = "criticalservice.units has no " + unit
			d.met = d.met || slices.ContainsFunc(s.Units, func(u string) bool { return systemd.Match(u, unit) || u == value })
		case "backup":
			d.fix = "backup.jobs[].units has no restic-backups-" + unit
			for _, j := range s.Jobs {
				d.service(j.Units, "restic-backups-"+unit)
			}
		case "mbsync":
			d.fix = "mbsync.accounts[].units has no mbsync-" + unit
			for _, a := range s.Accounts {
				d.service(a.Units, "mbsync-"+unit, "mbsync-")
				d.service(a.Units, "mbsync@"+unit, "mbsync@")
			}
		}
	}
	return d
}

// service meets the demand where a name or glob of services has the unit, and says what the label
// is then: what the * of the glob matches, or the name, without a prefix that is usual.
func (d *demand) service(units, unit string, usual ...string) {
	if d.met || !systemd.Match(units, unit) {
		return
	}
	d.met, d.now = true, strings.TrimSuffix(unit, ".service")
	before, after, starred := strings.Cut(strings.TrimSuffix(units, ".service"), "*")
	switch {
	case starred && !systemd.IsPattern(before+after):
		d.now = strings.TrimSuffix(strings.TrimPrefix(d.now, before), after)
	case !systemd.IsPattern(units):
		for _, prefix := range usual {
			d.now = strings.TrimPrefix(d.now, prefix)
		}
	}
}

// hasFile tells whether the certificate collector shows a file with that path.
func (s *settings) hasFile(path string) bool {
	is := func(pattern string) bool { return pattern == path || doublestar.PathMatchUnvalidated(pattern, path) }
	for _, f := range s.Files {
		excluded := slices.ContainsFunc(f.Exclude, func(pattern string) bool {
			return is(pattern) || !strings.Contains(pattern, "/") && doublestar.PathMatchUnvalidated(pattern, filepath.Base(path))
		})
		// As the collector does, what is named in full is shown although it is excluded.
		if slices.Contains(f.Paths, path) || !excluded && slices.ContainsFunc(f.Paths, is) {
			return true
		}
	}
	for _, e := range s.Endpoints {
		if e.Serves == path {
			return true
		}
	}
	return slices.ContainsFunc(s.Roots, is) || slices.ContainsFunc(s.Intermediates, is)
}

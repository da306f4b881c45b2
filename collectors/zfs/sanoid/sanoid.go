// Package sanoid reads the snapshot policy of sanoid
// (https://github.com/jimsalterjrs/sanoid/wiki/Sanoid) so that what is expected
// of snapshots is not written down twice. It follows sanoid's own order of
// precedence, that of `sanoid --monitor-snapshots`: defaults, template_default,
// templates as listed, the module; recursion in the order of the file.
package sanoid

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limit is how old the newest snapshot of some names may become.
type Limit struct {
	// Names is a glob of snapshot names.
	Names  string
	MaxAge time.Duration
}

// Policy is a parsed sanoid.conf.
type Policy struct{ sections []section }

type section struct {
	name string
	keys map[string]string
}

// defaults are those of sanoid.defaults.conf 2.1 that matter here. weekly,
// yearly and frequently have no limit until the operator sets one.
var defaults = map[string]string{
	"frequently": "0", "hourly": "48", "daily": "90", "weekly": "0", "monthly": "6", "yearly": "0", "monitor": "yes",
	"frequently_warn": "0", "hourly_warn": "90m", "daily_warn": "28h", "weekly_warn": "0", "monthly_warn": "32d", "yearly_warn": "0",
	"frequently_crit": "0", "hourly_crit": "360m", "daily_crit": "32h", "weekly_crit": "0", "monthly_crit": "40d", "yearly_crit": "0",
}

// periods are the kinds of snapshot and the unit of a limit without one.
var periods = []struct {
	name string
	unit time.Duration
}{
	{"frequently", time.Second}, {"hourly", time.Minute}, {"daily", time.Hour},
	{"weekly", 24 * time.Hour}, {"monthly", 7 * 24 * time.Hour}, {"yearly", 31 * 24 * time.Hour},
}

// Parse reads a sanoid.conf: INI sections of datasets and of templates.
//
//	[tank/data]
//		use_template = production
//		recursive = yes
//	[template_production]
//		hourly = 36
func Parse(content []byte) (*Policy, error) {
	p := &Policy{}
	scanner := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimSpace(scanner.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && line[len(line)-1] == ']':
			p.sections = append(p.sections, section{strings.TrimSpace(line[1 : len(line)-1]), map[string]string{}})
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok || len(p.sections) == 0 {
				return nil, fmt.Errorf("line %d: expected key = value in a section, found %q", n, line)
			}
			p.sections[len(p.sections)-1].keys[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return p, scanner.Err()
}

// Datasets lists the datasets that have a section of their own.
func (p *Policy) Datasets() []string {
	var names []string
	for _, s := range p.sections {
		if !strings.HasPrefix(s.name, "template_") {
			names = append(names, s.path())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Limits gives what is expected of each of the datasets. existing are the
// names of all datasets, for recursion.
func (p *Policy) Limits(existing []string) map[string][]Limit {
	config := map[string]map[string]string{}
	for _, s := range p.sections {
		if !strings.HasPrefix(s.name, "template_") {
			p.apply(s, config, existing)
		}
	}
	limits := map[string][]Limit{}
	for _, keys := range config {
		if on(keys["monitor"]) && !on(keys["process_children_only"]) {
			if l := limitsOf(keys); len(l) > 0 {
				limits[keys["path"]] = l
			}
		}
	}
	return limits
}

func (s section) path() string {
	if path := s.keys["path"]; path != "" {
		return path
	}
	return s.name
}

// apply does for one section what sanoid's init does.
func (p *Policy) apply(s section, config map[string]map[string]string, existing []string) {
	keys := config[s.name]
	if keys == nil { // not yet reached by a recursion
		keys = maps.Clone(defaults)
		p.override(keys, "template_default")
	}
	for _, t := range strings.Split(s.keys["use_template"], ",") {
		if t = strings.TrimSpace(t); t != "" {
			p.override(keys, "template_"+t)
		}
	}
	for key, value := range s.keys {
		if !strings.Contains(key, "template") && !strings.Contains(key, "recursive") && key != "skip_children" {
			keys[key] = value
		}
	}
	keys["path"] = s.path()
	config[s.name] = keys
	zfs := strings.EqualFold(s.keys["recursive"], "zfs")
	skip := on(s.keys["skip_children"])
	if !zfs && !skip && !on(s.keys["recursive"]) {
		return
	}
	for _, child := range existing {
		if !strings.HasPrefix(child, keys["path"]+"/") {
			continue
		}
		if skip && !zfs {
			delete(config, child)
			continue
		}
		inherited := maps.Clone(keys)
		delete(inherited, "process_children_only")
		inherited["path"] = child
		config[child] = inherited
	}
}

func (p *Policy) override(keys map[string]string, template string) {
	for _, s := range p.sections {
		if s.name != template {
			continue
		}
		for key, value := range s.keys {
			if !strings.Contains(key, "template") && !strings.Contains(key, "recursive") {
				keys[key] = value
			}
		}
	}
}

// limitsOf uses the warning limit of each kind of snapshot that is kept, or
// the critical one where only that is set.
func limitsOf(keys map[string]string) []Limit {
	var limits []Limit
	for _, period := range periods {
		if n, err := strconv.Atoi(keys[period.name]); err != nil || n <= 0 {
			continue
		}
		age := duration(keys[period.name+"_warn"], period.unit)
		if age == 0 {
			age = duration(keys[period.name+"_crit"], period.unit)
		}
		if age > 0 {
			limits = append(limits, Limit{"autosnap_*_" + period.name, age})
		}
	}
	return limits
}

var units = map[byte]time.Duration{
	's': time.Second, 'm': time.Minute, 'h': time.Hour,
	'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour, 'y': 365 * 24 * time.Hour,
}

// duration reads 90m, 28h, 32d or a bare number of units; anything else is no
// limit.
func duration(text string, unit time.Duration) time.Duration {
	if text == "" {
		return 0
	}
	if u, ok := units[text[len(text)-1]|0x20]; ok {
		text, unit = text[:len(text)-1], u
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 || time.Duration(n) > time.Duration(1<<62)/unit {
		return 0
	}
	return time.Duration(n) * unit
}

// on reports whether a toggle has one of the values that sanoid takes as true.
func on(value string) bool {
	return slices.Contains([]string{"1", "true", "yes", "on"}, strings.ToLower(value))
}

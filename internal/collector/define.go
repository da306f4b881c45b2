package collector

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Spec describes a collector whose config is C, a struct with yaml tags and,
// for the documentation, doc tags. Where *C is a config.Validator its Validate
// is called on each decoded config.
type Spec[C any] struct {
	// Name is the package, the config key and the collector label.
	Name string
	// Summary is one sentence for the documentation.
	Summary string
	// Prefix of all metric names; Name and an underscore where empty.
	Prefix  string
	Metrics []metric.Metric
	// Every is the default interval; 0 collects at scrape, for cheap local
	// reads only.
	Every   time.Duration
	Timeout time.Duration
	// InitialDelay keeps heavy first runs out of the start of a machine.
	InitialDelay time.Duration
	// Sources is true where the config lists named sources; else there is the
	// one source "default".
	Sources bool
	// SourceLabel is the label with the source's name, "source" where empty.
	SourceLabel string
	// Budget is the most series one source may publish; 0 means 10,000.
	Budget   int
	Defaults C
	// Discover gives further sources that the collector-level config names
	// indirectly (a folder of definitions), so that no list is kept twice.
	Discover func(cfg C) ([]Named[C], error)
	// Inventory emits what is configured. It is published from process start
	// and with every run; Collect must not emit the same series again.
	Inventory func(cfg C, out *metric.Batch)
	// New makes the collector. It has no side effects.
	New func(cfg C, env Env) (Collector, error)
}

// Named is a source found by Discover.
type Named[C any] struct {
	Name   string
	Config C
}

// Definition is a Spec without its type parameter.
type Definition struct {
	Name, Summary, Prefix, SourceLabel string
	Metrics                            []metric.Metric
	Every, Timeout, InitialDelay       time.Duration
	Multiple                           bool
	Budget                             int
	// Config is a pointer to the default config, for the documentation.
	Config any
	decode func(n *yaml.Node) ([]Source, config.Errors)
}

// Source is one configured unit of work.
type Source struct {
	Definition *Definition
	Name       string
	Interval   time.Duration // 0: at scrape
	Timeout    time.Duration
	// Canonical is the effective config as YAML. Secrets are in files, so it
	// shows none; two sources with equal ID and Canonical are the same.
	Canonical string
	Inventory func(out *metric.Batch)
	New       func(env Env) (Collector, error)
}

// ID names the source among all, for example restic/Audio.
func (s Source) ID() string { return s.Definition.Name + "/" + s.Name }

// Hash is a short digest of the effective config.
func (s Source) Hash() string {
	sum := sha256.Sum256([]byte(s.Canonical))
	return hex.EncodeToString(sum[:6])
}

// Batch makes an empty batch for one run of the source.
func (s Source) Batch() *metric.Batch {
	d := s.Definition
	return metric.NewBatch(d.Metrics, d.SourceLabel, s.Name, d.Budget)
}

// common are the keys that every collector and every source has.
type common struct {
	Interval config.Duration `yaml:"interval" doc:"time between runs"`
	Timeout  config.Duration `yaml:"timeout" doc:"deadline of one run"`
}

const defaultBudget = 10_000

// Define makes a Definition from a Spec.
func Define[C any](spec Spec[C]) *Definition {
	d := &Definition{
		Name: spec.Name, Summary: spec.Summary,
		Prefix:      spec.Prefix,
		SourceLabel: spec.SourceLabel,
		Metrics:     spec.Metrics,
		Every:       spec.Every, Timeout: spec.Timeout, InitialDelay: spec.InitialDelay,
		Multiple: spec.Sources, Budget: spec.Budget, Config: &spec.Defaults,
	}
	if d.Prefix == "" {
		d.Prefix = d.Name + "_"
	}
	if d.SourceLabel == "" {
		d.SourceLabel = "source"
	}
	if d.Budget == 0 {
		d.Budget = defaultBudget
	}
	d.decode = func(n *yaml.Node) ([]Source, config.Errors) { return decodeAll(d, spec, n) }
	return d
}

// sourceName keeps names fit for labels, URLs and file names.
var sourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}$`)

func decodeAll[C any](d *Definition, spec Spec[C], n *yaml.Node) ([]Source, config.Errors) {
	base := level[C]{
		background: d.Every > 0,
		common:     common{config.Duration(d.Every), config.Duration(d.Timeout)}, cfg: spec.Defaults,
	}
	if !spec.Sources {
		errs := base.decode(n, d.Name)
		return []Source{base.source(d, spec, "default")}, errs
	}
	var list struct {
		Sources []yaml.Node `yaml:"sources"`
	}
	errs := config.Decode(n, d.Name, &list, &base.common, &base.cfg)
	if len(errs) > 0 {
		return nil, errs
	}
	if len(list.Sources) == 0 && spec.Discover == nil {
		errs.Add(n, d.Name, "expected sources, a list with at least one entry")
	}
	found, named := map[string]Source{}, map[string]bool{}
	for i := range list.Sources {
		item, path := &list.Sources[i], fmt.Sprintf("%s.sources[%d]", d.Name, i)
		var id struct {
			Name string `yaml:"name"`
		}
		one := base
		more := one.decode(item, path, &id)
		errs = append(errs, more...)
		switch {
		case !sourceName.MatchString(id.Name):
			errs.Add(config.Locate(item, "name"), path+".name", "expected a unique name of letters, digits and _.:@-, found %q", id.Name)
		case named[id.Name]:
			errs.Add(config.Locate(item, "name"), path+".name", "the name %q is taken by another source", id.Name)
		case len(more) == 0:
			found[id.Name] = one.source(d, spec, id.Name)
		}
		named[id.Name] = true
	}
	errs = append(errs, discover(d, spec, base, n, found)...)
	if len(found) == 0 && len(errs) == 0 {
		errs.Add(n, d.Name, "nothing to watch; expected sources, or what finds some")
	}
	return sorted(found), errs
}

func discover[C any](d *Definition, spec Spec[C], base level[C], n *yaml.Node, found map[string]Source) config.Errors {
	var errs config.Errors
	if spec.Discover == nil {
		return nil
	}
	named, err := spec.Discover(base.cfg)
	if err != nil {
		errs.Add(n, d.Name, "%v", err)
	}
	for _, item := range named {
		one := base
		one.cfg = item.Config
		errs = append(errs, one.validate(n, d.Name)...)
		switch _, dup := found[item.Name]; {
		case !sourceName.MatchString(item.Name):
			errs.Add(n, d.Name, "the discovered name %q has other characters than letters, digits and _.:@-", item.Name)
		case !dup: // a source written out takes precedence over a found one
			found[item.Name] = one.source(d, spec, item.Name)
		}
	}
	return errs
}

func sorted(found map[string]Source) []Source {
	return slices.SortedFunc(maps.Values(found), func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
}

// level is the config as far as one level of the file determines it.
type level[C any] struct {
	background bool // runs have an interval
	common     common
	cfg        C
}

func (l *level[C]) decode(n *yaml.Node, path string, more ...any) config.Errors {
	errs := config.Decode(n, path, append(more, &l.common, &l.cfg)...)
	if len(errs) > 0 {
		return errs // a half-decoded config would give false errors
	}
	return l.validate(n, path)
}

func (l *level[C]) validate(n *yaml.Node, path string) config.Errors {
	var errs config.Errors
	report := func(at, format string, args ...any) {
		errs.Add(config.Locate(n, at), path+"."+at, format, args...)
	}
	if l.background && l.common.Interval <= 0 {
		report("interval", "expected a duration above 0")
	}
	if l.common.Timeout <= 0 {
		report("timeout", "expected a duration above 0")
	}
	if v, ok := any(&l.cfg).(config.Validator); ok {
		v.Validate(report)
	}
	return errs
}

func (l *level[C]) source(d *Definition, spec Spec[C], name string) Source {
	cfg := l.cfg
	s := Source{
		Definition: d, Name: name,
		Interval: l.common.Interval.Std(), Timeout: l.common.Timeout.Std(),
		Inventory: func(*metric.Batch) {},
		New:       func(env Env) (Collector, error) { return spec.New(cfg, env) },
	}
	if spec.Inventory != nil {
		s.Inventory = func(out *metric.Batch) { spec.Inventory(cfg, out) }
	}
	canonical, err := yaml.Marshal(struct {
		common `yaml:",inline"`
		Config C `yaml:",inline"`
	}{l.common, cfg})
	if err != nil {
		canonical = fmt.Appendf(nil, "# %v\n%+v\n", err, cfg)
	}
	s.Canonical = string(canonical)
	return s
}

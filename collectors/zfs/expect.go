package zfs

import (
	"maps"
	"slices"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"vulcan.lan/vulcan_exporter/collectors/zfs/sanoid"
)

// expectation is a snapshot rhythm that one dataset is held to.
type expectation struct {
	names  string
	maxAge time.Duration
	newest int64 // creation of the newest snapshot of these names, 0 for none
}

func (e *expectation) matches(snapshot string) bool {
	ok, _ := doublestar.Match(e.names, snapshot)
	return ok
}

// due is when the next snapshot is expected at the latest, 0 where nothing is
// known to count from.
func (e *expectation) due(d *dataset) int64 {
	from := e.newest
	if from == 0 {
		from = d.creation
	}
	if from == 0 {
		return 0
	}
	return from + int64(e.maxAge/time.Second)
}

// applied is how many datasets a rule of the configuration, or a section of
// sanoid's, was found for.
type applied struct {
	datasets, names string
	count           int
}

// expect gives each dataset what the configuration expects of it.
func expect(rules []SnapshotRule, datasets []*dataset) []applied {
	all := make([]applied, 0, len(rules))
	for _, r := range rules {
		a := applied{datasets: r.Datasets, names: r.Names}
		for _, d := range datasets {
			if ok, _ := doublestar.Match(r.Datasets, d.name); ok {
				a.count++
				d.expect(r.Names, r.MaxAge.Std())
			}
		}
		all = append(all, a)
	}
	return all
}

// expect adds an expectation; of two for the same names the first holds.
func (d *dataset) expect(names string, maxAge time.Duration) {
	for _, r := range d.rules {
		if r.names == names {
			return
		}
	}
	d.rules = append(d.rules, &expectation{names: names, maxAge: maxAge})
}

// expectSanoid gives each dataset of a pool what sanoid's policy expects of it.
func expectSanoid(policy *sanoid.Policy, datasets map[string]*dataset) []applied {
	for name, limits := range policy.Limits(slices.Sorted(maps.Keys(datasets))) {
		for _, l := range limits {
			if d := datasets[name]; d != nil {
				d.expect(l.Names, l.MaxAge)
			}
		}
	}
	var sections []applied
	for _, name := range policy.Datasets() {
		if datasets[name] != nil {
			sections = append(sections, applied{name, sanoidNames, 1})
		}
	}
	return sections
}

// sanoidNames stands for all snapshots that sanoid takes.
const sanoidNames = "autosnap_*"

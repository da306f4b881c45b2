package restic

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

// listing is what one call of snapshots showed.
type listing struct {
	at        time.Time
	snapshots []snapshot
}

// groupKey is a host and a set of paths, as labels. Sets that are equal in
// their first 200 bytes are one group.
type groupKey struct{ host, paths string }

func keyOf(s snapshot) groupKey { return groupKey{clip(s.host), joined(s.paths)} }

// String is the key as it is kept in the state.
func (k groupKey) String() string { return k.host + "\x00" + k.paths }

func (k groupKey) compare(other groupKey) int {
	return cmp.Or(strings.Compare(k.host, other.host), strings.Compare(k.paths, other.paths))
}

// groups are the snapshots by group, oldest first.
func (l *listing) groups() map[groupKey][]snapshot {
	byKey := map[groupKey][]snapshot{}
	for _, s := range l.snapshots {
		byKey[keyOf(s)] = append(byKey[keyOf(s)], s)
	}
	for _, list := range byKey {
		slices.SortFunc(list, func(a, b snapshot) int { return a.time.Compare(b.time) })
	}
	return byKey
}

func (l *listing) newest() snapshot {
	return slices.MaxFunc(l.snapshots, func(a, b snapshot) int { return a.time.Compare(b.time) })
}

// matches tells whether a snapshot is of the kind that is expected.
func (e Expectation) matches(s snapshot) bool {
	return (e.Host == "" || e.Host == s.host) && containsAll(s.tags, e.Tags) && containsAll(s.paths, e.Paths)
}

func containsAll(have, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) })
}

// keepIntervals is for how many intervals a listing is told after later ones
// failed, as for the last good snapshot of any collector.
const keepIntervals = 3

func (c *Collector) emitListing(out *metric.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out.Time(watchedSince, c.memory.WatchedSince)
	out.Bool(initialising, !c.memory.Complete)
	l := c.listing
	if l == nil || c.env.Now().Sub(l.at) > keepIntervals*c.env.Interval {
		c.listing = nil
		return
	}
	out.Time(listingTimestamp, l.at)
	out.Gauge(snapshotCount, float64(len(l.snapshots)))
	if len(l.snapshots) > 0 {
		out.Time(lastSnapshot, l.newest().time)
	}
	for _, e := range c.cfg.expectations() {
		emitExpectation(out, e, l.snapshots)
	}
}

// emitGroups comes last in a pass: should there be more groups than series
// allowed, what is said of the repository as a whole is not what is dropped.
func (c *Collector) emitGroups(out *metric.Batch) {
	if c.listing == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	groups := c.listing.groups()
	for _, key := range slices.SortedFunc(maps.Keys(groups), groupKey.compare) {
		list := groups[key]
		emitGroup(out, key, list)
		for _, rule := range c.cfg.Retention.rules() {
			if rule.keep > 0 {
				have, want := rule.compare(list, c.memory.group(key, list))
				out.Gauge(retentionPeriods, float64(have), key.host, key.paths, rule.name)
				out.Gauge(retentionExpected, float64(want), key.host, key.paths, rule.name)
			}
		}
	}
}

func emitGroup(out *metric.Batch, key groupKey, list []snapshot) {
	labels := []string{key.host, key.paths}
	last := list[len(list)-1]
	out.Gauge(groupSnapshots, float64(len(list)), labels...)
	out.Time(groupLast, last.time, labels...)
	out.Info(groupInfo, key.host, key.paths, joined(last.tags), clip(last.username), clip(last.version))
	s := last.summary
	if s == nil {
		return
	}
	known := func(g metric.Gauge, v *float64, more ...string) {
		if v != nil {
			out.Gauge(g, *v, append(slices.Clip(labels), more...)...)
		}
	}
	known(latestFiles, s.New, "new")
	known(latestFiles, s.Changed, "changed")
	known(latestFiles, s.Unmodified, "unmodified")
	known(latestAdded, s.Added)
	known(latestAddedPacked, s.Packed)
	known(latestProcessed, s.Processed)
	if s.Start != nil && s.End != nil && !s.End.Before(*s.Start) {
		out.Gauge(latestDuration, s.End.Sub(*s.Start).Seconds(), labels...)
	}
}

func emitExpectation(out *metric.Batch, e Expectation, all []snapshot) {
	count, last := 0, time.Time{}
	for _, s := range all {
		if e.matches(s) {
			count++
			if s.time.After(last) {
				last = s.time
			}
		}
	}
	out.Gauge(expectedSnapshots, float64(count), e.labels()...)
	out.Time(expectedLast, last, e.labels()...)
}

// fingerprint tells one set of snapshots from another.
func (l *listing) fingerprint() string {
	ids := make([]string, len(l.snapshots))
	for i, s := range l.snapshots {
		ids[i] = s.id
	}
	slices.Sort(ids)
	return digest(strings.Join(ids, "\n"))
}

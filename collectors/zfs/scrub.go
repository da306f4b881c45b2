package zfs

import (
	"slices"

	"vulcan.lan/vulcan_exporter/collectors/zfs/status"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// memory is what the state keeps about pools, by guid: ZFS itself forgets the
// last scrub as soon as a resilver starts.
type memory struct {
	Pools map[string]remembered `json:"pools"`

	changed bool
}

type remembered struct {
	// FirstSeen and LastScrub are Unix seconds; LastScrub is 0 where no finished
	// scrub has been seen.
	FirstSeen int64 `json:"first_seen"`
	LastScrub int64 `json:"last_scrub,omitempty"`
}

// maxRemembered bounds the state on a machine that makes pools all day.
const maxRemembered = 1000

// remember notes a pool and its scan and returns what is known of it.
func (m *memory) remember(guid string, scan *status.Scan, now int64) remembered {
	r, known := m.Pools[guid]
	before := r
	if !known {
		r.FirstSeen = now
	}
	if scan != nil && scan.Function == "scrub" && scan.State == "finished" && scan.End > r.LastScrub {
		r.LastScrub = scan.End
	}
	if r != before && (known || len(m.Pools) < maxRemembered) {
		m.Pools[guid], m.changed = r, true
	}
	return r
}

func (c *Collector) loadMemory() *memory {
	if c.memory == nil {
		c.memory = &memory{}
		if _, err := c.env.State.Load(c.memory); err != nil {
			c.env.Logger.Warn("earlier scrubs are not known", "err", err)
		}
		if c.memory.Pools == nil {
			c.memory.Pools = map[string]remembered{}
		}
	}
	return c.memory
}

func (c *Collector) saveMemory() {
	if c.memory == nil || !c.memory.changed {
		return
	}
	if err := c.env.State.Save(c.memory); err != nil {
		c.env.Logger.Warn("the last scrub will not be remembered", "err", err)
		return
	}
	c.memory.changed = false
}

// emitScrub emits when the last scrub finished and when the next one is due. A
// pool without any scan was never scrubbed since it was created. Behind a
// resilver, a scrub under way or a canceled one there may be an earlier one
// that ZFS no longer tells of; then time counts from when the pool was first seen.
func (c *Collector) emitScrub(out *metric.Batch, p pool, scan *status.Scan, root *dataset) {
	r := c.loadMemory().remember(p.guid, scan, c.env.Now().Unix())
	from := r.FirstSeen
	switch {
	case r.LastScrub > 0:
		from = r.LastScrub
		out.Gauge(scrubCompleted, float64(from), p.name)
	case scan == nil && root != nil && root.creation > 0:
		from = root.creation
	}
	if c.cfg.ScrubMaxAge > 0 && !p.readonly { // a read-only pool cannot be scrubbed
		out.Gauge(scrubDue, float64(from)+c.cfg.ScrubMaxAge.Std().Seconds(), p.name)
	}
}

// expectedButMissing reports whether a pool of the configuration is not there.
func (c *Collector) expectedButMissing(imported map[string]string) bool {
	return slices.ContainsFunc(c.cfg.Pools, func(name string) bool { _, ok := imported[name]; return !ok })
}

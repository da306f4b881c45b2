package restic

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// memory is what is known across passes and restarts.
type memory struct {
	// Repository is a digest of the location: what is known of one repository
	// says nothing of another.
	Repository   string
	WatchedSince time.Time
	// Complete: a snapshot was seen at some time, so that none is a loss.
	Complete bool
	Groups   map[string]groupMemory
	Stats    *statsMemory
	Check    checkMemory
	Drill    drillMemory
	// CheckSince and DrillSince are since when they are expected.
	CheckSince, DrillSince time.Time

	changed bool
}

// groupMemory is what a group once had: its oldest snapshot, from which the
// periods that forget should have kept are counted, and the most snapshots.
type groupMemory struct {
	First time.Time
	Most  int
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// load reads the memory before its first use, and forgets it where the
// repository is another one.
func (c *Collector) load(location string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.loaded {
		if _, err := c.env.State.Load(&c.memory); err != nil {
			return err
		}
		c.loaded = true
	}
	if repository := digest(location); c.memory.Repository != repository {
		c.memory = memory{Repository: repository, WatchedSince: c.env.Now(), changed: true}
		c.listing, c.locks = nil, nil
	}
	c.expectSince(&c.memory.CheckSince, c.cfg.Check.Interval > 0)
	c.expectSince(&c.memory.DrillSince, c.cfg.RestoreDrill.Interval > 0)
	return nil
}

func (c *Collector) expectSince(since *time.Time, expected bool) {
	switch {
	case expected && since.IsZero():
		*since, c.memory.changed = c.env.Now(), true
	case !expected && !since.IsZero():
		*since, c.memory.changed = time.Time{}, true
	}
}

// change changes the memory under its lock.
func (c *Collector) change(f func(m *memory)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.memory)
	c.memory.changed = true
}

// save keeps the memory where it changed.
func (c *Collector) save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.memory.changed {
		return nil
	}
	if err := c.env.State.Save(&c.memory); err != nil {
		return err
	}
	c.memory.changed = false
	return nil
}

// remember takes what a listing says about the past.
func (c *Collector) remember(l *listing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &c.memory
	if len(l.snapshots) > 0 && !m.Complete {
		m.Complete, m.changed = true, true
	}
	if m.Groups == nil {
		m.Groups = map[string]groupMemory{}
	}
	current := l.groups()
	for key, list := range current {
		now := m.group(key, list)
		if now != m.Groups[key.String()] {
			m.Groups[key.String()], m.changed = now, true
		}
	}
	if len(m.Groups) > 2*len(current)+100 { // groups come and go; those that are gone are let go of
		kept := map[string]groupMemory{}
		for key := range current {
			kept[key.String()] = m.Groups[key.String()]
		}
		m.Groups, m.changed = kept, true
	}
}

// group is what is known of a group, given its present snapshots.
func (m *memory) group(key groupKey, list []snapshot) groupMemory {
	g, known := m.Groups[key.String()]
	if !known || list[0].time.Before(g.First) {
		g.First = list[0].time
	}
	g.Most = max(g.Most, len(list))
	return g
}

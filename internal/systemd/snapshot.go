package systemd

import (
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Snapshot is the state of a manager's units at one moment. It is shared and must not be changed.
type Snapshot struct {
	// At is when the manager was last known to answer, seconds ago at most.
	At    time.Time
	Stats Stats
	// Version is another one whenever anything but At has changed.
	Version uint64

	units       []*Unit // by name
	aliases     map[string]string
	clockOffset time.Duration
}

// Stats counts what the watcher did since it began.
type Stats struct {
	Connects uint64 // connections that got as far as a full resync; the first is 1
	Resyncs  uint64 // full resyncs: one a connection, daemon-reload or daemon-reexec
	Reloads  uint64 // daemon-reload and daemon-reexec seen
	Signals  uint64 // does not make another Version
}

// Units returns all units, by name: those in the manager's memory but devices, those that an
// Interest names, and those with a count that have gone.
func (s *Snapshot) Units() []*Unit { return s.units }

// Unit returns one unit by its name or an alias that an Interest names; nil if it is not known.
func (s *Snapshot) Unit(name string) *Unit {
	if id, ok := s.aliases[name]; ok {
		name = id
	}
	i, ok := slices.BinarySearchFunc(s.units, name, func(u *Unit, name string) int { return strings.Compare(u.Name, name) })
	if !ok {
		return nil
	}
	return s.units[i]
}

// Match returns the units whose names match a glob.
func (s *Snapshot) Match(pattern string) []*Unit {
	var units []*Unit
	for _, u := range s.units {
		if Match(pattern, u.Name) {
			units = append(units, u)
		}
	}
	return units
}

// NextElapse is when a timer elapses next by the wall clock; zero if it is not scheduled. That is
// so while the unit that it started still runs, when systemd shows the elapse that has passed.
func (s *Snapshot) NextElapse(u *Unit) time.Time {
	if u.SubState != "waiting" {
		return time.Time{}
	}
	return u.Timer.next(s.clockOffset)
}

// NewSnapshot makes a snapshot of given units, for tests of what reads snapshots.
func NewSnapshot(at time.Time, units ...*Unit) *Snapshot {
	s := &Snapshot{At: at, Version: 1, units: slices.Clone(units)}
	slices.SortFunc(s.units, byName)
	return s
}

func byName(a, b *Unit) int { return strings.Compare(a.Name, b.Name) }

// Match tells whether a unit's name matches a glob of systemctl(1): *, ? and [...], and a
// backslash that means itself, as unit names have it.
func Match(pattern, name string) bool {
	ok, err := path.Match(shellPattern(pattern), name)
	return err == nil && ok
}

// ValidPattern tells whether Match can use the glob.
func ValidPattern(pattern string) bool {
	_, err := path.Match(shellPattern(pattern), "x")
	return err == nil
}

func shellPattern(pattern string) string {
	if strings.ContainsAny(pattern, `\[`) {
		pattern = strings.NewReplacer(`\`, `\\`, `[!`, `[^`).Replace(pattern)
	}
	return pattern
}

// IsPattern tells a glob from a unit's name.
func IsPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// ValidName tells whether name can be that of a unit that runs: with a known suffix, of the
// characters of systemd.unit(5), and not a template.
func ValidName(name string) bool {
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 || len(name) > 255 || name[dot-1] == '@' || name[0] == '@' {
		return false
	}
	switch name[dot+1:] {
	case "service", "socket", "target", "mount", "automount", "swap", "timer", "path", "slice", "scope", "device":
	default:
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@") == ""
}

// snapshot makes what readers get from the table.
func (t *table) snapshot() *Snapshot {
	s := &Snapshot{units: make([]*Unit, 0, len(t.records)), aliases: make(map[string]string, len(t.aliases))}
	for _, r := range t.records {
		if r.unit != nil {
			s.units = append(s.units, r.unit)
		}
	}
	slices.SortFunc(s.units, byName)
	for alias, id := range t.aliases {
		s.aliases[alias] = id
	}
	return s
}

// clockOffset is wall clock minus CLOCK_MONOTONIC, the clock in which systemd gives the next
// elapse of OnActiveSec= and its like, whatever clock the timer runs on.
func clockOffset() time.Duration {
	var monotonic unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic); err != nil {
		return 0 // cannot happen on Linux
	}
	return time.Duration(time.Now().UnixNano() - monotonic.Nano())
}

// steadyOffset is clockOffset, constant between steps of the clock: otherwise each scrape would
// show another nanosecond for the same elapse. Callers hold mu.
func (w *watcher) steadyOffset() time.Duration {
	if current := clockOffset(); (current - w.offset).Abs() > 50*time.Millisecond {
		w.offset = current
	}
	return w.offset
}

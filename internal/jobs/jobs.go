// Package jobs follows services that do a piece of work and end: backups,
// mail synchronisation, anything that a timer starts.
//
// Runs are taken from D-Bus signals (org.freedesktop.systemd1(5)), so one that
// ends between two looks is not missed; what systemd forgets at a reboot is
// kept in a Past, which the collector saves with its state. Which units are
// jobs is found by name or glob. Needs no privilege and makes no call to
// systemd in a pass.
package jobs

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// Past is what is known of each job's past, by unit.
type Past map[string]*Record

// forgetAfter is how long the past of a job that has gone is kept, in case it
// comes back.
const forgetAfter = 90 * 24 * time.Hour

// Job is one service as it is now, with its past.
type Job struct {
	Unit  *systemd.Unit
	Timer *systemd.Unit // that starts it; nil where there is none
	// Next is when the timer elapses next, zero while the job runs or is not
	// scheduled.
	Next time.Time
	// Entry is the index of the name or glob that found the job.
	Entry int
	// Stem is what the glob's first * stands for, or the name without suffix.
	Stem string
	Past *Record
}

// View is the state of all jobs at one moment.
type View struct {
	Snapshot *systemd.Snapshot
	Jobs     []Job // each unit once, even if two globs match it
	Matched  []int // units, for each name or glob
	// Changed: the past is another one than before and should be saved.
	Changed bool
}

// Follower finds jobs and follows their runs. Look and Close are for one
// goroutine at a time.
type Follower struct {
	hub   *systemd.Hub
	bus   string
	units []string
	now   func() time.Time

	handle *systemd.Handle // nil before the first look
	asked  []string        // the unit names that the handle was asked for

	mu     sync.Mutex
	events []systemd.RunEvent // not yet taken into the past
}

// NewFollower makes a follower of the services that the names or globs tell.
// bus is that of the manager, as Hub.Watch takes it.
func NewFollower(hub *systemd.Hub, bus string, units []string, now func() time.Time) *Follower {
	return &Follower{hub: hub, bus: bus, units: units, now: now}
}

// Close lets go of the watcher.
func (f *Follower) Close() error {
	if f.handle == nil {
		return nil
	}
	return f.handle.Close()
}

// Look takes what happened since the last look into the past and tells each
// job. The error tells why systemd cannot be watched.
func (f *Follower) Look(ctx context.Context, past Past) (*View, error) {
	if f.handle == nil {
		f.handle = f.hub.Watch(f.bus)
		f.handle.Subscribe(f.ended)
	}
	if i := f.interest(past); f.asked == nil || !slices.Equal(i.Names, f.asked) {
		f.handle.Require(i)
		f.asked = append([]string{}, i.Names...)
	}
	s, err := f.handle.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	v := &View{Snapshot: s}
	for _, e := range f.takeEvents() {
		if r := past[e.Unit]; r != nil && r.take(e, f.now()) {
			v.Changed = true
		}
	}
	f.find(v, past)
	maps.DeleteFunc(past, func(_ string, r *Record) bool { return f.now().Sub(r.Seen) > forgetAfter })
	return v, nil
}

func (f *Follower) find(v *View, past Past) {
	timers := timersByService(v.Snapshot)
	told := map[string]bool{}
	for entry, pattern := range f.units {
		units := matching(v.Snapshot, pattern)
		v.Matched = append(v.Matched, len(units))
		for _, u := range units {
			if told[u.Name] {
				continue
			}
			told[u.Name] = true
			j := Job{Unit: u, Timer: timers[u.Name], Entry: entry, Stem: stem(pattern, u.Name)}
			f.recall(v, past, &j)
			v.Jobs = append(v.Jobs, j)
		}
	}
}

// recall finds a job's past, and takes over what the manager still knows of a
// run that ended while nobody watched.
func (f *Follower) recall(v *View, past Past, j *Job) {
	now := f.now()
	r := past[j.Unit.Name]
	if r == nil {
		r = &Record{Since: now}
		past[j.Unit.Name] = r
	}
	if r.Since.After(now) {
		r.Since, v.Changed = now, true
	}
	if now.Sub(r.Seen).Abs() > 24*time.Hour {
		r.Seen, v.Changed = now, true
	}
	if e, ok := j.Unit.LastRun(); ok && r.take(e, now) {
		v.Changed = true
	}
	if j.Timer == nil && r.Timer != "" {
		j.Timer = v.Snapshot.Unit(r.Timer) // one that is disabled tells not what it starts
	}
	if t := j.Timer; t != nil {
		j.Next = v.Snapshot.NextElapse(t)
		if t.Name != r.Timer {
			r.Timer, v.Changed = t.Name, true
		}
		if t.Timer.Interval > 0 && t.Timer.Interval != r.Interval {
			r.Interval, v.Changed = t.Timer.Interval, true
		}
	}
	j.Past = r.believed(now)
}

// interest is what the jobs that are configured and those of the past need: a
// unit that was seen once is asked for by name, so that one which systemd let
// go of, or a timer that was disabled, is told and not forgotten.
func (f *Follower) interest(past Past) systemd.Interest {
	var i systemd.Interest
	for _, units := range f.units {
		i.Patterns = append(i.Patterns, strings.TrimSuffix(units, ".service")+".timer")
		if systemd.IsPattern(units) {
			i.Patterns = append(i.Patterns, units)
		} else {
			i.Names = append(i.Names, units)
		}
	}
	for unit, r := range past {
		i.Names = append(i.Names, unit)
		if r.Timer != "" {
			i.Names = append(i.Names, r.Timer)
		}
	}
	slices.Sort(i.Names)
	i.Names = slices.Compact(i.Names)
	return i
}

// ended queues a run that ended, on the watcher's goroutine.
func (f *Follower) ended(e systemd.RunEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

func (f *Follower) takeEvents() []systemd.RunEvent {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := f.events
	f.events = nil
	return events
}

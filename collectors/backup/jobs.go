package backup

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// memory is what must survive restarts and reboots.
type memory struct {
	Jobs      map[string]*record  `json:"jobs"`      // by unit
	Artifacts map[string]*history `json:"artifacts"` // by name
	changed   bool
}

func (m *memory) init() {
	if m.Jobs == nil {
		m.Jobs = map[string]*record{}
	}
	if m.Artifacts == nil {
		m.Artifacts = map[string]*history{}
	}
}

// record is what is known of a job's past.
type record struct {
	Since    time.Time     `json:"since"`
	Seen     time.Time     `json:"seen"` // when it was last found, to the day
	Start    time.Time     `json:"start,omitzero"`
	Exit     time.Time     `json:"exit,omitzero"`
	Success  time.Time     `json:"success,omitzero"`
	OK       bool          `json:"ok"` // the last run succeeded; false without one
	Failures uint64        `json:"failures"`
	Interval time.Duration `json:"interval,omitempty"`
	Timer    string        `json:"timer,omitempty"` // unit that starts the job
}

// forgetAfter is how long the past of a job that has gone is kept, in case it
// comes back.
const forgetAfter = 90 * 24 * time.Hour

// emitJobs updates the memory from what happened since the last pass and
// tells each job once, even if two globs match it.
func (b *backup) emitJobs(out *metric.Batch, s *systemd.Snapshot) {
	for _, e := range b.takeEvents() {
		if r := b.memory.Jobs[e.Unit]; r != nil && r.take(e, b.env.Now()) {
			b.memory.changed = true
		}
	}
	timers := timersByService(s)
	told := map[string]bool{}
	for _, j := range b.cfg.Jobs {
		units := matching(s, j.Units)
		out.Gauge(jobsMatched, float64(len(units)), j.Units)
		for _, u := range units {
			if !told[u.Name] {
				told[u.Name] = true
				b.emitJob(out, s, j, u, timers[u.Name])
			}
		}
	}
	b.forget()
}

func (b *backup) emitJob(out *metric.Batch, s *systemd.Snapshot, j Job, u *systemd.Unit, timer *systemd.Unit) {
	r := b.record(u)
	if timer == nil && r.Timer != "" {
		timer = s.Unit(r.Timer) // one that is disabled tells not what it starts
	}
	if timer != nil && timer.Name != r.Timer {
		r.Timer, b.memory.changed = timer.Name, true
	}
	if timer != nil && timer.Timer.Interval > 0 && timer.Timer.Interval != r.Interval {
		r.Interval, b.memory.changed = timer.Timer.Interval, true
	}
	label := []string{u.Name, matched(j.Units, u.Name)}
	out.Gauge(jobConfigured, 1, label...)
	out.Bool(jobLoaded, u.LoadState == "loaded", label...)
	out.Bool(serviceFailed, u.ActiveState == "failed", label...)
	out.Bool(running, isRunning(u), label...)
	if timer != nil {
		out.Bool(timerActive, timer.Active(), label...)
		out.Time(nextRun, s.NextElapse(timer), label...)
	}
	switch {
	case j.ExpectedInterval > 0:
		out.Gauge(expectedInterval, j.ExpectedInterval.Std().Seconds(), label...)
	case r.Interval > 0:
		out.Gauge(expectedInterval, r.Interval.Seconds(), label...)
	}
	r.emit(out, label)
}

func (r *record) emit(out *metric.Batch, label []string) {
	out.Time(watchedSince, r.Since, label...)
	out.Time(lastStart, r.Start, label...)
	out.Time(lastExit, r.Exit, label...)
	out.Time(lastSuccess, r.Success, label...)
	out.Bool(neverSucceeded, r.Success.IsZero(), label...)
	out.Counter(failuresTotal, float64(r.Failures), label...)
	if r.Exit.IsZero() {
		return
	}
	out.Bool(lastRunSuccess, r.OK, label...)
	if !r.Start.IsZero() {
		out.Gauge(durationSeconds, max(0, r.Exit.Sub(r.Start).Seconds()), label...)
	}
}

// record finds a job's past, and takes over what the manager still knows of a
// run that ended while nobody watched.
func (b *backup) record(u *systemd.Unit) *record {
	now := b.env.Now()
	r := b.memory.Jobs[u.Name]
	if r == nil {
		r = &record{Since: now}
		b.memory.Jobs[u.Name], b.memory.changed = r, true
	}
	if now.Sub(r.Seen) > 24*time.Hour {
		r.Seen, b.memory.changed = now, true
	}
	if e, ok := u.LastRun(); ok && r.take(e, now) {
		b.memory.changed = true
	}
	return r
}

// take records a run that ended and reports whether it was news. Runs are told
// apart by their end, which lies after the last one's unless the clock was
// wrong then. A run that a condition turned down is none.
func (r *record) take(e systemd.RunEvent, now time.Time) bool {
	wrong := r.Exit.After(now) && !e.Exit.Equal(r.Exit)
	if !e.Exit.After(r.Exit) && !wrong || e.Result == "exec-condition" {
		return false
	}
	r.Start, r.Exit, r.OK = e.Start, e.Exit, e.Success
	if e.Success {
		r.Success = e.Exit
	} else {
		r.Failures++
	}
	return true
}

func (b *backup) forget() {
	now := b.env.Now()
	maps.DeleteFunc(b.memory.Jobs, func(_ string, r *record) bool { return now.Sub(r.Seen) > forgetAfter })
}

func matching(s *systemd.Snapshot, units string) []*systemd.Unit {
	if systemd.IsPattern(units) {
		return slices.DeleteFunc(s.Match(units), func(u *systemd.Unit) bool { return u.LoadState == "not-found" })
	}
	if u := s.Unit(units); u != nil {
		return []*systemd.Unit{u}
	}
	return nil
}

func timersByService(s *systemd.Snapshot) map[string]*systemd.Unit {
	timers := map[string]*systemd.Unit{}
	for _, u := range s.Units() {
		if u.Type() != "timer" {
			continue
		}
		service := u.Timer.Unit
		if service == "" { // a timer that is not loaded tells none
			service = strings.TrimSuffix(u.Name, ".timer") + ".service"
		}
		if have := timers[service]; have == nil || !have.Active() {
			timers[service] = u
		}
	}
	return timers
}

func isRunning(u *systemd.Unit) bool {
	switch u.ActiveState {
	case "activating", "deactivating", "reloading", "refreshing":
		return !strings.HasPrefix(u.SubState, "auto-restart")
	case "active":
		return u.SubState != "exited" // RemainAfterExit=
	}
	return false
}

// matched is the part of a unit's name that a glob's first * stands for, or
// the name without its suffix.
func matched(pattern, name string) string {
	stem := strings.TrimSuffix(name, ".service")
	before, after, ok := strings.Cut(strings.TrimSuffix(pattern, ".service"), "*")
	if !ok || systemd.IsPattern(before+after) {
		return stem
	}
	exact := regexp.MustCompile("^" + regexp.QuoteMeta(before) + "(.+)" + regexp.QuoteMeta(after) + "$")
	if m := exact.FindStringSubmatch(stem); m != nil {
		return m[1]
	}
	return stem
}

func index(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

package systemd

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"time"
)

// Unit is what is known of one unit. Times are of the wall clock; the zero time means unknown or
// never. Meanings are those of org.freedesktop.systemd1(5).
type Unit struct {
	Name string
	// InMemory: the manager has it loaded. Units that nothing refers to leave its memory when
	// they stop; such a unit is shown only where an Interest names it or a failure was counted.
	InMemory bool
	// LoadState is loaded, not-found, bad-setting, error or masked; empty while not known.
	LoadState string
	// LoadError tells why LoadState is not loaded, empty for not-found and masked.
	LoadError string
	// FileState is the enablement (enabled, static, masked ...), known where a pattern of an
	// Interest matches the unit.
	FileState string
	// ActiveState is active, reloading, inactive, failed, activating or deactivating (or newer:
	// maintenance, refreshing); empty while not known.
	ActiveState, SubState string
	// InvocationID is that of the last start, as 32 hex digits.
	InvocationID string
	// When the unit entered or left the state last, forgotten at reboot.
	StateChange, InactiveExit, ActiveEnter, ActiveExit, InactiveEnter time.Time
	// Result is that of the last run. It reads success also for a unit that never ran, and is
	// empty for unit types without one.
	Result string
	// ControlGroup is the cgroup path from the root of the hierarchy, services only.
	ControlGroup string
	Service      Service // for *.service
	Timer        Timer   // for *.timer

	starting bool // the next invocation is announced and has not begun

	// Failures counts invocations that failed since the watch began, each once.
	Failures uint64
	// Runs counts invocations of a service that ended since the watch began.
	Runs uint64
	// Results are the results other than success seen since the watch began, sorted, also those
	// of start jobs that never became an invocation (dependency, timeout, assert).
	Results []string
}

// Service are the properties of a service's main process.
type Service struct {
	Type    string // simple, oneshot, notify ...
	Restart string // no, always, on-failure ...
	// Restarts counts automatic restarts (NRestarts); a start by hand sets it to 0.
	Restarts uint32
	// ExecMainStart and ExecMainExit are of the current or last run. During ExecStartPre both
	// are zero; while the main process runs ExecMainExit is zero.
	ExecMainStart, ExecMainExit time.Time
	// ExecMainCode is how the process ended: 0 not yet, 1 exited, 2 killed, 3 dumped core.
	// ExecMainStatus is its exit status or the signal's number.
	ExecMainCode, ExecMainStatus int32
}

// Timer are the properties of a timer.
type Timer struct {
	Unit       string // what it starts
	Persistent bool
	// LastTrigger is when it last elapsed; zero if it never did.
	LastTrigger time.Time
	// Interval is from the last trigger to the next one, as of the last time when both were
	// known; while the unit that it started still runs there is no next one. 0 is unknown.
	Interval time.Duration

	// The next elapse of calendar and of other triggers, the latter on CLOCK_MONOTONIC (0 is
	// none). Snapshot.NextElapse makes one time of them.
	NextRealtime  time.Time
	NextMonotonic time.Duration
}

// Active tells whether the unit is up: active or reloading.
func (u *Unit) Active() bool {
	return u.ActiveState == "active" || u.ActiveState == "reloading" || u.ActiveState == "refreshing"
}

// Installed tells whether the unit is there to be used: it is up or failed, or its file can be
// loaded and is not disabled. It leaves out what something merely refers to.
func (u *Unit) Installed() bool {
	switch {
	case u.ActiveState != "" && u.ActiveState != "inactive":
		return true
	case u.LoadState == "" || u.LoadState == "not-found" || u.LoadState == "masked":
		return false
	}
	return u.FileState != "disabled" && u.FileState != "masked"
}

// Type is the unit's suffix, such as service.
func (u *Unit) Type() string { return typeOf(u.Name) }

func typeOf(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// ended tells whether the last invocation of a unit is over: it is down, it waits to be
// restarted, or it is a RemainAfterExit= service whose process has exited.
func (u *Unit) ended() bool {
	return u.ActiveState == "inactive" || u.ActiveState == "failed" || u.restarting() ||
		u.ActiveState == "active" && u.SubState == "exited"
}

// restarting: auto-restart, or since systemd 254 auto-restart-queued.
func (u *Unit) restarting() bool { return strings.HasPrefix(u.SubState, "auto-restart") }

// failed tells whether the last invocation is a failure. With Restart=, the failed state is
// short or (RestartMode=direct) left out, and the result remains.
func (u *Unit) failed() bool {
	return u.ActiveState == "failed" || u.restarting() && !harmless(u.Result)
}

// harmless are the results of a run that is not a failure: success, and a start that
// ExecCondition= has turned down.
func harmless(result string) bool {
	return result == "" || result == "success" || result == "exec-condition"
}

// endTime is when the last invocation ended, as far as known.
func (u *Unit) endTime() time.Time {
	for _, t := range []time.Time{u.Service.ExecMainExit, u.InactiveEnter, u.StateChange} {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// saw adds a result to the sorted set. Units are copied by assignment, so the old slice may be
// in use elsewhere.
func (u *Unit) saw(result string) {
	if i, found := slices.BinarySearch(u.Results, result); !found {
		u.Results = slices.Insert(slices.Clone(u.Results), i, result)
	}
}

// setUnit takes over what is present of org.freedesktop.systemd1.Unit.
func (u *Unit) setUnit(p properties) {
	set(p, "LoadState", &u.LoadState)
	set(p, "ActiveState", &u.ActiveState)
	set(p, "SubState", &u.SubState)
	setTime(p, "StateChangeTimestamp", &u.StateChange)
	setTime(p, "InactiveExitTimestamp", &u.InactiveExit)
	setTime(p, "ActiveEnterTimestamp", &u.ActiveEnter)
	setTime(p, "ActiveExitTimestamp", &u.ActiveExit)
	setTime(p, "InactiveEnterTimestamp", &u.InactiveEnter)
	if id, ok := p["InvocationID"].Value().([]byte); ok {
		u.InvocationID = hex.EncodeToString(id)
	}
	if pair, ok := p["LoadError"].Value().([]any); ok && len(pair) == 2 {
		u.LoadError, _ = pair[1].(string)
		if u.LoadState == "not-found" || u.LoadState == "masked" {
			u.LoadError = "" // says the same in words
		}
	}
}

// setType takes over what is present of the interface of the unit's type.
func (u *Unit) setType(p properties) {
	set(p, "Result", &u.Result)
	switch u.Type() {
	case "service":
		s := &u.Service
		set(p, "ControlGroup", &u.ControlGroup)
		set(p, "Type", &s.Type)
		set(p, "Restart", &s.Restart)
		set(p, "NRestarts", &s.Restarts)
		setTime(p, "ExecMainStartTimestamp", &s.ExecMainStart)
		setTime(p, "ExecMainExitTimestamp", &s.ExecMainExit)
		set(p, "ExecMainCode", &s.ExecMainCode)
		set(p, "ExecMainStatus", &s.ExecMainStatus)
	case "timer":
		t := &u.Timer
		set(p, "Unit", &t.Unit)
		set(p, "Persistent", &t.Persistent)
		setTime(p, "LastTriggerUSec", &t.LastTrigger)
		setTime(p, "NextElapseUSecRealtime", &t.NextRealtime)
		if usec, ok := p["NextElapseUSecMonotonic"].Value().(uint64); ok {
			t.NextMonotonic = 0
			if usec < math.MaxInt64/1000 {
				t.NextMonotonic = time.Duration(usec) * time.Microsecond
			}
		}
	}
}

// next is when the timer elapses next, given wall clock minus CLOCK_MONOTONIC; zero if unknown.
// A timer with both kinds of triggers elapses at the first.
func (t *Timer) next(clockOffset time.Duration) time.Time {
	if t.NextMonotonic == 0 {
		return t.NextRealtime
	}
	next := time.Unix(0, int64(clockOffset+t.NextMonotonic))
	if !t.NextRealtime.IsZero() && t.NextRealtime.Before(next) {
		return t.NextRealtime
	}
	return next
}

func set[T any](p properties, name string, to *T) {
	if v, ok := p[name].Value().(T); ok {
		*to = v
	}
}

// setTime reads microseconds of the wall clock, of which 0 and 2^64-1 mean none.
func setTime(p properties, name string, to *time.Time) {
	usec, ok := p[name].Value().(uint64)
	switch {
	case !ok:
	case usec == 0 || usec > math.MaxInt64:
		*to = time.Time{}
	default:
		*to = time.UnixMicro(int64(usec))
	}
}

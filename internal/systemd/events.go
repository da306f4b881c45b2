package systemd

import (
	"time"
)

// RunEvent is a run of a service that has ended, or a start that never became a run.
type RunEvent struct {
	Unit         string
	InvocationID string // empty for a start that never became a run
	// Start is when the main process began, else when the unit left inactive (it failed in
	// ExecStartPre); zero for a start that never became a run.
	Start, Exit time.Time
	// Success: Result is success. A run that ExecCondition= turned down is neither a success nor
	// a failure; its Result is exec-condition.
	Success bool
	// Result is systemd's: success, exit-code, signal, timeout, core-dump, oom-kill ...; for a
	// start that never became a run the job's: dependency, timeout, assert.
	Result string
	// ExitCode is the main process's exit status; -1 when it did not exit by itself or never ran.
	ExitCode int
	// Signal is the number of the signal that ended the main process, else 0.
	Signal int
}

const (
	exited = 1 // CLD_EXITED and its like, see waitid(2)
	killed = 2
	dumped = 3
)

func runEvent(u *Unit, ok bool) RunEvent {
	s := &u.Service
	e := RunEvent{
		Unit: u.Name, InvocationID: u.InvocationID, Success: ok, Result: u.Result,
		Start: s.ExecMainStart, Exit: u.endTime(), ExitCode: -1,
	}
	if e.Start.IsZero() {
		e.Start = u.InactiveExit
	}
	switch s.ExecMainCode {
	case exited:
		e.ExitCode = int(s.ExecMainStatus)
	case killed, dumped:
		e.Signal = int(s.ExecMainStatus)
	}
	return e
}

// LastRun is the run of a service that ended last, as far as the manager
// still knows it: nothing after a reboot, nor while the next one goes on or is
// about to begin, when its result and main process are already reset. Its Exit
// tells one run from another.
func (u *Unit) LastRun() (RunEvent, bool) {
	if u.Type() != "service" || u.InvocationID == "" || !u.ended() || u.starting || u.endTime().IsZero() {
		return RunEvent{}, false
	}
	if u.ActiveState == "failed" && harmless(u.Result) {
		return RunEvent{}, false // reset for the next run, and seen first in that moment
	}
	e := runEvent(u, !u.failed() && u.Result == "success")
	return e, !e.Start.After(e.Exit)
}

package systemd

import (
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// table is all that is known of one manager's units. It is guarded by the watcher's mu.
type table struct {
	since   time.Time // failures and runs that ended before are not counted
	records map[string]*record
	aliases map[string]string // name asked for -> the unit's own name
	events  []RunEvent        // to be delivered
}

// record is one unit's history.
type record struct {
	path dbus.ObjectPath
	next Unit  // takes up what signals bring
	unit *Unit // as published, never changed afterwards; nil before the first commit

	declared bool   // an Interest names it
	asked    string // InvocationID when the load state was read last, for declared units
	baseline bool   // what it shows is from before the watch, or was committed
	failed   []string
	run      string // last invocation reported as a run
	runOK    bool
	ends     uint32 // invocations seen to end since Restarts last grew
	pending  bool   // the invocation has begun, the state is still the one from before it
	jobLost  bool   // a failed job was counted whose failure may still show
}

// maxGone bounds how many units with counts are kept that have left the manager's memory:
// transient units have ever new names.
const maxGone = 1000

func newTable(since time.Time) table {
	return table{since: since, records: map[string]*record{}, aliases: map[string]string{}}
}

// ignored unit types: devices cannot fail and are many.
func ignored(name string) bool { return strings.HasSuffix(name, ".device") }

func (t *table) get(name string) *record {
	r := t.records[name]
	if r == nil {
		r = &record{next: Unit{Name: name}}
		t.records[name] = r
	}
	return r
}

// commit publishes what a record has taken up, and counts what it shows.
func (t *table) commit(r *record) {
	r.recall()
	n := &r.next
	fresh := r.baseline || n.endTime().After(t.since)
	if fresh {
		t.countRestarts(r)
	}
	if !r.starting() {
		t.countEnd(r, fresh)
	}
	t.interval(r)
	r.baseline = true
	published := *n
	published.starting = r.pending
	r.unit = &published
}

// recall keeps the last run of a unit that left memory and was loaded again, for the manager has
// forgotten it: a mere look at such a unit (systemctl status) would make a success of a failure.
func (r *record) recall() {
	n, before := &r.next, r.unit
	if n.InvocationID != "" || n.ActiveState != "inactive" || before == nil || before.InvocationID == "" {
		return
	}
	n.InvocationID, n.Result = before.InvocationID, before.Result
	n.StateChange, n.InactiveExit, n.InactiveEnter = before.StateChange, before.InactiveExit, before.InactiveEnter
	n.ActiveEnter, n.ActiveExit = before.ActiveEnter, before.ActiveExit
	s, run := &n.Service, before.Service
	s.ExecMainStart, s.ExecMainExit, s.ExecMainCode, s.ExecMainStatus = run.ExecMainStart, run.ExecMainExit, run.ExecMainCode, run.ExecMainStatus
}

// starting tells whether the invocation has not begun yet: a start announces its InvocationID
// first, while the unit is still down, and the new state with a later signal. It has then reset
// the result and the main process already. The same is seen of a service that was stopped in
// ExecStartPre: no run, for nothing of it has run.
func (r *record) starting() bool {
	var before Unit
	if r.unit != nil {
		before = *r.unit
	}
	down := r.next.ended() && r.next.ActiveState != "active"
	left := !r.next.InactiveExit.Equal(before.InactiveExit)
	reset := r.next.Type() == "service" && r.next.Result == "success" && r.next.Service.ExecMainStart.IsZero()
	switch {
	case down && reset:
		r.pending = true
	case !down || left:
		r.pending = false
	case r.next.InvocationID != before.InvocationID:
		r.pending = r.baseline
	}
	return r.pending
}

func (t *table) countEnd(r *record, fresh bool) {
	n := &r.next
	if n.failed() && !slices.Contains(r.failed, n.InvocationID) || t.failedAgain(r) {
		r.remember(n.InvocationID)
		if fresh && !r.jobLost {
			n.Failures++
		}
		r.jobLost = false
	}
	if !harmless(n.Result) && n.ended() {
		n.saw(n.Result)
	}
	t.countRun(r, fresh)
}

// republish shows what the table itself has found out, not a unit's state between two signals.
func (r *record) republish() {
	if r.unit != nil {
		published := *r.unit
		published.Results, published.FileState, published.LoadState = r.next.Results, r.next.FileState, r.next.LoadState
		r.unit = &published
	}
}

// failedAgain is a failure without an invocation: units of types that have none.
func (t *table) failedAgain(r *record) bool {
	return r.next.InvocationID == "" && r.next.ActiveState == "failed" && r.unit != nil && r.unit.ActiveState != "failed"
}

// remember keeps the last failed invocations: a signal may be older than what a call brought.
func (r *record) remember(invocation string) {
	r.failed = append(r.failed, invocation)
	if len(r.failed) > 4 {
		r.failed = r.failed[1:]
	}
}

// countRestarts counts failures whose signals were merged into those of the next run, or which
// fell into a time without a bus. Automatic restarts without a seen end were failures, except
// where Restart= restarts after success too: those are left out, not guessed.
func (t *table) countRestarts(r *record) {
	if r.unit == nil {
		return
	}
	before, now := r.unit.Service.Restarts, r.next.Service.Restarts
	switch {
	case now < before:
		r.ends = 0
	case now > before:
		if missed := now - before; missed > r.ends && strings.HasPrefix(r.next.Service.Restart, "on-") && r.next.Service.Restart != "on-success" {
			r.next.Failures += uint64(missed - r.ends)
		}
		r.ends = 0
	}
}

func (t *table) countRun(r *record, fresh bool) {
	n := &r.next
	if n.Type() != "service" || n.InvocationID == "" || !n.ended() {
		return
	}
	// A second report only when what had ended well (RemainAfterExit=) fails later.
	ok := !n.failed() && n.Result == "success"
	again := n.InvocationID == r.run && r.runOK && n.failed()
	if n.InvocationID == r.run && !again {
		return
	}
	r.run, r.runOK = n.InvocationID, ok
	if !fresh {
		return
	}
	if !again {
		n.Runs++
		r.ends++
	}
	t.events = append(t.events, runEvent(n, ok))
}

// interval keeps a timer's rhythm while it has no next elapse.
func (t *table) interval(r *record) {
	timer := &r.next.Timer
	if timer.LastTrigger.IsZero() {
		return
	}
	if next := timer.next(clockOffset()); next.After(timer.LastTrigger) {
		if d := next.Sub(timer.LastTrigger); (d-timer.Interval).Abs() > time.Second || timer.Interval == 0 {
			timer.Interval = d
		}
	}
}

// jobRemoved takes up jobs that failed without an invocation of the unit that would show it.
func (t *table) jobRemoved(name, result string, now time.Time) {
	if ignored(name) {
		return
	}
	switch result {
	case "dependency", "timeout", "assert":
		r := t.get(name)
		r.next.saw(result)
		r.republish()
		t.events = append(t.events, RunEvent{Unit: name, Exit: now, Result: result, ExitCode: -1})
	case "failed":
		// Started, failed and collected before anything was sent of it.
		if r := t.records[name]; r != nil && r.next.ActiveState == "" && !r.jobLost {
			r.jobLost = true
			r.next.Failures++
			r.next.saw("failed")
		}
	}
}

// removed takes up that the manager has dropped a unit from memory.
func (t *table) removed(name string) (ask bool) {
	r := t.records[name]
	if r == nil {
		return false
	}
	n := &r.next
	n.InMemory, n.ControlGroup = false, ""
	if !r.declared && n.Failures == 0 && len(n.Results) == 0 {
		delete(t.records, name)
		return false
	}
	n.ActiveState, n.SubState = "inactive", "dead"
	if !r.declared {
		n.LoadState, n.ActiveState, n.SubState = "", "", ""
	}
	published := *n
	r.unit = &published
	t.forget()
	// A declared unit that has run may have been transient. One that has not was loaded by our
	// question alone; asking again would go on for ever.
	return r.declared && n.InvocationID != r.asked
}

// forget drops one unit that is gone once there are too many.
func (t *table) forget() {
	var gone []string
	for name, r := range t.records {
		if !r.next.InMemory && !r.declared {
			gone = append(gone, name)
		}
	}
	if len(gone) > maxGone {
		delete(t.records, slices.MinFunc(gone, func(a, b string) int {
			return t.records[a].next.StateChange.Compare(t.records[b].next.StateChange)
		}))
	}
}

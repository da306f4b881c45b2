package jobs

import (
	"time"

	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// Record is what is known of one job's past. Times are of the wall clock, the
// zero time is unknown or never.
type Record struct {
	Since    time.Time     `json:"since"` // when the job was first seen
	Seen     time.Time     `json:"seen"`  // when it was last found, to the day
	Start    time.Time     `json:"start,omitzero"`
	Exit     time.Time     `json:"exit,omitzero"`
	Success  time.Time     `json:"success,omitzero"` // end of the last run that succeeded
	OK       bool          `json:"ok"`               // the last run succeeded; false without one
	Result   string        `json:"result,omitempty"` // the last run's, as systemd names it
	Status   int           `json:"status"`           // the last run's exit status, -1 if it did not exit
	Failures uint64        `json:"failures"`
	Interval time.Duration `json:"interval,omitempty"`
	Timer    string        `json:"timer,omitempty"` // unit that starts the job
}

// skew is how far ahead a time may be that is believed: a clock is set back a
// little now and then.
const skew = time.Minute

// believed is the record without what lies ahead: the clock was wrong then, or
// is now. A success in years to come would keep every alert quiet until then.
// The record itself keeps it, for a machine without a clock of its own starts
// in the past.
func (r *Record) believed(now time.Time) *Record {
	limit, b := now.Add(skew), *r
	if b.Success.After(limit) {
		b.Success = time.Time{}
	}
	if b.Exit.After(limit) {
		b.Start, b.Exit, b.OK, b.Result, b.Status = time.Time{}, time.Time{}, false, "", 0
	}
	return &b
}

// take records a run that ended and reports whether it was news. Runs are told
// apart by their end, which lies after the last one's unless that lies ahead.
// One that a condition turned down is none, and of one that itself lies ahead
// nobody knows when it was.
func (r *Record) take(e systemd.RunEvent, now time.Time) bool {
	limit := now.Add(skew)
	if !e.Exit.After(r.Exit) && !r.Exit.After(limit) || e.Exit.After(limit) || e.Result == "exec-condition" {
		return false
	}
	r.Start, r.Exit, r.OK, r.Result, r.Status = e.Start, e.Exit, e.Success, e.Result, e.ExitCode
	if e.Success {
		r.Success = e.Exit
	} else {
		r.Failures++
	}
	return true
}

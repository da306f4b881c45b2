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

// correct forgets times that the clock has not reached, which was wrong then,
// and reports whether there were any. A success in years to come would keep
// every alert quiet until then; when it was is not known, so the watch begins
// anew.
func (r *Record) correct(now time.Time) bool {
	limit := now.Add(skew)
	if !r.Success.After(limit) && !r.Exit.After(limit) && !r.Since.After(limit) && !r.Seen.After(limit) {
		return false
	}
	if r.Success.After(limit) {
		r.Success = time.Time{}
	}
	if r.Exit.After(limit) {
		r.Start, r.Exit, r.OK, r.Result, r.Status = time.Time{}, time.Time{}, false, "", 0
	}
	r.Since, r.Seen = now, now
	return true
}

// take records a run that ended and reports whether it was news. Runs are told
// apart by their end. One that a condition turned down is none, and of one that
// the clock has not reached nobody knows when it was.
func (r *Record) take(e systemd.RunEvent, now time.Time) bool {
	if !e.Exit.After(r.Exit) || e.Exit.After(now.Add(skew)) || e.Result == "exec-condition" {
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

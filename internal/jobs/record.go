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

// take records a run that ended and reports whether it was news. Runs are told
// apart by their end, which lies after the last one's unless the clock was
// wrong then. A run that a condition turned down is none.
func (r *Record) take(e systemd.RunEvent, now time.Time) bool {
	wrong := r.Exit.After(now) && !e.Exit.Equal(r.Exit)
	if !e.Exit.After(r.Exit) && !wrong || e.Result == "exec-condition" {
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

package server

import (
	"fmt"
	"time"

	"vulcan.lan/vulcan_exporter/internal/runner"
)

// sourceView is a source as the page shows it.
type sourceView struct {
	runner.Status
	// State is ok, failing, stale (succeeded, but too long ago to be shown)
	// or waiting (not tried yet).
	State string
	// Age of the data that the last success gave; negative where there is none.
	Age time.Duration
	now time.Time
}

func view(s runner.Status, now time.Time) sourceView {
	v := sourceView{Status: s, Age: -1, now: now}
	if !s.LastSuccess.IsZero() {
		v.Age = max(runner.Age(now, s.LastSuccess), 0)
	}
	switch {
	case s.LastAttempt.IsZero():
		v.State = "waiting"
	case !s.Up:
		v.State = "failing"
	case s.Stale(now, s.LastSuccess):
		v.State = "stale"
	default:
		v.State = "ok"
	}
	return v
}

func (v sourceView) bad() bool { return v.State == "failing" || v.State == "stale" }

// rank puts trouble first.
func (v sourceView) rank() int {
	switch v.State {
	case "failing", "stale":
		return 0
	case "waiting":
		return 1
	}
	return 2
}

// Data says how old the data is, in words.
func (v sourceView) Data() string {
	switch {
	case v.Age < 0:
		return "none yet"
	case v.Interval == 0 && v.Age < 2*time.Second:
		return "just now"
	}
	return span(v.Age) + " old"
}

// Ratio is the age in intervals, for a meter; 0 where runs happen at scrape.
func (v sourceView) Ratio() string {
	if v.Interval == 0 || v.Age < 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", min(v.Age.Seconds()/v.Interval.Seconds(), runner.StaleAfter))
}

// Next says when the next run is.
func (v sourceView) Next() string {
	switch {
	case v.InFlight:
		return "running"
	case v.Interval == 0:
		return "at scrape"
	case v.NextRun.IsZero():
		return "not scheduled"
	case v.NextRun.Before(v.now):
		return "due"
	}
	return "in " + span(v.NextRun.Sub(v.now))
}

// Failed is the number of failed runs since the process watches the source.
func (v sourceView) Failed() uint64 {
	var n uint64
	for _, failures := range v.Failures {
		n += failures
	}
	return n
}

// shown says what /metrics shows of a source that does not deliver.
func (v sourceView) shown() string {
	last := v.LastSuccess.Format("Jan 2 15:04:05")
	switch {
	case v.LastSuccess.IsZero():
		return "It has never succeeded since the exporter started: /metrics has none of its values."
	case v.Interval == 0:
		return "It runs at scrape and last succeeded at " + last + ": /metrics has none of its values now."
	case v.Stale(v.now, v.LastSuccess):
		return fmt.Sprintf("Its last good values, of %s, are older than %d intervals and no longer in /metrics.", last, runner.StaleAfter)
	}
	until := v.LastSuccess.Add(runner.StaleAfter * v.Interval).Format("15:04:05")
	return fmt.Sprintf("/metrics still shows its values of %s, until %s.", last, until)
}

// blind is a source in trouble, with what mends it.
func (s *Server) blind(v sourceView) trouble {
	t := trouble{What: v.ID(), Source: v.ID(), Reason: v.Error}
	switch v.State {
	case "stale":
		t.Says = "The last run succeeded, but no newer one has ended. " + v.shown()
		t.Advice = "A run takes longer than three intervals, or the machine slept. Compare the source's timeout and interval."
	default:
		t.Says = map[runner.Reason]string{
			runner.ReasonError:   "It could not find out. ",
			runner.ReasonTimeout: "It did not end within its timeout of " + span(v.Timeout) + ". ",
			runner.ReasonPanic:   "Its collector has a defect and panicked. ",
			runner.ReasonInvalid: "Its collector has a defect and emitted wrong series. ",
		}[v.Reason] + v.shown()
		t.Advice, t.Mending = s.mend(v)
	}
	t.Mending = append(t.Mending, s.collect(v.ID()))
	return t
}

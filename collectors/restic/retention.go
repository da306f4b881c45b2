package restic

import (
	"fmt"
	"math"
	"time"
)

// keepRule is one of forget's keep rules: how many periods keep a snapshot,
// and how periods are named and counted.
type keepRule struct {
	name string
	keep int
	// period names the period of a moment, in that moment's zone.
	period func(t time.Time) string
	// length is the longest that one period can be.
	length time.Duration
}

const day = 24 * time.Hour

// rules are restic's, see https://restic.readthedocs.io/en/stable/060_forget.html
func (r Retention) rules() []keepRule {
	layout := func(l string) func(time.Time) string { return func(t time.Time) string { return t.Format(l) } }
	week := func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, "-", w) }
	return []keepRule{
		{"last", r.KeepLast, nil, 0},
		{"hourly", r.KeepHourly, layout("2006-01-02 15"), time.Hour},
		{"daily", r.KeepDaily, layout("2006-01-02"), day + time.Hour}, // a clock set back
		{"weekly", r.KeepWeekly, week, 7*day + time.Hour},
		{"monthly", r.KeepMonthly, layout("2006-01"), 31*day + time.Hour},
		{"yearly", r.KeepYearly, layout("2006"), 366 * day},
	}
}

func ruleNames() []string {
	var names []string
	for _, rule := range (Retention{}).rules() {
		names = append(names, rule.name)
	}
	return names
}

// compare gives the number of periods that have a snapshot of the group, and
// how many the rule should have kept: as many as there were since the group is
// known, at most keep. Snapshots are sorted by time. The number expected is
// the least that a history of that length has whatever the time of day, so
// that a young repository, or one whose first day is not over, is not blamed.
func (r keepRule) compare(list []snapshot, known groupMemory) (have, want int) {
	if r.period == nil { // keep-last: every snapshot counts
		return min(len(list), r.keep), min(known.Most, r.keep)
	}
	seen := map[string]bool{}
	for _, s := range list {
		seen[r.period(s.time)] = true
	}
	newest := list[len(list)-1].time
	periods := math.Floor(float64(newest.Sub(known.First))/float64(r.length)) + 1
	return min(len(seen), r.keep), int(min(periods, float64(r.keep)))
}

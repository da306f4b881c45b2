// Package latency counts the requests in LiteLLM's log, "LiteLLM_SpendLogs", each exactly once.
//
// The log has one row for each request, written when the request has ended and then some: rows
// appear late and out of the order of their starts, and old ones are deleted. There is no column
// that only grows. So a pass reads the ids of all rows that began since a horizon, in order, from
// the index, and counts those that it has not seen. The horizon follows the clock by the overlap:
// the longest time from the start of a request to its row. Horizon, the set of seen requests and
// the counts are one state; what was counted before the state was saved is counted, and nothing
// else. Most rows are young: most passes look at the last quarter of an hour only, and a pass each
// ten minutes, and the first of a process, at all since the horizon.
//
// All times are UTC: the columns have no time zone and LiteLLM writes UTC.
package latency

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/collectors/litellm/names"
	"vulcan.lan/vulcan_exporter/collectors/litellm/schema"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// State is what is kept. Its JSON form is part of the collector's state.
type State struct {
	Since   time.Time // first look
	Horizon time.Time // zero before it
	Seen    seen

	Duration   *metric.Bucketer
	FirstToken *metric.Bucketer
	Requests   metric.Tally
	Errors     metric.Tally
	Classes    *metric.Bounded
	Codes      *metric.Bounded

	// Not kept.
	whole   time.Time // of the last pass that began at the horizon
	newest  time.Time
	hour    float64
	changed bool
}

// Most classes and codes of errors that get series of their own.
const (
	maxClasses = 40
	maxCodes   = 30
)

// New makes an empty state.
func New() *State {
	return &State{
		Seen:     seen{},
		Duration: metric.NewBucketer(durationSeconds), FirstToken: metric.NewBucketer(firstTokenSeconds),
		Classes: metric.NewBounded(maxClasses), Codes: metric.NewBounded(maxCodes),
	}
}

// Passes that look at young rows only, and how often one looks at all since the horizon.
const (
	young      = 15 * time.Minute
	wholeEvery = 10 * time.Minute
)

// pageSize bounds what is in memory at a time.
const pageSize = 10_000

// Refresh counts the rows that are new. A pass that fails half-way has counted what it has read,
// and the next goes on from there.
func (st *State) Refresh(ctx context.Context, conn *pgx.Conn, s schema.Schema, n *names.Names, overlap time.Duration) error {
	if err := s.Require(schema.SpendLogs, "request_id", "startTime", "endTime", "model"); err != nil {
		return err
	}
	if st.Horizon.IsZero() {
		st.Since, st.Horizon, st.changed = s.Now, s.Now, true
	}
	if st.Horizon.After(s.Now) { // the server's clock was wrong by more than the overlap
		st.Horizon = s.Now
	}
	from, whole := st.Horizon, true
	if recent := s.Now.Add(-young); from.Before(recent) && st.whole.After(s.Now.Add(-wholeEvery)) && !st.whole.After(s.Now) {
		from, whole = recent, false
	}
	final := s.Now.Add(-overlap) // all that began before is in the log by now
	cursor := position{start: from.UnixMicro()}
	for {
		page, err := readPage(ctx, conn, cursor)
		if err != nil {
			return err
		}
		if err := st.countNew(ctx, conn, s, n, page); err != nil {
			return err
		}
		if len(page) < pageSize {
			break
		}
		cursor = page[len(page)-1]
		if whole {
			st.advance(earlier(final, time.UnixMicro(cursor.start)))
		}
	}
	if whole {
		st.advance(final)
		st.whole = s.Now
	}
	return nil
}

// countNew counts those rows of a page that have not been counted.
func (st *State) countNew(ctx context.Context, conn *pgx.Conn, s schema.Schema, n *names.Names, page []position) error {
	unseen := page[:0:0]
	for _, p := range page {
		if _, counted := st.Seen[digest(p.id)]; !counted {
			unseen = append(unseen, p)
		}
	}
	if len(unseen) == 0 {
		return nil
	}
	requests, err := readDetails(ctx, conn, s, unseen)
	if err != nil {
		return err
	}
	for _, r := range requests {
		st.count(n, r)
	}
	return nil
}

// Changed tells whether there is something new to keep since the last call. A horizon alone is
// not: from an older one and what was seen since, the same is read and nothing is counted twice.
func (st *State) Changed() bool {
	changed := st.changed
	st.changed = false
	return changed
}

// advance moves the horizon, never back.
func (st *State) advance(to time.Time) {
	if to.After(st.Horizon) {
		st.Horizon = to.UTC()
		st.Seen.forget(seconds(st.Horizon.UnixMicro()))
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func seconds(micros int64) uint32 { return uint32(max(0, micros/1e6)) }

// count counts a request unless it was counted before.
func (st *State) count(n *names.Names, r request) {
	id := digest(r.id)
	if _, counted := st.Seen[id]; counted {
		return
	}
	st.Seen[id], st.changed = seconds(r.start), true
	labels := []string{n.Model(r.model), n.Provider(r.provider)}
	for _, result := range []string{resultSuccess, resultCacheHit, resultFailure} {
		st.Requests.Add(0, append(labels[:2:2], result)...) // none first appears in trouble
	}
	switch {
	case r.failed:
		st.Requests.Add(1, append(labels, resultFailure)...)
		st.Errors.Add(1, st.Classes.Admit(text(r.class, names.Unknown)), st.Codes.Admit(text(r.code, names.None)))
	case r.cached:
		st.Requests.Add(1, append(labels, resultCacheHit)...)
	default:
		st.Requests.Add(1, append(labels, resultSuccess)...)
		if r.seconds != nil {
			st.Duration.Observe(max(0, *r.seconds), labels...)
		}
		if r.firstToken != nil {
			st.FirstToken.Observe(max(0, *r.firstToken), labels...)
		}
	}
}

func text(s *string, otherwise string) string {
	if s == nil || *s == "" {
		return otherwise
	}
	return *s
}

// Freshness looks at the end of the log: a gateway whose writes fail goes on to answer.
func (st *State) Freshness(ctx context.Context, conn *pgx.Conn, s schema.Schema) error {
	if err := s.Require(schema.SpendLogs, "startTime"); err != nil {
		return err
	}
	var last *time.Time
	row := conn.QueryRow(ctx, `
		SELECT (SELECT max("startTime") FROM "`+schema.SpendLogs+`"),
		       (SELECT count(*) FROM "`+schema.SpendLogs+`" WHERE "startTime" >= $1::timestamp)::float8`,
		s.Now.Add(-time.Hour).Format(time.DateTime))
	st.newest = time.Time{}
	if err := row.Scan(&last, &st.hour); err != nil {
		return err
	}
	if last != nil {
		st.newest = last.UTC()
	}
	return nil
}

// Emit shows the counts.
func (st *State) Emit(out *metric.Batch) {
	st.Duration.Emit(out, durationSeconds)
	st.FirstToken.Emit(out, firstTokenSeconds)
	st.Requests.Emit(out, loggedTotal)
	st.Errors.Emit(out, errorsTotal)
	out.Time(since, st.Since)
}

// EmitFreshness shows what Freshness found.
func (st *State) EmitFreshness(out *metric.Batch) {
	out.Time(newest, st.newest)
	out.Gauge(lastHour, st.hour)
}

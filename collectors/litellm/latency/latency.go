// Package latency counts the requests in LiteLLM's log, "LiteLLM_SpendLogs", each exactly once.
//
// The log has one row for each request, written when the request has ended and then some: rows
// appear late and out of the order of their starts, and old ones are deleted. There is no column
// that only grows. So each pass reads all rows that began since a horizon, in order, and counts
// those that it has not seen. The horizon follows the clock by the overlap: the longest time
// from the start of a request to its row. Horizon, the set of seen requests and the counts are
// one state; what was counted before the state was saved is counted, and nothing else.
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

	// Of the last pass; not kept.
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

// request is one row of the log.
type request struct {
	id              string
	start           int64 // microseconds since 1970
	seconds         *float64
	firstToken      *float64
	model, provider string
	failed, cached  bool
	class, code     *string
}

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
	final := s.Now.Add(-overlap) // all that began before is in the log by now
	cursor := position{start: st.Horizon.UnixMicro()}
	for {
		page, err := readPage(ctx, conn, s, cursor)
		if err != nil {
			return err
		}
		for _, r := range page {
			st.count(n, r)
		}
		if len(page) < pageSize {
			st.advance(final)
			return nil
		}
		last := page[len(page)-1]
		cursor = position{last.start, last.id}
		st.advance(earlier(final, time.UnixMicro(last.start)))
	}
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

// position is a place in the order of the log.
type position struct {
	start int64
	id    string
}

// readPage reads the rows from a position on. The index on ("startTime", request_id) or the one
// on ("startTime") serves it. The details of an error are only looked at where there is one: they
// are in a large column, stored out of line.
func readPage(ctx context.Context, conn *pgx.Conn, s schema.Schema, from position) ([]request, error) {
	column := func(name, absent string) string { return s.Or(schema.SpendLogs, name, absent) }
	failed := `coalesce(` + column("status", "NULL") + `, '') = 'failure'`
	detail := func(key string) string {
		if !s.Has(schema.SpendLogs, "metadata") {
			return "NULL::text"
		}
		return `CASE WHEN ` + failed + ` THEN left(metadata->'error_information'->>'` + key + `', 200) END`
	}
	elapsed := func(end string) string { return `extract(epoch FROM ` + end + ` - "startTime")::float8` }
	first := column("completionStartTime", "NULL::timestamp")
	rows, err := conn.Query(ctx, `
		SELECT request_id, (extract(epoch FROM "startTime") * 1000000)::bigint,
		       coalesce(`+column("request_duration_ms", "NULL")+`::float8 / 1000, `+elapsed(`"endTime"`)+`),
		       CASE WHEN `+first+` < "endTime" THEN `+elapsed(first)+` END,
		       coalesce(nullif(`+column("model_group", "NULL")+`, ''), model, ''),
		       coalesce(`+column("custom_llm_provider", "NULL")+`, ''),
		       `+failed+`, lower(coalesce(`+column("cache_hit", "NULL")+`, '')) = 'true',
		       `+detail("error_class")+`, `+detail("error_code")+`
		  FROM "`+schema.SpendLogs+`"
		 WHERE "startTime" >= $1::timestamp AND ("startTime", request_id) > ($1::timestamp, $2)
		 ORDER BY "startTime", request_id LIMIT $3`,
		time.UnixMicro(from.start).UTC().Format("2006-01-02 15:04:05.999999"), from.id, pageSize)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (request, error) {
		var r request
		err := row.Scan(&r.id, &r.start, &r.seconds, &r.firstToken, &r.model, &r.provider, &r.failed, &r.cached, &r.class, &r.code)
		return r, err
	})
}

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

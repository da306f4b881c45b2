// Package ledger counts what LiteLLM has spent from its daily table, "LiteLLM_DailyUserSpend":
// the one of its aggregates that has every request once.
//
// The counters are the table's own sums, so they survive restarts of either side and agree with
// LiteLLM's pages. Not all days are read each time: those before a boundary are one base, read
// once a day; the days since, in which rows still change, are read at each refresh. Both reads of
// a full pass see one snapshot of the table.
package ledger

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/collectors/litellm/names"
	"vulcan.lan/vulcan_exporter/collectors/litellm/schema"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Options are the operator's choices. Another choice of labels begins other series, so the
// state of the former is dropped.
type Options struct {
	ByKey, ByTeam bool
	Limit         int // of values of each label
}

// Indices of Values.
const (
	spend = iota
	promptTokens
	completionTokens
	cacheReadTokens
	cacheCreationTokens
	successes
	failures
	valueCount
)

// Values are the sums of one series.
type Values [valueCount]float64

// Series is one set of labels.
type Series struct {
	Labels []string
	Table  Values // the table's sums, as counted
	Offset Values // what the table has lost since it was counted
}

// State is what is kept. Its JSON form is part of the collector's state.
type State struct {
	Options  Options
	Boundary string // YYYY-MM-DD; days before it are in Base
	FullRead time.Time
	Base     map[string]Values // by joined labels
	Series   map[string]*Series

	Corrections float64
	Corrected   float64 // USD

	Difference    float64
	DifferenceDay time.Time // zero: not known

	changed bool
}

// maxSeries bounds the combinations of labels; what comes later is counted with all labels
// other.
const maxSeries = 1000

// openDays are read at each refresh: requests that began before midnight are recorded after it,
// and a queue may hold them for long.
const openDays = 3

// settle is how long after midnight a day is taken to be closed.
const settle = 30 * time.Minute

// row is one group of the table.
type row struct {
	hash, model, provider string
	values                Values
}

var required = []string{"date", "api_key", "model", "spend", "prompt_tokens", "completion_tokens"}

// Refresh reads the table and brings the state up to date. The state is unchanged where it fails.
func (st *State) Refresh(ctx context.Context, conn *pgx.Conn, s schema.Schema, n *names.Names, o Options) error {
	if err := s.Require(schema.Daily, required...); err != nil {
		return err
	}
	full := st.due(s.Now, o)
	boundary := st.Boundary
	if full {
		boundary = day(s.Now.AddDate(0, 0, 1-openDays))
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	open, err := read(ctx, tx, s, o, `date >= $1`, boundary)
	if err != nil {
		return err
	}
	var closed []row
	if full {
		if closed, err = read(ctx, tx, s, o, `date < $1`, boundary); err != nil {
			return err
		}
	}
	if o.ByKey || o.ByTeam {
		if err := n.Learn(ctx, tx, s, hashes(closed, open)); err != nil {
			return err
		}
	}
	if full {
		st.rebase(n, o, closed, boundary, s.Now)
	}
	st.apply(n, open)
	return nil
}

// due tells whether all days must be read: never read, other labels, or the first refresh after
// a day was closed.
func (st *State) due(now time.Time, o Options) bool {
	return st.Boundary == "" || st.Options != o || day(now.Add(-settle)) != day(st.FullRead.Add(-settle))
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// spendSum is exact: a sum of doubles depends on their order, one of numerics does not. A spend
// that is not a finite number is left out.
const spendSum = `sum(spend::numeric) FILTER (WHERE spend > '-Infinity' AND spend < 'Infinity')`

// read sums the days that the condition selects.
func read(ctx context.Context, tx pgx.Tx, s schema.Schema, o Options, condition, boundary string) ([]row, error) {
	hash := `''`
	if o.ByKey || o.ByTeam {
		hash = `api_key`
	}
	count := func(column string) string {
		return `coalesce(sum(` + s.Or(schema.Daily, column, "0") + `), 0)::float8`
	}
	rows, err := tx.Query(ctx, `
		SELECT `+hash+`, coalesce(nullif(`+s.Or(schema.Daily, "model_group", "NULL")+`, ''), model, ''),
		       coalesce(`+s.Or(schema.Daily, "custom_llm_provider", "NULL")+`, ''),
		       coalesce(`+spendSum+`, 0)::float8,
		       `+count("prompt_tokens")+`, `+count("completion_tokens")+`,
		       `+count("cache_read_input_tokens")+`, `+count("cache_creation_input_tokens")+`,
		       `+count("successful_requests")+`, `+count("failed_requests")+`
		  FROM "`+schema.Daily+`" WHERE `+condition+` GROUP BY 1, 2, 3`, boundary)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (row, error) {
		var w row
		v := &w.values
		err := r.Scan(&w.hash, &w.model, &w.provider, &v[spend], &v[promptTokens], &v[completionTokens],
			&v[cacheReadTokens], &v[cacheCreationTokens], &v[successes], &v[failures])
		return w, err
	})
}

// Changed tells whether there is something new to keep since the last call.
func (st *State) Changed() bool {
	changed := st.changed
	st.changed = false
	return changed
}

func hashes(lists ...[]row) []string {
	var all []string
	for _, rows := range lists {
		for _, r := range rows {
			all = append(all, r.hash)
		}
	}
	return all
}

// bySpend puts what costs most first: it is the first to be admitted as a label.
func bySpend(a, b row) int {
	return cmp.Or(cmp.Compare(b.values[spend], a.values[spend]),
		strings.Compare(a.model, b.model), strings.Compare(a.provider, b.provider), strings.Compare(a.hash, b.hash))
}

// rebase takes the sums of all closed days.
func (st *State) rebase(n *names.Names, o Options, closed []row, boundary string, now time.Time) {
	if st.Options != o || st.Series == nil {
		*st = State{Series: map[string]*Series{}}
	}
	st.Options, st.Boundary, st.FullRead, st.changed = o, boundary, now, true
	st.Base = map[string]Values{}
	slices.SortFunc(closed, bySpend)
	for _, r := range closed {
		key := st.series(n, r)
		st.Base[key] = sum(st.Base[key], r.values)
	}
}

// apply adds the open days to the base and moves the counters.
func (st *State) apply(n *names.Names, open []row) {
	table := make(map[string]Values, len(st.Series))
	for key, v := range st.Base {
		table[key] = v
	}
	slices.SortFunc(open, bySpend)
	for _, r := range open {
		key := st.series(n, r)
		table[key] = sum(table[key], r.values)
	}
	for key, series := range st.Series {
		before := *series
		if series.move(table[key]) {
			st.Corrections++
		}
		st.changed = st.changed || series.Table != before.Table
	}
	st.Corrected = 0
	for _, series := range st.Series {
		st.Corrected += series.Offset[spend]
	}
}

// move takes the table's new sums. Where one is lower than before, what is missing goes to the
// offset, so that the counter stays and later growth counts; what is lower by no more than
// rounding is not.
func (s *Series) move(table Values) (fell bool) {
	for i, v := range table {
		before := s.Table[i]
		tolerance := max(1e-6, 1e-12*before)
		switch {
		case v >= before:
			s.Table[i] = v
		case before-v > tolerance:
			s.Offset[i] += before - v
			s.Table[i] = v
			fell = true
		}
	}
	return fell
}

func sum(a, b Values) Values {
	for i := range a {
		a[i] += b[i]
	}
	return a
}

// series gives the key of the series that a row belongs to.
func (st *State) series(n *names.Names, r row) string {
	labels := []string{n.Model(r.model), n.Provider(r.provider), "", ""}
	who := n.Owner(r.hash)
	if st.Options.ByTeam {
		labels[2] = who.Team
	}
	if st.Options.ByKey {
		labels[3] = who.Key
	}
	key := strings.Join(labels, "\x00")
	if st.Series[key] != nil {
		return key
	}
	if len(st.Series) >= maxSeries {
		labels = []string{metric.Other, metric.Other, metric.Other, metric.Other}
		key = strings.Join(labels, "\x00")
	}
	if st.Series[key] == nil {
		st.Series[key] = &Series{Labels: labels}
	}
	return key
}

// Emit shows the counters as they were last read.
func (st *State) Emit(out *metric.Batch) {
	for _, s := range st.Series {
		v := sum(s.Table, s.Offset)
		with := func(last string) []string { return append(slices.Clip(s.Labels), last) }
		out.Counter(spendTotal, v[spend], s.Labels...)
		out.Counter(tokensTotal, v[promptTokens], with("prompt")...)
		out.Counter(tokensTotal, v[completionTokens], with("completion")...)
		out.Counter(tokensTotal, v[cacheReadTokens], with("cache_read")...)
		out.Counter(tokensTotal, v[cacheCreationTokens], with("cache_creation")...)
		out.Counter(requestsTotal, v[successes], with("success")...)
		out.Counter(requestsTotal, v[failures], with("failure")...)
	}
	out.Counter(correctionsTotal, st.Corrections)
	out.Counter(correctedTotal, st.Corrected)
	out.Time(fullRead, st.FullRead)
}

package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/collectors/litellm/names"
	"vulcan.lan/vulcan_exporter/collectors/litellm/schema"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Compare compares the two tables for the last closed day, once for each day. Writers of LiteLLM
// are known to lose rows of the daily table under load. A day that the request log does not have
// (it is switched off, or its retention is shorter) is not compared.
func (st *State) Compare(ctx context.Context, conn *pgx.Conn, s schema.Schema) error {
	closed := s.Now.Add(-settle).UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	if st.DifferenceDay.Equal(closed) {
		return nil
	}
	if err := s.Require(schema.Daily, "date", "spend"); err != nil {
		return err
	}
	if err := s.Require(schema.SpendLogs, "startTime", "spend"); err != nil {
		return err
	}
	var logged, daily *float64
	row := conn.QueryRow(ctx, `
		SELECT (SELECT `+spendSum+` FROM "`+schema.SpendLogs+`"
		         WHERE "startTime" >= $1::timestamp AND "startTime" < $2::timestamp)::float8,
		       (SELECT `+spendSum+` FROM "`+schema.Daily+`" WHERE date = $3)::float8`,
		closed.Format(time.DateTime), closed.AddDate(0, 0, 1).Format(time.DateTime), closed.Format(time.DateOnly))
	if err := row.Scan(&logged, &daily); err != nil {
		return err
	}
	st.Difference, st.DifferenceDay = 0, time.Time{}
	if logged == nil {
		return nil
	}
	st.Difference, st.DifferenceDay, st.changed = *logged, closed, true
	if daily != nil {
		st.Difference -= *daily
	}
	return nil
}

// EmitDifference shows the last comparison, if there was one.
func (st *State) EmitDifference(out *metric.Batch) {
	if !st.DifferenceDay.IsZero() {
		out.Gauge(difference, st.Difference)
		out.Time(differenceDay, st.DifferenceDay)
	}
}

// Window is what the request log tells of the last 24 hours, by model group and provider.
type Window map[[2]string]struct{ usd, requests float64 }

// ReadWindow reads the log where there is no daily table, as before mid 2025. It cannot be a
// counter: rows are deleted, and what is older than the retention is not known.
func ReadWindow(ctx context.Context, conn *pgx.Conn, s schema.Schema, n *names.Names) (Window, error) {
	if err := s.Require(schema.SpendLogs, "startTime", "spend", "model"); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, `
		SELECT coalesce(nullif(`+s.Or(schema.SpendLogs, "model_group", "NULL")+`, ''), model),
		       coalesce(`+s.Or(schema.SpendLogs, "custom_llm_provider", "NULL")+`, ''),
		       coalesce(`+spendSum+`, 0)::float8, count(*)::float8
		  FROM "`+schema.SpendLogs+`" WHERE "startTime" >= $1::timestamp GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2`,
		s.Now.Add(-24*time.Hour).Format(time.DateTime))
	if err != nil {
		return nil, err
	}
	w := Window{}
	var group, provider string
	var usd, requests float64
	_, err = pgx.ForEachRow(rows, []any{&group, &provider, &usd, &requests}, func() error {
		labels := [2]string{n.Model(group), n.Provider(provider)}
		total := w[labels]
		total.usd += usd
		total.requests += requests
		w[labels] = total
		return nil
	})
	return w, err
}

// Emit shows the window.
func (w Window) Emit(out *metric.Batch) {
	for labels, total := range w {
		out.Gauge(windowSpend, total.usd, labels[:]...)
		out.Gauge(windowRequests, total.requests, labels[:]...)
	}
}

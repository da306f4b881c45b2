// Package budget shows what is left of the budgets of keys, teams and users.
//
// A budget is the entity's own max_budget or, for a key without one, that of the entry of
// "LiteLLM_BudgetTable" which it refers to. Keys of LiteLLM's own pages, one for each log-in,
// are left out, and so are keys that expired more than a day ago.
package budget

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/collectors/litellm/schema"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Kinds of entities.
const (
	kindKey  = "key"
	kindTeam = "team"
	kindUser = "user"
)

var kinds = []string{kindKey, kindTeam, kindUser}

// Budget is that of one entity.
type Budget struct {
	Kind, Name string
	Spend      float64 // USD in this period
	Limit      float64 // USD
	Duration   string  // such as 30d; "" without resets
	ResetAt    *time.Time
	Expires    *time.Time
	Blocked    bool
}

// Read gives all budgets.
func Read(ctx context.Context, conn *pgx.Conn, s schema.Schema) ([]Budget, error) {
	var all []Budget
	for _, q := range []struct {
		kind string
		sql  func(schema.Schema) (string, error)
	}{{kindKey, keys}, {kindTeam, teams}, {kindUser, users}} {
		sql, err := q.sql(s)
		if err != nil {
			return nil, err
		}
		rows, err := conn.Query(ctx, sql)
		if err != nil {
			return nil, err
		}
		found, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (Budget, error) {
			b := Budget{Kind: q.kind}
			err := r.Scan(&b.Name, &b.Spend, &b.Limit, &b.Duration, &b.ResetAt, &b.Expires, &b.Blocked)
			return b, err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// period is the spend of the period: some versions reset a mark instead of the spend.
func period(s schema.Schema, table string) string {
	return `e.spend - coalesce(` + of(s, table, "spend_at_last_reset") + `, 0)`
}

// of is a column of the table that the query calls e, or NULL where the schema is too old to have it.
func of(s schema.Schema, table, column string) string {
	if !s.Has(table, column) {
		return "NULL"
	}
	return "e." + pgx.Identifier{column}.Sanitize()
}

func keys(s schema.Schema) (string, error) {
	const table = schema.Keys
	if err := s.Require(table, "key_name", "key_alias", "team_id", "spend", "max_budget", "budget_duration", "budget_reset_at", "expires"); err != nil {
		return "", err
	}
	limit, duration, reset, join := `e.max_budget`, `e.budget_duration`, `e.budget_reset_at`, ``
	if s.Has(table, "budget_id") && s.Require(schema.Budgets, "budget_id", "max_budget", "budget_duration", "budget_reset_at") == nil {
		limit, join = `coalesce(e.max_budget, b.max_budget)`, ` LEFT JOIN "`+schema.Budgets+`" b ON b.budget_id = e.budget_id`
		duration, reset = `coalesce(e.budget_duration, b.budget_duration)`, `coalesce(e.budget_reset_at, b.budget_reset_at)`
	}
	return `
		SELECT coalesce(nullif(e.key_alias, ''), e.key_name, 'unnamed'), ` + period(s, table) + `, ` + limit + `,
		       coalesce(` + duration + `, ''), ` + reset + `, e.expires,
		       coalesce(` + of(s, table, "blocked") + `, false)
		  FROM "` + table + `" e` + join + `
		 WHERE ` + limit + ` < 'Infinity' AND e.spend < 'Infinity' AND coalesce(e.team_id, '') <> 'litellm-dashboard'
		   AND (e.expires IS NULL OR e.expires > (now() AT TIME ZONE 'utc') - interval '1 day')`, nil
}

func teams(s schema.Schema) (string, error) {
	const table = schema.Teams
	if err := s.Require(table, "team_id", "team_alias", "spend", "max_budget", "budget_duration", "budget_reset_at"); err != nil {
		return "", err
	}
	return simple(s, table, `coalesce(nullif(e.team_alias, ''), e.team_id)`, of(s, table, "blocked")), nil
}

func users(s schema.Schema) (string, error) {
	const table = schema.Users
	if err := s.Require(table, "user_id", "spend", "max_budget", "budget_duration", "budget_reset_at"); err != nil {
		return "", err
	}
	return simple(s, table, `coalesce(nullif(`+of(s, table, "user_alias")+`, ''), e.user_id)`, "NULL"), nil
}

// simple is the query for an entity whose budget is its own. A limit that is infinite, or no
// number, is none.
func simple(s schema.Schema, table, name, blocked string) string {
	return `
		SELECT ` + name + `, ` + period(s, table) + `, e.max_budget, coalesce(e.budget_duration, ''), e.budget_reset_at,
		       NULL::timestamp, coalesce(` + blocked + `, false)
		  FROM "` + table + `" e WHERE e.max_budget < 'Infinity' AND e.spend < 'Infinity'`
}

// ratio is what is left, 0 to 1. A limit of 0 admits nothing.
func (b Budget) ratio() float64 {
	if b.Limit <= 0 {
		return 0
	}
	return min(1, max(0, (b.Limit-b.Spend)/b.Limit))
}

// used orders budgets by how much of them is spent.
func (b Budget) used() float64 {
	if b.Limit <= 0 {
		return 1
	}
	return b.Spend / b.Limit
}

// Emit shows the budgets, those that are most spent first where there are more of a kind than
// most. Two entities of one name are shown as the one that is more spent.
func Emit(out *metric.Batch, all []Budget, now time.Time, most int) {
	slices.SortStableFunc(all, func(a, b Budget) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), cmp.Compare(b.used(), a.used()), strings.Compare(a.Name, b.Name))
	})
	total, over, shown := map[string]int{}, map[string]int{}, map[string]int{}
	seen := map[[2]string]bool{}
	for _, b := range all {
		total[b.Kind]++
		if b.Spend >= b.Limit {
			over[b.Kind]++
		}
		name := metric.LabelValue(b.Name)
		if id := [2]string{b.Kind, name}; shown[b.Kind] < most && !seen[id] {
			seen[id] = true
			shown[b.Kind]++
			b.emit(out, now, b.Kind, name)
		}
	}
	for _, k := range kinds {
		out.Gauge(budgets, float64(total[k]), k)
		out.Gauge(exceeded, float64(over[k]), k)
	}
}

func (b Budget) emit(out *metric.Batch, now time.Time, labels ...string) {
	out.Gauge(spendUSD, b.Spend, labels...)
	out.Gauge(limitUSD, b.Limit, labels...)
	out.Gauge(remaining, b.ratio(), labels...)
	out.Bool(blocked, b.Blocked, labels...)
	if b.Expires != nil {
		out.Time(expires, *b.Expires, labels...)
	}
	if b.ResetAt == nil {
		return
	}
	out.Time(resets, *b.ResetAt, labels...)
	if usd, ok := b.project(now); ok {
		out.Gauge(projected, usd, labels...)
	}
}

// project carries the spending of the period on to its end.
func (b Budget) project(now time.Time) (usd float64, ok bool) {
	began, err := before(*b.ResetAt, b.Duration)
	if err != nil || !now.Before(*b.ResetAt) {
		return 0, false // a reset that is due: the spend may be of the period before
	}
	whole, elapsed := b.ResetAt.Sub(began), now.Sub(began)
	if elapsed < whole/20 {
		return 0, false
	}
	return b.Spend * whole.Seconds() / elapsed.Seconds(), true
}

// before goes back from the end of a period to its beginning. LiteLLM writes durations as 30s,
// 30m, 24h, 7d, 1w, 1mo.
func before(end time.Time, duration string) (time.Time, error) {
	var n int
	var unit string
	if _, err := fmt.Sscanf(duration, "%d%s", &n, &unit); err != nil || n <= 0 || n > 1e6 {
		return time.Time{}, fmt.Errorf("%q is not a duration", duration)
	}
	switch unit {
	case "s", "m", "h":
		each := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
		return end.Add(-time.Duration(n) * each), nil
	case "d":
		return end.AddDate(0, 0, -n), nil
	case "w":
		return end.AddDate(0, 0, -7*n), nil
	case "mo":
		return end.AddDate(0, -n, 0), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a duration", duration)
}

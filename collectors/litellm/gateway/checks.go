package gateway

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/collectors/litellm/schema"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Check is LiteLLM's own last health check of a model, from "LiteLLM_HealthCheckTable". The table
// grows with each check and is only filled where background_health_checks are on or somebody
// asks for /health.
type Check struct {
	Model   string
	Healthy bool
	Time    time.Time
}

// checkedWithin is how far back a check is looked for: a model that was taken off the list is
// not checked any more.
const checkedWithin = 7 * 24 * time.Hour

// ReadChecks gives the last check of each model; none where there is no such table.
func ReadChecks(ctx context.Context, conn *pgx.Conn, s schema.Schema) ([]Check, error) {
	if !s.Exists(schema.Health) {
		return nil, nil
	}
	if err := s.Require(schema.Health, "model_name", "model_id", "status", "checked_at"); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, `
		SELECT model_name, bool_and(status = 'healthy'), min(checked_at)
		  FROM (SELECT DISTINCT ON (model_id, model_name) model_name, status, checked_at
		          FROM "`+schema.Health+`" WHERE checked_at > $1::timestamp
		         ORDER BY model_id, model_name, checked_at DESC) latest
		 GROUP BY 1 ORDER BY 1`, s.Now.Add(-checkedWithin).Format(time.DateTime))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Check])
}

// EmitChecks shows the checks of at most so many models.
func EmitChecks(out *metric.Batch, checks []Check, most int) {
	seen := map[string]bool{}
	for _, c := range checks {
		name := metric.LabelValue(c.Model)
		if len(seen) >= most || seen[name] {
			continue
		}
		seen[name] = true
		out.Bool(checkHealthy, c.Healthy, name)
		out.Time(checkTime, c.Time, name)
	}
}

package latency

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/collectors/litellm/schema"
)

// position is a row's place in the order of the log.
type position struct {
	start int64 // microseconds since 1970
	id    string
}

func (p position) timestamp() string {
	return time.UnixMicro(p.start).UTC().Format("2006-01-02 15:04:05.999999")
}

// readPage reads the places of the rows after a place. The index on ("startTime", request_id)
// holds all of it; with only the older one on ("startTime") it is read from the table.
func readPage(ctx context.Context, conn *pgx.Conn, from position) ([]position, error) {
	rows, err := conn.Query(ctx, `
		SELECT "startTime", request_id FROM "`+schema.SpendLogs+`"
		 WHERE "startTime" >= $1::timestamp AND ("startTime", request_id) > ($1::timestamp, $2)
		 ORDER BY "startTime", request_id LIMIT $3`, from.timestamp(), from.id, pageSize)
	if err != nil {
		return nil, err
	}
	var start time.Time
	var id string
	var page []position
	_, err = pgx.ForEachRow(rows, []any{&start, &id}, func() error {
		page = append(page, position{start.UnixMicro(), id})
		return nil
	})
	return page, err
}

// request is one row of the log.
type request struct {
	position
	seconds         *float64
	firstToken      *float64
	model, provider string
	failed, cached  bool
	class, code     *string
}

// readDetails reads the rows at the places. The details of an error are only looked at where
// there is one: they are in a large column, stored out of line. In a partitioned table an id may
// be there twice; the starts keep the search to the partitions that matter.
func readDetails(ctx context.Context, conn *pgx.Conn, s schema.Schema, at []position) ([]request, error) {
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
	ids := make([]string, len(at))
	for i, p := range at {
		ids[i] = p.id
	}
	rows, err := conn.Query(ctx, `
		SELECT request_id, "startTime",
		       coalesce(`+column("request_duration_ms", "NULL")+`::float8 / 1000, `+elapsed(`"endTime"`)+`),
		       CASE WHEN `+first+` < "endTime" THEN `+elapsed(first)+` END,
		       coalesce(nullif(`+column("model_group", "NULL")+`, ''), model, ''),
		       coalesce(`+column("custom_llm_provider", "NULL")+`, ''),
		       `+failed+`, lower(coalesce(`+column("cache_hit", "NULL")+`, '')) = 'true',
		       `+detail("error_class")+`, `+detail("error_code")+`
		  FROM "`+schema.SpendLogs+`"
		 WHERE request_id = ANY($1) AND "startTime" BETWEEN $2::timestamp AND $3::timestamp
		 ORDER BY "startTime", request_id`, ids, at[0].timestamp(), at[len(at)-1].timestamp())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (request, error) {
		var r request
		var start time.Time
		err := row.Scan(&r.id, &start, &r.seconds, &r.firstToken, &r.model, &r.provider, &r.failed, &r.cached, &r.class, &r.code)
		r.start = start.UnixMicro()
		return r, err
	})
}

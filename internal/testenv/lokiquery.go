package testenv

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"
)

// LokiRow is one line as Loki gives it back.
type LokiRow struct {
	Nanos    int64
	Line     string
	Stream   map[string]string
	Metadata map[string]string
}

// Rows gives all that a LogQL log query finds between two times, start included and end not, in
// order of time. It pages through query_range so that a row that Loki gives twice is seen twice.
// The tenant may be empty.
func (l *Loki) Rows(t testing.TB, tenant, query string, start, end time.Time) []LokiRow {
	t.Helper()
	const page = 5000 // Loki's default limit, max_entries_limit_per_query
	var all []LokiRow
	from := start.UnixNano()
	for {
		rows := l.page(t, tenant, url.Values{
			"query": {query}, "direction": {"forward"}, "limit": {strconv.Itoa(page)},
			"start": {strconv.FormatInt(from, 10)}, "end": {strconv.FormatInt(end.UnixNano(), 10)},
		})
		// The page begins with all rows of the last nanosecond of the page before.
		all = append(slices.DeleteFunc(all, func(r LokiRow) bool { return r.Nanos == from }), rows...)
		if len(rows) < page {
			return all
		}
		last := rows[len(rows)-1].Nanos
		if last == from {
			t.Fatalf("%d rows of one nanosecond are more than a page holds", len(rows))
		}
		from = last
	}
}

func (l *Loki) page(t testing.TB, tenant string, values url.Values) []LokiRow {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Stream map[string]string    `json:"stream"`
				Values [][3]json.RawMessage `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	l.get(t, tenant, "/loki/api/v1/query_range?"+values.Encode(), &answer)
	var rows []LokiRow
	for _, stream := range answer.Data.Result {
		for _, value := range stream.Values {
			row, err := lokiRow(value)
			if err != nil {
				t.Fatal(err)
			}
			row.Stream = stream.Stream
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b LokiRow) int { return int(a.Nanos - b.Nanos) })
	return rows
}

// lokiRow reads ["<nanoseconds>", "<line>", {"structuredMetadata": {...}}].
func lokiRow(value [3]json.RawMessage) (row LokiRow, err error) {
	var nanos string
	var labels struct {
		Metadata map[string]string `json:"structuredMetadata"`
	}
	for i, into := range []any{&nanos, &row.Line, &labels} {
		if err := json.Unmarshal(value[i], into); err != nil {
			return row, fmt.Errorf("%s: %w", value[i], err)
		}
	}
	row.Metadata = labels.Metadata
	row.Nanos, err = strconv.ParseInt(nanos, 10, 64)
	return row, err
}

// Count gives the value of a LogQL metric query of one series without labels at a time, 0 where
// there is none: sum(count_over_time({job="x"}[1h])).
func (l *Loki) Count(t testing.TB, tenant, query string, at time.Time) int64 {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	values := url.Values{"query": {query}, "time": {strconv.FormatInt(at.UnixNano(), 10)}}
	l.get(t, tenant, "/loki/api/v1/query?"+values.Encode(), &answer)
	if len(answer.Data.Result) == 0 {
		return 0
	}
	text, _ := answer.Data.Result[0].Value[1].(string)
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return int64(n)
}

func (l *Loki) get(t testing.TB, tenant, path string, into any) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, l.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Structured metadata apart from the stream's labels.
	req.Header.Set("X-Loki-Response-Encoding-Flags", "categorize-labels")
	if tenant != "" {
		req.Header.Set("X-Scope-OrgID", tenant)
	}
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: status %d, %v: %s", path, resp.StatusCode, err, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("GET %s: %v: %s", path, err, body)
	}
}

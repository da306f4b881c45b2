package litellmtest

import (
	"cmp"
	"context"
	"crypto/md5"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Prepare adds what a Writer needs beside LiteLLM's tables, and some keys and teams.
const Prepare = `
	CREATE TABLE batches (id TEXT PRIMARY KEY);
	INSERT INTO "LiteLLM_TeamTable" (team_id, team_alias) VALUES ('t0', 'research'), ('t1', NULL);
	INSERT INTO "LiteLLM_VerificationToken" (token, key_alias, team_id)
	SELECT md5(i::text) || md5(i::text), CASE WHEN i % 3 > 0 THEN 'key ' || i END, CASE WHEN i % 2 = 0 THEN 't' || i % 4 / 2 END
	  FROM generate_series(0, 19) i;`

// Key is the hash of one of the keys that Prepare adds.
func Key(number int) string {
	return strings.Repeat(fmt.Sprintf("%x", md5.Sum([]byte(strconv.Itoa(number)))), 2)
}

// Writer writes requests as a LiteLLM proxy does: in batches, some time after they have ended,
// in no order, into the log and, in one transaction with it, the daily table.
type Writer struct {
	ID    int
	Since time.Time // no request begins before
	batch int
	until time.Time // of the batch: a repeated one is the same
}

// Counts are what was written for the first time.
type Counts struct{ Success, CacheHit, Failure int }

// Add adds counts.
func (c *Counts) Add(d Counts) {
	c.Success += d.Success
	c.CacheHit += d.CacheHit
	c.Failure += d.Failure
}

type dayKey struct{ date, key, model, group, provider string }

func compareDays(a, b dayKey) int {
	return cmp.Or(strings.Compare(a.date, b.date), strings.Compare(a.key, b.key), strings.Compare(a.model, b.model),
		strings.Compare(a.group, b.group), strings.Compare(a.provider, b.provider))
}

type daySums struct {
	spend                                      float64
	prompt, completion, cached, success, fails int
}

// Write writes the next batch of n requests. After an error it may be called again: a batch that
// had been committed in spite of the error is not written again, and counted once.
func (w *Writer) Write(ctx context.Context, conn *pgx.Conn, n int, now time.Time) (Counts, error) {
	random := rand.New(rand.NewPCG(uint64(w.ID), uint64(w.batch)))
	if w.until.IsZero() {
		w.until = now
	}
	var counts Counts
	days := map[dayKey]*daySums{}
	rows := make([][]any, 0, n)
	for i := range n {
		rows = append(rows, w.request(random, i, &counts, days))
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return Counts{}, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	id := fmt.Sprintf("%d.%d", w.ID, w.batch)
	tag, err := tx.Exec(ctx, "INSERT INTO batches VALUES ($1) ON CONFLICT DO NOTHING", id)
	if err != nil {
		return Counts{}, err
	}
	if tag.RowsAffected() == 0 {
		w.next()
		return counts, nil
	}
	columns := []string{"request_id", "call_type", "api_key", "spend", "prompt_tokens", "completion_tokens", "startTime", "endTime",
		"completionStartTime", "model", "model_group", "custom_llm_provider", "cache_hit", "status", "metadata"}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"LiteLLM_SpendLogs"}, columns, pgx.CopyFromRows(rows)); err != nil {
		return Counts{}, err
	}
	// In order, as LiteLLM does: two writers would else wait for each other.
	batch := &pgx.Batch{}
	for _, k := range slices.SortedFunc(maps.Keys(days), compareDays) {
		upsert(batch, k, days[k])
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return Counts{}, err
	}
	if err := tx.Commit(ctx); err != nil {
		return Counts{}, err
	}
	w.next()
	return counts, nil
}

func (w *Writer) next() {
	w.batch++
	w.until = time.Time{}
}

var (
	models    = []string{"gpt-5", "claude", "llama", ""}
	providers = []string{"openai", "anthropic", "", "\x00"} // \x00 stands for NULL
)

// request makes one row of the log and adds it to its day.
func (w *Writer) request(random *rand.Rand, i int, counts *Counts, days map[dayKey]*daySums) []any {
	start := w.Since.Add(time.Duration(random.Int64N(int64(w.until.Sub(w.Since)) + 1))).UTC().Truncate(time.Millisecond)
	end := start.Add(time.Duration(random.ExpFloat64() * float64(5*time.Second)))
	number := random.IntN(20)
	key := ""
	if number > 0 {
		key = Key(number)
	}
	group, provider := models[random.IntN(len(models))], providers[random.IntN(len(providers))]
	status, hit, metadata := "success", []string{"None", "False", ""}[random.IntN(3)], "{}"
	spend := random.Float64() * random.Float64() / 10
	var first any
	switch r := random.IntN(100); {
	case r < 5:
		status, spend, end = "failure", 0, start
		metadata = fmt.Sprintf(`{"error_information": {"error_class": "Error%d", "error_code": "%d"}}`, random.IntN(3), 400+random.IntN(30))
		counts.Failure++
	case r < 10:
		hit, spend = "True", 0
		counts.CacheHit++
	default:
		counts.Success++
		first = end
		if r < 50 {
			first = start.Add(end.Sub(start) / 3)
		}
	}
	d := dayKey{start.Format(time.DateOnly), key, "provider/" + group, group, provider}
	if days[d] == nil {
		days[d] = &daySums{}
	}
	days[d].spend += spend
	days[d].prompt += 100
	days[d].completion += i
	days[d].cached += i % 3
	if status == "failure" {
		days[d].fails++
	} else {
		days[d].success++
	}
	return []any{fmt.Sprintf("chatcmpl-%d-%d-%d", w.ID, w.batch, i), "acompletion", key, spend, 100, i, start, end, first,
		"provider/" + group, null(group), null(provider), hit, status, metadata}
}

func null(s string) any {
	if s == "\x00" {
		return nil
	}
	return s
}

// upsert adds to the day's row. A NULL provider is a new row each time, as in some versions.
func upsert(batch *pgx.Batch, k dayKey, s *daySums) {
	const columns = `"id", "user_id", "date", "api_key", "model", "model_group", "custom_llm_provider", "mcp_namespaced_tool_name", "endpoint",
		"spend", "prompt_tokens", "completion_tokens", "cache_read_input_tokens", "successful_requests", "failed_requests", "api_requests"`
	var b strings.Builder
	b.WriteString(`INSERT INTO "LiteLLM_DailyUserSpend" (` + columns + `) VALUES
		(gen_random_uuid()::text, 'u', $1, $2, $3, $4, $5, '', '', $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT ("user_id", "date", "api_key", "model", "custom_llm_provider", "mcp_namespaced_tool_name", "endpoint") DO UPDATE SET `)
	for i, c := range []string{"spend", "prompt_tokens", "completion_tokens", "cache_read_input_tokens", "successful_requests", "failed_requests", "api_requests"} {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, `%[1]q = "LiteLLM_DailyUserSpend".%[1]q + EXCLUDED.%[1]q`, c)
	}
	batch.Queue(b.String(), k.date, k.key, k.model, k.group, null(k.provider), s.spend, s.prompt, s.completion, s.cached, s.success, s.fails, s.success+s.fails)
}

package latency

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/collectors/litellm/names"
	"vulcan.lan/vulcan_exporter/collectors/litellm/schema"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func database(t *testing.T) *pgx.Conn {
	t.Helper()
	p := testenv.StartPostgres(t)
	litellmtest.Create(t, p, litellmtest.Current)
	return p.Conn(t, litellmtest.Database)
}

func look(t *testing.T, conn *pgx.Conn, now time.Time) schema.Schema {
	t.Helper()
	s, err := schema.Read(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	s.Now = now
	return s
}

// through gives the state as a restarted process finds it.
func through(t *testing.T, data []byte) *State {
	t.Helper()
	st := New()
	if err := json.Unmarshal(data, st); err != nil {
		t.Fatal(err)
	}
	return st
}

func insert(t *testing.T, conn *pgx.Conn, id string, start time.Time) {
	t.Helper()
	_, err := conn.Exec(t.Context(), `INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", model, status)
		VALUES ($1, '', $2, $2::timestamp + interval '1 s', 'm', 'success') ON CONFLICT DO NOTHING`, id, start.UTC())
	if err != nil {
		t.Fatal(err)
	}
}

// TestEachOnce lives through two weeks in steps of up to three hours: requests whose rows come up
// to the overlap late, the same row written twice, rows deleted when they are a day old, passes
// that are cut off, the process killed after and before its state was saved.
func TestEachOnce(t *testing.T) {
	t.Parallel()
	conn := database(t)
	random := rand.New(rand.NewPCG(7, 7))
	n := names.New(10)
	const overlap = 2 * time.Hour
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	st := New()
	if err := st.Refresh(t.Context(), conn, look(t, conn, now), n, overlap); err != nil {
		t.Fatal(err)
	}
	saved := marshal(t, st)
	pending := map[string]time.Time{} // began, not yet written
	due := map[string]time.Time{}
	written, whole, short := 0, 0, 0
	for end := now.AddDate(0, 0, 14); now.Before(end); {
		step := time.Duration(random.Int64N(int64(3 * time.Hour)))
		if random.IntN(3) == 0 {
			step /= 60
		}
		for range random.IntN(40) {
			id := fmt.Sprint("r", len(pending)+written+random.IntN(1<<30))
			pending[id] = now.Add(time.Duration(random.Int64N(int64(step) + 1)))
			due[id] = pending[id].Add(time.Duration(random.Int64N(int64(overlap))))
		}
		now = now.Add(step)
		for id, start := range pending {
			if due[id].After(now) {
				continue
			}
			insert(t, conn, id, start)
			insert(t, conn, id, start)
			delete(pending, id)
			written++
		}
		switch random.IntN(6) {
		case 0: // down meanwhile
			continue
		case 1: // cut off before it has read anything
			ctx, cancel := context.WithCancel(t.Context())
			s := look(t, conn, now)
			cancel()
			_ = st.Refresh(ctx, conn, s, n, overlap)
			if conn.IsClosed() {
				t.Fatal("a context that has ended closed the session")
			}
		case 2: // killed before the state was saved
			if err := st.Refresh(t.Context(), conn, look(t, conn, now), n, overlap); err != nil {
				t.Fatal(err)
			}
			st = through(t, saved)
		}
		if err := st.Refresh(t.Context(), conn, look(t, conn, now), n, overlap); err != nil {
			t.Fatal(err)
		}
		if st.Changed() { // as the collector does: a horizon alone is not saved
			saved = marshal(t, st)
		}
		if random.IntN(2) == 0 { // killed after it
			st = through(t, saved)
		}
		// A pass over young rows only has not seen the late ones yet.
		switch got := int(st.Duration.Count()); {
		case st.whole.Equal(now) && got != written, got > written:
			t.Fatalf("%s: %d counted, %d written", now, got, written)
		case st.whole.Equal(now):
			whole++
		default:
			short++
		}
		if len(st.Seen) > 600 {
			t.Fatalf("%d requests are remembered", len(st.Seen))
		}
		if _, err := conn.Exec(t.Context(), `DELETE FROM "LiteLLM_SpendLogs" WHERE "startTime" < $1`, now.AddDate(0, 0, -1)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d requests written, %d whole passes, %d over young rows", written, whole, short)
	if written < 500 || whole < 50 || short < 5 {
		t.Error("too few for a proof")
	}
}

func marshal(t *testing.T, st *State) []byte {
	t.Helper()
	data, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestPages reads more rows than fit a page, many of them with the same start.
func TestPages(t *testing.T) {
	t.Parallel()
	conn := database(t)
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	st, n := New(), names.New(10)
	if err := st.Refresh(t.Context(), conn, look(t, conn, now), n, time.Hour); err != nil {
		t.Fatal(err)
	}
	const rows = 3*pageSize + 17
	_, err := conn.Exec(t.Context(), `INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", model)
		SELECT 'r' || i, '', $1::timestamp + i % 5 * interval '1 s', $1::timestamp + interval '9 s', 'm' FROM generate_series(1, $2) i`, now.UTC(), rows)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		now = now.Add(time.Minute)
		if err := st.Refresh(t.Context(), conn, look(t, conn, now), n, time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := st.Duration.Count(); got != rows {
			t.Errorf("%d counted, %d written", got, rows)
		}
	}
	now = now.Add(2 * time.Hour)
	if err := st.Refresh(t.Context(), conn, look(t, conn, now), n, time.Hour); err != nil {
		t.Fatal(err)
	}
	if len(st.Seen) != 0 || !st.Horizon.Equal(now.Add(-time.Hour)) {
		t.Errorf("%d are remembered, the horizon is %s", len(st.Seen), st.Horizon)
	}
}

// TestClock sets the server's clock a year ahead and back again.
func TestClock(t *testing.T) {
	t.Parallel()
	conn := database(t)
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	st, n := New(), names.New(10)
	for _, at := range []time.Time{now, now.AddDate(1, 0, 0), now.Add(time.Minute)} {
		if err := st.Refresh(t.Context(), conn, look(t, conn, at), n, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	insert(t, conn, "r", now.Add(2*time.Minute))
	if err := st.Refresh(t.Context(), conn, look(t, conn, now.Add(3*time.Minute)), n, time.Hour); err != nil {
		t.Fatal(err)
	}
	if st.Duration.Count() != 1 {
		t.Error("a request after the clock was set right is not counted")
	}
}

// TestErrors bounds the classes and codes, which providers choose.
func TestErrors(t *testing.T) {
	st, n := New(), names.New(10)
	for i := range 200 {
		class, code := fmt.Sprint("Error", i), fmt.Sprint(i)
		st.count(n, request{position: position{id: class}, model: "m", failed: true, class: &class, code: &code})
	}
	out := metric.NewBatch(Declared, "", "", 0)
	st.Emit(out)
	if err := out.Err(); err != nil {
		t.Fatal(err)
	}
	text := collectortest.Text(t, out)
	if st.Errors.Sum() != 200 || strings.Count(text, "litellm_errors_total{") > maxClasses+maxCodes {
		t.Errorf("sum %v in\n%s", st.Errors.Sum(), text)
	}
}

func FuzzSeen(f *testing.F) {
	full, err := json.Marshal(seen{1: 2, 1 << 63: 4294967295})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add([]byte(`""`))
	f.Add([]byte(`"AAAA"`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s seen
		if err := json.Unmarshal(data, &s); err != nil || s == nil {
			return
		}
		packed, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again seen
		if err := json.Unmarshal(packed, &again); err != nil || len(again) != len(s) {
			t.Fatalf("%v: %d of %d entries", err, len(again), len(s))
		}
		for id, start := range s {
			if again[id] != start {
				t.Fatalf("%d: %d, then %d", id, start, again[id])
			}
		}
	})
}

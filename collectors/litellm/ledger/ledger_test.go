package ledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/collectors/litellm/ledger"
	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/collectors/litellm/names"
	"vulcan.lan/vulcan_exporter/collectors/litellm/schema"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// book is a ledger over a database, at a time of the test's choice.
type book struct {
	t       *testing.T
	conn    *pgx.Conn
	now     time.Time
	state   *ledger.State
	names   *names.Names
	options ledger.Options
	row     int
}

func newBook(t *testing.T, options ledger.Options) *book {
	t.Helper()
	p := testenv.StartPostgres(t)
	litellmtest.Create(t, p, litellmtest.Current)
	p.Exec(t, litellmtest.Database, litellmtest.Prepare)
	return &book{
		t: t, conn: p.Conn(t, litellmtest.Database), now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC),
		state: &ledger.State{}, names: names.New(options.Limit), options: options,
	}
}

func (b *book) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.conn.Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatalf("%v in %s", err, sql)
	}
}

// spend adds a row of the daily table.
func (b *book) spend(date, hash, model string, usd float64) {
	b.t.Helper()
	b.row++
	b.exec(`INSERT INTO "LiteLLM_DailyUserSpend" (id, date, api_key, model, model_group, custom_llm_provider, spend, prompt_tokens, successful_requests)
		VALUES ($1, $2, $3, $4, $4, 'p', $5, 10, 1)`, fmt.Sprint(b.row), date, hash, model, usd)
}

// refresh reads the table, after the state and the names have been through the disk.
func (b *book) refresh() map[string]float64 {
	b.t.Helper()
	kept := struct {
		Ledger *ledger.State
		Names  *names.Names
	}{b.state, b.names}
	data, err := json.Marshal(kept)
	if err != nil {
		b.t.Fatal(err)
	}
	kept.Ledger, kept.Names = &ledger.State{}, names.New(b.options.Limit)
	if err := json.Unmarshal(data, &kept); err != nil {
		b.t.Fatal(err)
	}
	b.state, b.names = kept.Ledger, kept.Names
	s, err := schema.Read(b.t.Context(), b.conn)
	if err != nil {
		b.t.Fatal(err)
	}
	s.Now = b.now
	if err := b.state.Refresh(b.t.Context(), b.conn, s, b.names, b.options); err != nil {
		b.t.Fatal(err)
	}
	return b.shown()
}

// shown are the series of the spend and what has been corrected, by their labels.
func (b *book) shown() map[string]float64 {
	b.t.Helper()
	out := metric.NewBatch(ledger.Declared, "", "", 0)
	b.state.Emit(out)
	if err := out.Err(); err != nil {
		b.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range out.MetricFamilies() {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetValue())
			}
			switch f.GetName() {
			case "litellm_spend_usd_total":
				values[strings.Join(labels, "/")] = m.Counter.GetValue()
			case "litellm_ledger_corrections_total", "litellm_ledger_corrected_usd_total":
				values[f.GetName()] = m.Counter.GetValue()
			}
		}
	}
	return values
}

func (b *book) expect(got map[string]float64, want map[string]float64) {
	b.t.Helper()
	for labels, usd := range want {
		if v, ok := got[labels]; !ok || math.Abs(v-usd) > 1e-9 {
			b.t.Errorf("%s: %v (there: %v), want %v; all: %v", labels, v, ok, usd, got)
		}
	}
}

const corrections, corrected = "litellm_ledger_corrections_total", "litellm_ledger_corrected_usd_total"

// TestDays goes through three days: the last three are read each time, all once a day.
func TestDays(t *testing.T) {
	t.Parallel()
	b := newBook(t, ledger.Options{Limit: 10})
	b.spend("2026-11-01", "x", "m", 1)
	b.spend("2026-11-18", "x", "m", 2)
	b.spend("2026-11-20", "x", "m", 4)
	b.expect(b.refresh(), map[string]float64{"m/p//": 7})
	// Yesterday and the day before still change; a day of last week is seen at the next full read.
	b.spend("2026-11-19", "x", "m", 8)
	b.spend("2026-11-18", "x", "m", 16)
	b.spend("2026-11-12", "x", "m", 100)
	b.expect(b.refresh(), map[string]float64{"m/p//": 31})
	b.now = time.Date(2026, 11, 21, 0, 10, 0, 0, time.UTC)
	b.spend("2026-11-21", "x", "m", 32)
	b.expect(b.refresh(), map[string]float64{"m/p//": 63})
	b.now = time.Date(2026, 11, 21, 0, 40, 0, 0, time.UTC)
	b.expect(b.refresh(), map[string]float64{"m/p//": 163, corrections: 0})
	// After a week without a read all is there at once.
	b.now = b.now.AddDate(0, 0, 7)
	b.spend("2026-11-24", "x", "m", 0.5)
	b.expect(b.refresh(), map[string]float64{"m/p//": 163.5, corrections: 0})
}

// TestCorrection deletes rows: the counter stays, says by how much it is above the table, and
// goes on with what is added.
func TestCorrection(t *testing.T) {
	t.Parallel()
	b := newBook(t, ledger.Options{Limit: 10})
	b.spend("2026-11-20", "x", "m", 5)
	b.spend("2026-11-20", "x", "n", 3)
	b.refresh()
	b.exec(`UPDATE "LiteLLM_DailyUserSpend" SET spend = spend - 2 WHERE model = 'm'`)
	b.expect(b.refresh(), map[string]float64{"m/p//": 5, "n/p//": 3, corrections: 1, corrected: 2})
	b.spend("2026-11-20", "x", "m", 1)
	b.expect(b.refresh(), map[string]float64{"m/p//": 6, corrections: 1, corrected: 2})
	b.exec(`DELETE FROM "LiteLLM_DailyUserSpend"`)
	b.expect(b.refresh(), map[string]float64{"m/p//": 6, "n/p//": 3, corrections: 3, corrected: 9})
	b.spend("2026-11-20", "x", "m", 1e-9) // less than rounding is no correction, and no loss
	b.expect(b.refresh(), map[string]float64{"m/p//": 6.000000001, corrections: 3})
}

// TestFirstLabel renames and deletes keys and teams: the spend stays where it was counted.
func TestFirstLabel(t *testing.T) {
	t.Parallel()
	b := newBook(t, ledger.Options{Limit: 10, ByKey: true, ByTeam: true})
	b.exec(`INSERT INTO "LiteLLM_VerificationToken" (token, key_alias, team_id) VALUES ('hash-of-one', 'one', 't0'), ('hash-of-two', 'two', NULL)`)
	b.spend("2026-11-20", "hash-of-one", "m", 1)
	b.spend("2026-11-20", "hash-of-two", "m", 2)
	b.spend("2026-11-20", "litellm_proxy_master_key", "m", 4)
	b.spend("2026-11-20", "nobody", "m", 8)
	want := map[string]float64{"m/p/research/one": 1, "m/p/none/two": 2, "m/p/none/master": 4, "m/p/unknown/unknown": 8}
	b.expect(b.refresh(), want)
	b.exec(`UPDATE "LiteLLM_VerificationToken" SET key_alias = 'renamed', team_id = NULL WHERE token = 'hash-of-one'`)
	b.exec(`DELETE FROM "LiteLLM_VerificationToken" WHERE token = 'hash-of-two'`)
	b.exec(`DELETE FROM "LiteLLM_TeamTable"`)
	b.spend("2026-11-20", "hash-of-one", "m", 0.25)
	want["m/p/research/one"], want[corrections] = 1.25, 0
	got := b.refresh()
	b.expect(got, want)
	for labels := range got {
		if strings.Contains(labels, "hash") {
			t.Errorf("a hash is a label: %s", labels)
		}
	}
	b.now = b.now.AddDate(0, 0, 30)
	b.expect(b.refresh(), want)
}

// TestBounded has more models than labels: the most expensive ones of the first read get them,
// the sum over all is exact, and nobody moves.
func TestBounded(t *testing.T) {
	t.Parallel()
	b := newBook(t, ledger.Options{Limit: 2})
	for i, usd := range []float64{1, 50, 2, 70} {
		b.spend("2026-11-20", "x", fmt.Sprint("m", i), usd)
	}
	b.expect(b.refresh(), map[string]float64{"m3/p//": 70, "m1/p//": 50, "other/p//": 3})
	b.spend("2026-11-20", "x", "m0", 1000)
	b.spend("2026-11-20", "x", "new", 1)
	b.expect(b.refresh(), map[string]float64{"m3/p//": 70, "m1/p//": 50, "other/p//": 1004, corrections: 0})
	// Another limit begins other series.
	b.options.Limit = 10
	b.expect(b.refresh(), map[string]float64{"m0/p//": 1001, "new/p//": 1, "m2/p//": 2, corrections: 0})
}

// TestDifference compares a closed day of both tables.
func TestDifference(t *testing.T) {
	t.Parallel()
	b := newBook(t, ledger.Options{Limit: 10})
	compare := func() string {
		s, err := schema.Read(t.Context(), b.conn)
		if err != nil {
			t.Fatal(err)
		}
		s.Now = b.now
		if err := b.state.Compare(t.Context(), b.conn, s); err != nil {
			t.Fatal(err)
		}
		out := metric.NewBatch(ledger.Declared, "", "", 0)
		b.state.EmitDifference(out)
		return collectortest.Text(t, out)
	}
	b.spend("2026-11-19", "x", "m", 3)
	if got := compare(); got != "" {
		t.Errorf("without a log: %s", got)
	}
	for i, start := range []string{"2026-11-18 23:59:59.999", "2026-11-19 00:00:00", "2026-11-19 23:59:59.999", "2026-11-20 00:00:00"} {
		b.exec(`INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", spend) VALUES ($1, '', $2::timestamp, $2::timestamp, 2)`, fmt.Sprint(i), start)
	}
	if got := compare(); !strings.Contains(got, "litellm_ledger_difference_usd 1\n") || !strings.Contains(got, "_day_timestamp_seconds 1.7950464e+09\n") {
		t.Errorf("got %s", got)
	}
	b.spend("2026-11-19", "x", "m", 1)
	if got := compare(); !strings.Contains(got, "litellm_ledger_difference_usd 1\n") {
		t.Errorf("compared twice a day: %s", got)
	}
	b.now = b.now.AddDate(0, 0, 1)
	if got := compare(); !strings.Contains(got, "litellm_ledger_difference_usd 2\n") {
		t.Errorf("a day without a row in the daily table: %s", got)
	}
}

// TestUnreadable keeps the state of before.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	b := newBook(t, ledger.Options{Limit: 10})
	b.spend("2026-11-20", "x", "m", 3)
	b.refresh()
	s, err := schema.Read(t.Context(), b.conn)
	if err != nil {
		t.Fatal(err)
	}
	b.exec(`ALTER TABLE "LiteLLM_DailyUserSpend" RENAME TO elsewhere`)
	if err := b.state.Refresh(context.Background(), b.conn, s, b.names, b.options); err == nil {
		t.Error("no error")
	}
	b.expect(b.shown(), map[string]float64{"m/p//": 3})
}

package litellm

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
	statefile "vulcan.lan/vulcan_exporter/internal/state"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

var requests = flag.Int("requests", 40_000, "requests that TestLedger writes; a million takes some minutes")

// childFolder, where set, makes this test binary an exporter of one source: see child.
const childFolder = "VULCAN_LITELLM_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		fmt.Fprintln(os.Stderr, child(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child runs the collector again and again on the state in the folder and leaves each exposition
// there, until it is killed.
func child(dir string) error {
	config, err := os.ReadFile(filepath.Join(dir, "config.yml"))
	if err != nil {
		return err
	}
	sources, err := collector.Load("config.yml", config, []*collector.Definition{Definition()})
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	store, _, err := statefile.Open(filepath.Join(dir, "state"), logger).Source("litellm", "main")
	if err != nil {
		return err
	}
	c, err := sources[0].New(collector.Env{Logger: logger, Now: time.Now, State: store})
	if err != nil {
		return err
	}
	for ; ; time.Sleep(50 * time.Millisecond) {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), sources[0].Timeout)
		out := sources[0].Batch()
		err := c.Collect(ctx, out)
		cancel()
		if err = errors.Join(err, out.Err()); err != nil {
			logger.Error("run failed", "err", err)
			continue
		}
		text := fmt.Sprintf("# %d\n", begun.UnixNano())
		var b strings.Builder
		if err := metric.WriteText(&b, out.Families()); err != nil {
			return err
		}
		if err := statefile.WriteFile(filepath.Join(dir, "metrics"), []byte(text+b.String())); err != nil {
			return err
		}
	}
}

// ledgerTest is a database that several writers fill while the exporter that reads it is killed.
type ledgerTest struct {
	*monitored
	dir     string
	process *testenv.Process

	mu      sync.Mutex
	written litellmtest.Counts
}

// TestLedger writes requests with several writers while the exporter is killed and restarted, the
// server restarted and retention runs. At each checkpoint, what the exporter shows is what the
// database has: the daily table's sums, and each successful request of the log once.
func TestLedger(t *testing.T) {
	l := &ledgerTest{monitored: monitor(t, litellmtest.Current, ", overlap: 10m"), dir: t.TempDir()}
	l.exec(t, litellmtest.Prepare)
	config := fmt.Sprintf("litellm: {sources: [{name: main, overlap: 10m, postgres: {dsn: %q, password_file: %q}}]}",
		l.TCP(litellmtest.Role, litellmtest.Database), l.passwordFile)
	if err := os.WriteFile(filepath.Join(l.dir, "config.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l.start(t)
	l.fresh(t) // its first look, before which no request may begin
	since := time.Now()

	const writers, checkpoints, batch = 4, 4, 500
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]*litellmtest.Writer, writers)
	for i := range all {
		all[i] = &litellmtest.Writer{ID: i, Since: since}
	}
	kills := 0
	for checkpoint := range checkpoints {
		var wg sync.WaitGroup
		for _, w := range all {
			wg.Go(func() { l.write(t, w, *requests/(writers*checkpoints*batch), batch) })
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		for writing, n := true, 0; writing; n++ {
			select {
			case <-done:
				writing = false
			case <-time.After(time.Duration(100+random.IntN(400)) * time.Millisecond):
				l.process.Kill()
				kills++
				if n == 1 && checkpoint%2 == 0 {
					l.Stop()
					l.Start(t)
				}
				l.start(t)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
		l.check(t, l.fresh(t))
		// All that is in the log now has been counted: some of it may go.
		l.exec(t, `DELETE FROM "LiteLLM_SpendLogs" WHERE "startTime" < (SELECT percentile_disc(0.4) WITHIN GROUP (ORDER BY "startTime") FROM "LiteLLM_SpendLogs")`)
	}
	l.check(t, l.fresh(t))
	t.Logf("%d requests written, the exporter killed %d times", l.written.Success+l.written.CacheHit+l.written.Failure, kills)
}

func (l *ledgerTest) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFolder+"="+l.dir)
	l.process = testenv.Start(t, cmd)
}

// write writes batches, again where the server is away.
func (l *ledgerTest) write(t *testing.T, w *litellmtest.Writer, batches, size int) {
	ctx := t.Context()
	var conn *pgx.Conn
	for written := 0; written < batches && ctx.Err() == nil; {
		var err error
		if conn == nil || conn.IsClosed() {
			if conn, err = pgx.Connect(ctx, l.DSN(litellmtest.Database)); err != nil {
				time.Sleep(20 * time.Millisecond)
				continue
			}
		}
		counts, err := w.Write(ctx, conn, size, time.Now())
		if err != nil {
			_ = conn.Close(ctx) // the server is being restarted, or a deadlock of two upserts
			continue
		}
		written++
		l.mu.Lock()
		l.written.Add(counts)
		l.mu.Unlock()
	}
	if conn != nil {
		_ = conn.Close(ctx)
	}
}

// fresh waits for the exposition of a run that began after now.
func (l *ledgerTest) fresh(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	now := time.Now().UnixNano()
	var text string
	testenv.Eventually(t, 2*time.Minute, func() error {
		if err := l.process.Exited(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(l.dir, "metrics"))
		if err != nil {
			return err
		}
		var begun int64
		if _, err := fmt.Sscanf(string(content), "# %d\n", &begun); err != nil || begun < now {
			return fmt.Errorf("the last run began %s before", time.Duration(now-begun))
		}
		text = string(content)
		if !strings.Contains(text, `litellm_database_part{source="main",part="requests",state="ok"} 1`) {
			return errors.New("the requests could not be read")
		}
		return nil
	})
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// check compares an exposition with the database and with what was written.
func (l *ledgerTest) check(t *testing.T, families map[string]*dto.MetricFamily) {
	t.Helper()
	var spend, prompt, completion, success, failure, logged float64
	row := l.Conn(t, litellmtest.Database).QueryRow(t.Context(), `
		SELECT sum(spend::numeric)::float8, sum(prompt_tokens)::float8, sum(completion_tokens)::float8,
		       sum(successful_requests)::float8, sum(failed_requests)::float8,
		       (SELECT count(DISTINCT request_id) FROM "LiteLLM_SpendLogs")::float8
		  FROM "LiteLLM_DailyUserSpend"`)
	if err := row.Scan(&spend, &prompt, &completion, &success, &failure, &logged); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, label string
		want        float64
	}{
		{"litellm_spend_usd_total", "", spend},
		{"litellm_tokens_total", "prompt", prompt},
		{"litellm_tokens_total", "completion", completion},
		{"litellm_requests_total", "success", success},
		{"litellm_requests_total", "failure", failure},
		{"litellm_ledger_corrections_total", "", 0},
		{"litellm_request_duration_seconds", "", float64(l.written.Success)},
		{"litellm_logged_requests_total", "success", float64(l.written.Success)},
		{"litellm_logged_requests_total", "cache_hit", float64(l.written.CacheHit)},
		{"litellm_logged_requests_total", "failure", float64(l.written.Failure)},
		{"litellm_errors_total", "", float64(l.written.Failure)},
	} {
		if got := total(families[c.name], c.label); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%s %s: %v shown, %v in the database", c.name, c.label, got, c.want)
		}
	}
	if written := float64(l.written.Success + l.written.CacheHit + l.written.Failure); success+failure != written {
		t.Errorf("the test itself lost count: %v of %v in the daily table", success+failure, written)
	}
	t.Logf("checkpoint: %.6f USD, %v requests, %v left in the log", spend, success+failure, logged)
}

// total sums the series of a family that have the label value, the counts of a histogram.
func total(f *dto.MetricFamily, label string) float64 {
	sum := 0.0
	for _, m := range f.GetMetric() {
		chosen := label == ""
		for _, l := range m.GetLabel() {
			chosen = chosen || l.GetValue() == label
		}
		if chosen {
			sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

package postgres

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// BenchmarkCollect compares a run with what a script does: a process of psql, with a session of
// its own, for one of the nine groups of values.
func BenchmarkCollect(b *testing.B) {
	testenv.Need(b, "psql")
	p := testenv.StartPostgres(b)
	source := collectortest.Load(b, Definition(), fmt.Sprintf("sources: [{name: main, dsn: %q}]", p.DSN("postgres")))[0]
	c, err := source.New(collectortest.Env(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.(collector.Closer).Close() })
	for b.Loop() {
		if _, err := collectortest.Collect(b, source, c); err != nil {
			b.Fatal(err)
		}
	}
	own := b.Elapsed() / time.Duration(b.N)
	const runs = 20
	begun := time.Now()
	for range runs {
		if out, err := exec.Command("psql", "--no-psqlrc", "--dbname="+p.DSN("postgres"), "--command=SELECT datname, numbackends FROM pg_stat_database").CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
	b.ReportMetric(float64(time.Since(begun)/runs)/float64(own), "x-faster-than-a-script")
}

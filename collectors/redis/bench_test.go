package redis

import (
	"os/exec"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// BenchmarkCollect compares a run with what a script does: a process of redis-cli for INFO,
// without a word of it parsed.
func BenchmarkCollect(b *testing.B) {
	testenv.Need(b, "redis-cli")
	r := testenv.StartRedis(b)
	source := collectortest.Load(b, Definition(), "sources: [{name: main, address: "+r.Socket+"}]")[0]
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
		if out, err := exec.Command("redis-cli", "-s", r.Socket, "info").CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
	b.ReportMetric(float64(time.Since(begun)/runs)/float64(own), "x-faster-than-a-script")
}

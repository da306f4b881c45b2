package restic

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/restic/restictest"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
)

// BenchmarkUnchanged runs a pass over a repository of 1,000 snapshots that has
// not changed, and beside it the usual script of four calls. The key is
// derived as restic does it, about half a second of CPU in each call.
func BenchmarkUnchanged(b *testing.B) {
	repo := many(b)
	b.Run("0.14", func(b *testing.B) { benchmarkUnchanged(b, repo, restictest.Debian(b)) })
	b.Run("0.18", func(b *testing.B) { benchmarkUnchanged(b, repo, restictest.Trixie(b)) })
}

func benchmarkUnchanged(b *testing.B, repo *restictest.Repository, binary string) {
	repo.Binary = binary
	yaml := fmt.Sprintf("sources: [{name: Home, location: %q, password_file: %s, binary: %s, cache_dir: %s}]",
		repo.Dir, repo.PasswordFile, binary, b.TempDir())
	source := collectortest.Load(b, Definition(), yaml)[0]
	env := collectortest.Env(b)
	calls := &counting{}
	env.Exec, env.Interval, env.Now = calls, time.Hour, time.Now
	c, err := source.New(env)
	if err != nil {
		b.Fatal(err)
	}
	pass := func() {
		out, err := collectortest.Collect(b, source, c)
		if err != nil {
			b.Fatal(err)
		}
		if text := collectortest.Text(b, out); !strings.Contains(text, `restic_snapshots{repository="Home"} 1024`) {
			b.Fatal("not all snapshots were listed")
		}
	}
	script := func() {
		for _, args := range [][]string{
			{"snapshots", "--json"}, {"stats", "--json", "--mode", modeRaw},
			{"stats", "--json", "--mode", modeRestore}, {"stats", "--json", "--mode", modeUnique},
		} {
			repo.Run(append([]string{"--no-lock"}, args...)...)
		}
	}
	pass()
	script() // both with a warm cache
	calls.n = atomic.Int64{}
	var ours, theirs, oursCPU, theirsCPU time.Duration
	for b.Loop() {
		wall, cpu := measured(b, pass)
		ours, oursCPU = ours+wall, oursCPU+cpu
		b.StopTimer()
		wall, cpu = measured(b, script)
		theirs, theirsCPU = theirs+wall, theirsCPU+cpu
		b.StartTimer()
	}
	n := float64(b.N)
	processes := float64(calls.n.Load()) / n
	fewer, less := 4/processes, float64(theirsCPU)/float64(oursCPU)
	if fewer < 4 || less < 3 {
		b.Errorf("%.1f times fewer processes and %.1f times less CPU, want 4 and 3", fewer, less)
	}
	b.ReportMetric(fewer, "times_fewer_processes")
	b.ReportMetric(less, "times_less_cpu")
	b.ReportMetric(float64(theirs)/float64(ours), "times_faster")
	b.ReportMetric(oursCPU.Seconds()/n, "cpu_s")
	b.ReportMetric(theirsCPU.Seconds()/n, "cpu_s_script")
}

// measured is the wall clock and CPU time of f, its children's included.
func measured(b *testing.B, f func()) (wall, cpu time.Duration) {
	used := func() time.Duration {
		var sum time.Duration
		for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
			var r syscall.Rusage
			if err := syscall.Getrusage(who, &r); err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
		return sum
	}
	start, before := time.Now(), used()
	f()
	return time.Since(start), used() - before
}

// many is a repository of restic init with 1,024 snapshots: restic rewrite
// doubles them ten times.
func many(b *testing.B) *restictest.Repository {
	repo := restictest.New(b, restictest.Trixie(b), "v2")
	repo.Dir += "-many"
	repo.Run("init", "--quiet")
	repo.Backup("h", time.Now(), random(100_000))
	for i := range 10 {
		repo.Run("rewrite", "--quiet", "--new-host", fmt.Sprint("h", i))
	}
	out := repo.Run("--no-lock", "list", "snapshots")
	if n := strings.Count(out, "\n"); n != 1024 {
		b.Fatalf("%d snapshots made, want 1024", n)
	}
	return repo
}

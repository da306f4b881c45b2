package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// many is the number of services of the benchmarks.
const many = 1000

func thousand() *watcher {
	w := newWatcher("", slog.New(slog.DiscardHandler), time.Now)
	for i := range many {
		r := w.table.get(fmt.Sprintf("unit-%04d.service", i))
		r.next.InMemory, r.next.LoadState, r.next.ActiveState, r.next.Result = true, "loaded", "active", "success"
		w.table.commit(r)
	}
	w.setUp(0)
	return w
}

// What a scrape costs while no unit changes.
func BenchmarkSnapshotUnchanged(b *testing.B) {
	w := thousand()
	b.ReportAllocs()
	for b.Loop() {
		if s, err := w.read(context.Background(), 0); err != nil || len(s.Units()) != many {
			b.Fatal(err)
		}
	}
}

// What it costs after a change, the change included.
func BenchmarkSnapshotChanged(b *testing.B) {
	w := thousand()
	b.ReportAllocs()
	for b.Loop() {
		w.mu.Lock()
		w.table.commit(w.table.get("unit-0500.service"))
		w.snapshot = nil
		w.mu.Unlock()
		if s, err := w.read(context.Background(), 0); err != nil || len(s.Units()) != many {
			b.Fatal(err)
		}
	}
}

// A real manager of 1,000 services: the first read of everything, and ten seconds of idleness.
func BenchmarkReal(b *testing.B) {
	units := map[string]string{}
	for i := range many {
		name := fmt.Sprintf("unit-%04d.service", i)
		units[name] = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
		units["default.target.wants/"+name] = ""
	}
	host := testenv.Systemd(b, units)
	var sync, idle, wall time.Duration
	for b.Loop() {
		hub := NewHub(slog.New(slog.DiscardHandler))
		begun, before := time.Now(), cpuTime(b)
		handle := hub.Watch(host.BusAddress())
		if s, err := handle.Snapshot(context.Background()); err != nil || len(s.Units()) < many {
			b.Fatal(err)
		}
		wall, sync = wall+time.Since(begun), sync+cpuTime(b)-before
		before = cpuTime(b)
		time.Sleep(10 * time.Second) // two pings
		idle += cpuTime(b) - before
		_ = hub.Close()
	}
	b.ReportMetric(float64(wall.Milliseconds())/float64(b.N), "sync-ms/op")
	b.ReportMetric(float64(sync.Milliseconds())/float64(b.N), "sync-cpu-ms/op")
	b.ReportMetric(float64(idle.Microseconds())/float64(b.N)/10, "idle-cpu-us/s")
}

func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

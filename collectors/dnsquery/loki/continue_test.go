package loki

import (
	"log/slog"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Counts go on where the queue is opened again in the same process.
func TestContinue(t *testing.T) {
	made := func() *Pusher {
		p, err := NewPusher(Options{URL: "http://127.0.0.1:1", Durations: metric.NewHistogram("x_seconds", "Seconds.", []float64{1})}, nil, time.Now, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first, second := made(), made()
	first.stats.Durations.Observe(0.1)
	first.stats.Failures[FailTimeout]++
	second.Continue(first.Stats())
	second.stats.Durations.Observe(0.2)
	second.stats.Failures[FailTimeout]++
	got := second.Stats()
	if got.Durations.Count() != 2 || got.Failures[FailTimeout] != 2 || first.Stats().Durations.Count() != 1 {
		t.Errorf("%+v", got)
	}
}

package app

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/runner"
	"vulcan.lan/vulcan_exporter/internal/state"
)

// closing is a collector that takes a second to close.
type closing struct{ closed *atomic.Bool }

func (closing) Collect(context.Context, *metric.Batch) error { return nil }

func (c closing) Close() error {
	time.Sleep(time.Second)
	c.closed.Store(true)
	return nil
}

// TestStopLeavesSourcesTime: a request that is never answered does not use up the time in which
// sources end.
func TestStopLeavesSourcesTime(t *testing.T) {
	var closed atomic.Bool
	d := collector.Define(collector.Spec[struct{}]{
		Name: "a", Every: time.Second, Timeout: time.Second,
		New: func(struct{}, collector.Env) (collector.Collector, error) { return closing{&closed}, nil },
	})
	sources, err := collector.Load("test", []byte("a: {}"), []*collector.Definition{d})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	manager := runner.New(runner.Deps{Logger: logger, Now: time.Now, State: state.Open(t.TempDir(), logger)})
	manager.Apply(sources)
	for deadline := time.Now().Add(drain); !manager.Ready(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no attempt")
		}
	}

	asked, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(asked); <-release })}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }() // ends with an error when it is told to
	go func() {
		if resp, err := http.Get("http://" + l.Addr().String()); err == nil {
			resp.Body.Close()
		}
	}()
	<-asked
	begun := time.Now()
	if err := stop([]*http.Server{srv}, manager); err != nil || !closed.Load() {
		t.Errorf("stop: %v; the source was closed: %t", err, closed.Load())
	}
	if took := time.Since(begun); took > 3*drain {
		t.Errorf("took %s", took)
	}
}

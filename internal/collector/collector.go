// Package collector is the contract between the exporter and its collectors:
// a collector is a typed config, a list of declared metrics and one function
// of a context; everything else (schedule, deadline, isolation, freshness,
// exposition, state) exists once, outside of it.
package collector

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"vulcan.lan/vulcan_exporter/internal/command"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/state"
	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// A Collector observes one source.
//
// Collect honours ctx and never runs concurrently with itself. A fault inside
// the observed system (a degraded pool, a server that is down) is data: emit
// it and return nil. An error means that we could not find out; then only the
// metrics declared Live are published from this run.
type Collector interface {
	Collect(ctx context.Context, out *metric.Batch) error
}

// ErrUnchanged may be returned by a Collect that follows a successful one: all
// that the successful one emitted is known, not assumed, to be exact still
// (nothing was signalled since). The run succeeds and costs no encoding; what
// it put into its Batch is ignored.
var ErrUnchanged = errors.New("nothing changed since the last run")

// A Runner is a Collector with work that goes on between runs: a tailer, a
// proxy's listener, a subscription. Run is started once when the source
// starts and again, with backoff, when it returns or panics before ctx ends.
// Collect may run at the same time and reports its state.
type Runner interface {
	Collector
	Run(ctx context.Context) error
}

// A Closer is a Collector that holds something open. Close is called once,
// after the last Collect and Run have returned.
type Closer interface {
	Collector
	Close() error
}

// Env is what a collector may use of the world outside of its config.
type Env struct {
	// Source is the source's name, also the value of the source label.
	Source string
	// Interval is the time between runs, 0 where runs happen at scrape.
	Interval time.Duration
	Logger   *slog.Logger
	Now      func() time.Time
	Exec     command.Runner
	// Systemd gives shared watchers of service managers, started lazily.
	Systemd *systemd.Hub
	State   state.Store
}

package runner

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// unit is one running source.
type unit struct {
	src         collector.Source
	deps        Deps
	logger      *slog.Logger
	tee         *tee
	predecessor <-chan struct{} // nil, or closed when the source's last life ended
	ctx         context.Context // ends when the source is removed or replaced
	cancel      context.CancelFunc
	done        chan struct{}
	configured  []metric.Family // its inventory

	mu      sync.Mutex
	coll    collector.Collector // nil until New succeeded
	unlock  func()
	begun   bool  // the predecessor has ended
	call    *call // the run in flight
	running sync.WaitGroup
	s       Status
	failed  int    // runs failed in a row
	dropped uint64 // series beyond the budget in the run that is published
	live    []metric.Family
	good    []metric.Family
}

// Status is what is known of a source.
type Status struct {
	Collector, Source string
	// Interval is 0 where runs happen at scrape.
	Interval, Timeout time.Duration
	Since             time.Time // watched since
	LastAttempt       time.Time // zero if none ended
	LastSuccess       time.Time // zero if none
	NextRun           time.Time // zero where runs happen at scrape
	LastDuration      time.Duration
	// Up is whether the last attempt succeeded; Reason and Error say why not.
	Up            bool
	Reason        Reason
	Error         string
	InFlight      bool
	Series        int
	SeriesDropped uint64
	Failures      map[Reason]uint64
	// Config is the effective configuration as YAML.
	Config string
}

// StaleAfter is how many intervals what a run gave is served without being
// renewed.
const StaleAfter = 3

// Stale reports whether what was true then is too old to be shown now.
func (s Status) Stale(now, then time.Time) bool {
	return s.Interval > 0 && Age(now, then) > StaleAfter*s.Interval
}

// Age is the larger of what the monotonic and the wall clock say: a suspended
// machine stops the first, a set clock moves the second, and a value that may
// be too old is one.
func Age(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// Reason is why a run failed.
type Reason string

// The reasons of failure.
const (
	ReasonError   Reason = "error"   // the collector could not find out
	ReasonTimeout Reason = "timeout" // the deadline passed
	ReasonPanic   Reason = "panic"   // a defect in the collector
	ReasonInvalid Reason = "invalid" // a defect in what it emitted
)

var reasons = []Reason{ReasonError, ReasonTimeout, ReasonPanic, ReasonInvalid}

// ID names the source, for example restic/Audio.
func (s Status) ID() string { return s.Collector + "/" + s.Source }

func newUnit(src collector.Source, deps Deps) *unit {
	u := &unit{src: src, deps: deps, done: make(chan struct{}), unlock: func() {}}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	u.tee = newTee(deps.Logger.Handler())
	u.logger = slog.New(u.tee).With("collector", src.Definition.Name, "source", src.Name)
	u.s = Status{
		Collector: src.Definition.Name, Source: src.Name,
		Interval: src.Interval, Timeout: src.Timeout,
		Since: deps.Now(), Config: src.Canonical,
		Failures: map[Reason]uint64{},
	}
	u.configured = u.inventory()
	u.live = u.configured
	return u
}

// inventory is what the source is configured to observe; it needs no run.
func (u *unit) inventory() []metric.Family {
	out := u.src.Batch()
	if err := guard(func() error { u.src.Inventory(out); return out.Err() }); err != nil {
		u.logger.Error("inventory is wrong", "err", err)
		return nil
	}
	return out.Families()
}

// run is the life of a source.
func (u *unit) run() {
	defer close(u.done)
	if u.predecessor != nil {
		<-u.predecessor
	}
	u.mu.Lock()
	u.begun = true
	u.mu.Unlock()
	defer u.release()
	next := u.initialDelay()
	for u.sleep(next) {
		if c := u.start(); c != nil {
			<-c.done
		}
		if u.src.Interval == 0 {
			<-u.ctx.Done() // scrapes do the rest
			return
		}
		next = u.pause()
	}
}

// initialDelay spreads first runs a little and heavy ones a lot.
func (u *unit) initialDelay() time.Duration {
	const most = 5 * time.Second
	return max(u.src.Definition.InitialDelay, min(most, u.src.Interval/10))
}

// pause is the time to the next run: the interval after a success, a backoff
// from one minute up to the interval after failures.
func (u *unit) pause() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	delay := u.src.Interval
	if u.failed > 0 {
		const first, doublings = time.Minute, 10
		delay = min(delay, first<<min(u.failed-1, doublings))
	}
	return delay
}

// sleep reports false when the source ended.
func (u *unit) sleep(d time.Duration) bool {
	u.mu.Lock()
	if u.src.Interval > 0 {
		u.s.NextRun = u.deps.Now().Add(d)
	}
	u.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return u.ctx.Err() == nil
	case <-u.ctx.Done():
		return false
	}
}

// build makes the collector at its first run, and again after it failed: a
// lock may be held by the process that we replace.
func (u *unit) build() (collector.Collector, error) {
	if u.coll != nil {
		return u.coll, nil
	}
	store, unlock, err := u.deps.State.Source(u.src.Definition.Name, u.src.Name)
	if err != nil {
		return nil, err
	}
	defer func() { // also when New panics
		if u.coll == nil {
			unlock()
		}
	}()
	coll, err := u.src.New(u.env(store))
	if err != nil {
		return nil, err
	}
	u.coll, u.unlock = coll, unlock
	if r, ok := coll.(collector.Runner); ok {
		u.running.Go(func() { u.supervise(r) })
	}
	return coll, nil
}

// release waits for what the source started and closes it.
func (u *unit) release() {
	u.mu.Lock()
	c := u.call
	u.mu.Unlock()
	if c != nil {
		<-c.returned
	}
	u.running.Wait()
	if closer, ok := u.coll.(collector.Closer); ok {
		if err := guard(closer.Close); err != nil {
			u.logger.Error("closing failed", "err", err)
		}
	}
	u.unlock()
}

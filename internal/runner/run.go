package runner

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/state"
)

// call is one run. done is closed when its outcome is recorded; returned when
// the collector's function has in fact come back, which for one that ignores
// its context may be much later.
type call struct {
	done, returned chan struct{}
	gaveUp         bool
}

type outcome struct {
	batch *metric.Batch
	err   error
}

// grace is how long a collector may take to return after its deadline, to
// reap a killed child for example.
const grace = 5 * time.Second

// start begins a run unless one is in flight. It returns the run to wait for,
// nil if there is none: the one in flight was given up, or the source has not
// begun or has ended.
func (u *unit) start() *call {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.call != nil {
		if u.call.gaveUp {
			return nil
		}
		return u.call
	}
	if !u.begun || u.ctx.Err() != nil {
		return nil
	}
	c := &call{done: make(chan struct{}), returned: make(chan struct{})}
	u.call = c
	go u.attempt(c)
	return c
}

func (u *unit) attempt(c *call) {
	defer close(c.done)
	ctx, cancel := context.WithTimeout(u.ctx, u.src.Timeout)
	begun := u.deps.Now()
	result := make(chan outcome, 1)
	go func() {
		defer close(c.returned)
		defer cancel()
		batch := u.src.Batch()
		err := guard(func() error { return u.collect(ctx, batch) })
		result <- outcome{batch, err}
	}()
	select {
	case r := <-result:
		u.finish(begun, r, ctx)
	case <-expired(ctx):
		u.giveUp(c, begun, ctx)
		go func() { // the goroutine above may come back yet
			<-c.returned
			u.mu.Lock()
			defer u.mu.Unlock()
			u.call = nil
		}()
	}
}

// expired is closed grace after the context ended.
func expired(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(grace, func() { close(done) }) })
	return done
}

func (u *unit) collect(ctx context.Context, out *metric.Batch) error {
	coll, err := u.build()
	if err != nil {
		return err
	}
	u.src.Inventory(out)
	return coll.Collect(ctx, out)
}

func (u *unit) env(store state.Store) collector.Env {
	return collector.Env{
		Source: u.src.Name, Interval: u.src.Interval, Logger: u.logger,
		Now: u.deps.Now, Exec: u.deps.Exec, Systemd: u.deps.Systemd, State: store,
	}
}

// finish records a run that returned.
func (u *unit) finish(begun time.Time, r outcome, ctx context.Context) {
	live, good, reason, err := seal(r, ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.call = nil
	if u.ctx.Err() != nil {
		return // removed meanwhile: neither success nor failure
	}
	u.ended(begun)
	if errors.Is(r.err, collector.ErrUnchanged) && u.s.Up {
		u.s.SeriesDropped += u.dropped // what is published again lacks them again
		u.succeed()
		return
	}
	u.s.Series = r.batch.Series()
	u.dropped = uint64(r.batch.Dropped())
	u.s.SeriesDropped += u.dropped
	if err != nil {
		if live == nil {
			live = u.configured
		}
		u.live = live
		u.fail(reason, err)
		return
	}
	u.live, u.good = live, good
	u.succeed()
}

// giveUp records a run that ignores its context. It is not waited for, and no
// other is started before it returns.
func (u *unit) giveUp(c *call, begun time.Time, ctx context.Context) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c.gaveUp = true
	if u.ctx.Err() != nil {
		return
	}
	u.ended(begun)
	u.live = u.configured
	u.fail(ReasonTimeout, u.overdue(ctx))
}

// overdue is the error of a run that does not return when its context ends.
func (u *unit) overdue(ctx context.Context) error {
	return fmt.Errorf("does not return since its deadline of %s: %w", u.src.Timeout, ctx.Err())
}

// seal turns a returned run into what may be published of it.
func seal(r outcome, ctx context.Context) (live, good []metric.Family, reason Reason, err error) {
	var p *panicError
	switch invalid := r.batch.Err(); {
	case errors.As(r.err, &p):
		return nil, nil, ReasonPanic, r.err
	case invalid != nil:
		return nil, nil, ReasonInvalid, invalid
	}
	for _, f := range r.batch.Families() {
		if f.Desc.Live {
			live = append(live, f)
		} else {
			good = append(good, f)
		}
	}
	if r.err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return live, nil, ReasonTimeout, r.err
	}
	return live, good, ReasonError, r.err
}

func (u *unit) ended(begun time.Time) {
	now := u.deps.Now()
	u.s.LastAttempt = now
	u.s.LastDuration = now.Sub(begun)
}

func (u *unit) fail(reason Reason, err error) {
	u.s.Failures[reason]++
	if u.failed == 0 || u.s.Reason != reason { // transitions, not repeats
		u.logger.Error("collection failed", "reason", string(reason), "err", err)
	} else {
		u.logger.Debug("collection failed again", "reason", string(reason), "err", err)
	}
	u.failed++
	u.s.Up, u.s.Reason, u.s.Error = false, reason, err.Error()
}

func (u *unit) succeed() {
	if u.failed > 0 {
		u.logger.Info("collection works again", "failed_runs", u.failed)
	}
	u.failed = 0
	u.s.Up, u.s.Reason, u.s.Error = true, "", ""
	u.s.LastSuccess = u.s.LastAttempt
}

// supervise keeps a Runner running, with backoff.
func (u *unit) supervise(r collector.Runner) {
	const first, most = time.Second, time.Minute
	for delay := first; ; delay = min(2*delay, most) {
		begun := u.deps.Now()
		err := guard(func() error { return r.Run(u.ctx) })
		if u.ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("ended before it was told to")
		}
		u.mu.Lock()
		reason := ReasonError
		var p *panicError
		if errors.As(err, &p) {
			reason = ReasonPanic
		}
		u.s.Failures[reason]++
		u.mu.Unlock()
		if u.deps.Now().Sub(begun) > most {
			delay = first // it had worked for a while
		}
		u.logger.Error("background work ended; starting it again", "after", delay, "err", err)
		select {
		case <-time.After(delay):
		case <-u.ctx.Done():
			return
		}
	}
}

// panicError is a recovered panic.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// guard turns a panic into an error.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	return f()
}

package dnsquery

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/loki"
	"vulcan.lan/vulcan_exporter/collectors/dnsquery/tail"
	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/state"
)

const (
	probeEvery = time.Minute
	// probeShare bounds what looking for the newest row may cost a server with a huge log.
	probeShare = 100
)

// Run reads the log and sends rows to Loki. An error means that what is in memory may differ from
// what is saved: it is to be started again.
func (d *dnsquery) Run(ctx context.Context) error {
	d.running.Store(true)
	err := d.follow(ctx)
	if err != nil && ctx.Err() == nil {
		d.broken(err)
	}
	return err
}

// broken has Collect fail until something is read and saved again. Whether the
// log can be read is not known meanwhile.
func (d *dnsquery) broken(err error) {
	d.fault.Store(&err)
	if v := d.view.Load(); v != nil {
		blind := *v
		blind.progress.asked = false
		d.view.Store(&blind)
	}
}

func (d *dnsquery) follow(ctx context.Context) error {
	st, err := d.load()
	if err != nil {
		return err
	}
	group, inner := errgroup.WithContext(ctx)
	l, err := d.openLoki(st)
	if err != nil {
		return err
	}
	if l != nil {
		defer func() { _ = l.queue.Close() }()
		group.Go(func() error { return guarded(inner, l.pusher.Run) })
	}
	group.Go(func() error { return guarded(inner, d.names.Run) })
	t := &tailer{dnsquery: d, st: st, delivery: l, log: collector.Transitions{Logger: d.env.Logger}, progress: progress{backlog: -1}}
	group.Go(func() error { return guarded(inner, t.run) })
	return group.Wait()
}

// guarded turns a panic into an error: it would end the exporter.
func guarded(ctx context.Context, run func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return run(ctx)
}

// openLoki opens the queue as it was when the state was saved.
func (d *dnsquery) openLoki(st *position) (*delivery, error) {
	if d.cfg.Loki.URL == "" {
		return nil, nil
	}
	folder, err := state.Folder(d.env.State)
	if err != nil {
		return nil, err
	}
	if folder == "" {
		d.env.Logger.Error("rows are not sent to Loki: that needs a folder that outlives the process; see --storage.path")
		return nil, nil
	}
	queue, err := loki.OpenQueue(filepath.Join(folder, "loki"), d.cfg.Loki.QueueBytes, d.env.Logger)
	if err != nil {
		return nil, err
	}
	if st.Queue == (loki.Offset{}) && st.Counts.Resets > 0 {
		// Which rows it has is not known any more; those that are read again have the same times.
		st.Queue = queue.End()
		queue.Commit(st.Queue)
	} else if err := queue.Truncate(st.Queue); errors.Is(err, loki.ErrLost) {
		d.env.Logger.Error("the queue for Loki lacks rows that were counted", "err", err)
	} else if err != nil {
		return nil, errors.Join(err, queue.Close())
	}
	pusher, err := loki.NewPusher(d.cfg.Loki.options(), queue, d.env.Now, d.env.Logger)
	if err != nil {
		return nil, errors.Join(err, queue.Close())
	}
	if before := d.loki.Load(); before != nil {
		pusher.Continue(before.pusher.Stats())
	}
	l := &delivery{queue, pusher}
	d.loki.Store(l)
	return l, nil
}

// tailer reads the log of one run.
type tailer struct {
	*dnsquery
	st       *position
	delivery *delivery // nil where rows go nowhere
	log      collector.Transitions
	progress progress
	sample   bool      // the server's counter is to be read when all was read
	probed   time.Time // when the next look for the newest row is due
	waiting  *batch    // read and not committed, for the queue is full
	marked   bool      // that a state was saved
}

// batch is a step that could not be committed yet.
type batch struct {
	step    tail.Step
	after   tail.Position
	entries []loki.Entry
	sized   reading
	missing float64 // rows of a gap, 0 if their number is not known
}

func (t *tailer) run(ctx context.Context) error {
	t.publish(t.st, t.progress)
	for {
		more, err := t.once(ctx)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if more {
			continue
		}
		timer := time.NewTimer(t.env.Interval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// once reads and commits a page; more tells whether it is worthwhile to go on at once. An error is
// one of our own disk: an API that gives no answer is asked again later.
func (t *tailer) once(ctx context.Context) (more bool, err error) {
	if t.waiting == nil {
		r, err := t.read(ctx)
		if ctx.Err() != nil {
			return false, nil
		}
		t.failed(err)
		t.log.Note("query log", err, string(technitium.ReasonOf(err)))
		t.progress.asked = true
		if t.progress.up = err == nil; err != nil {
			t.publish(t.st, t.progress)
			return false, nil
		}
		t.waiting = r
	}
	switch err := t.commit(t.waiting); {
	case errors.Is(err, loki.ErrFull):
		t.fault.Store(nil)
		t.log.Note("queue for Loki", err, "full")
		t.publish(t.st, t.progress)
		return false, nil
	case err != nil:
		return false, err
	}
	t.log.Note("queue for Loki", nil, "")
	t.fault.Store(nil)
	more = t.waiting.step.More
	t.waiting = nil
	return more, nil
}

// read asks for a page, and now and then for the newest row.
func (t *tailer) read(ctx context.Context) (*batch, error) {
	at := t.st.Position
	if now := t.env.Now(); !now.Before(t.probed) || t.probed.Sub(now) > time.Hour {
		newest, moved, err := t.reader.Probe(ctx, at)
		if err != nil {
			return nil, err
		}
		at, t.progress.newest = moved, newest
		took := t.env.Now().Sub(now)
		t.sample = true
		t.probed = now.Add(max(probeEvery, min(probeShare*took, time.Hour)))
	}
	step, after, err := t.reader.Next(ctx, at)
	if err != nil {
		return nil, err
	}
	r := &batch{step: step, after: after, sized: t.st.Sized}
	if step.Gap || t.sample && !step.More {
		t.size(ctx, r)
	}
	if t.delivery != nil {
		r.entries = t.entries.of(&step, t.st.Ranks)
	}
	return r, nil
}

// size reads how many queries the server has counted since it started, where it tells: it is noted
// when all rows were read, and after a gap it tells about how many are missing.
func (t *tailer) size(ctx context.Context, r *batch) {
	life, err := t.client.Lifetime(ctx)
	total, ok := life.Counts["total"]
	if err != nil || !ok || life.Started.IsZero() {
		return // said where the server is asked about itself
	}
	rows, before := t.st.Counts.Rows+float64(len(r.step.Rows)), r.sized
	if r.step.Gap && before.Started.Equal(life.Started) {
		r.missing = max(0, float64(total-before.Total)-(rows-before.Rows)-float64(r.step.Backlog))
	}
	if r.sized = (reading{}); !r.step.More {
		r.sized, t.sample = reading{life.Started, total, rows}, false
	}
}

// commit makes a step part of all that is kept, or of nothing.
func (t *tailer) commit(r *batch) error {
	s := &r.step
	changed := len(s.Rows) > 0 || s.Malformed > 0 || s.Gap
	if len(r.entries) > 0 {
		end, err := t.delivery.queue.Append(r.entries)
		if err != nil {
			return err
		}
		t.st.Queue = end
	}
	now := t.env.Now()
	t.st.Position = r.after
	t.st.Counts.add(s, now)
	t.st.Counts.GapRows += r.missing
	t.st.Sized = r.sized
	if changed {
		if err := t.save(); err != nil {
			return err
		}
		if t.delivery != nil {
			t.delivery.queue.Commit(t.st.Queue)
		}
	}
	if s.Gap {
		t.env.Logger.Warn("rows may have been deleted from the query log before they were read; keep more of them, or read more often", "newest_read", t.st.Position.Newest)
	}
	t.progress.backlog = s.Backlog
	if t.st.Position.Newest.After(t.progress.newest) {
		t.progress.newest = t.st.Position.Newest
	}
	if !s.More {
		t.progress.caughtUp = now
	}
	t.publish(t.st, t.progress)
	return nil
}

// save keeps the state, in memory where there is no other place.
func (t *tailer) save() error {
	if !t.env.State.Persistent() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.unsaved = t.st
		return nil
	}
	if err := t.env.State.Save(t.st); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if t.marked {
		return nil
	}
	if err := t.mark(); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	t.marked = true
	return nil
}

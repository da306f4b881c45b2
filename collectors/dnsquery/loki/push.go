package loki

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Stats is what the Pusher has seen.
type Stats struct {
	// Up tells whether Loki took the last push, or told which entries it does not take; Known is
	// false before the first.
	Up, Known bool
	// LastSuccess is when Loki last did; zero: never.
	LastSuccess time.Time
	// Failures counts failed pushes by reason; all reasons are present.
	Failures map[string]int64
	// Durations are the seconds that pushes took, failed ones included.
	Durations *metric.Bucketer
}

// Pusher sends what is in a queue to Loki.
type Pusher struct {
	o      Options
	q      *Queue
	client *client
	now    func() time.Time
	logger *slog.Logger
	limit  int              // bytes of a batch, less than BatchBytes while Loki limits the rate
	pause  time.Duration    // the next one; 0 after a success
	reason string           // of the failure that was logged
	gaveUp map[string]int64 // entries of the last batch, by reason
	begun  bool             // the first batch of this Run is settled
	mute   bool             // Loki could not be asked, and that was logged

	mu    sync.Mutex
	stats Stats
}

// minBatch is where batches become no smaller, in bytes.
const minBatch = 16 << 10

// NewPusher makes a Pusher; it opens nothing. An error tells what is wrong with the options.
func NewPusher(o Options, q *Queue, now func() time.Time, logger *slog.Logger) (*Pusher, error) {
	if key, fault := o.Check(); fault != "" {
		return nil, fmt.Errorf("%s: %s", key, fault)
	}
	o = o.withDefaults()
	p := &Pusher{o: o, q: q, client: newClient(o), now: now, logger: logger, limit: o.BatchBytes}
	p.stats.Durations = metric.NewBucketer(o.Durations)
	p.stats.Failures = make(map[string]int64)
	for _, reason := range FailReasons() {
		p.stats.Failures[reason] = 0
	}
	return p, nil
}

// Continue goes on from what another Pusher of this process has seen: its counts do not fall where
// the queue had to be opened again. It is called before Run.
func (p *Pusher) Continue(s Stats) { p.stats = s }

// Stats may be called at any time.
func (p *Pusher) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Failures = maps.Clone(s.Failures)
	s.Durations = s.Durations.Clone()
	return s
}

// Run pushes until ctx ends, and then returns nil: a batch that is not settled by then is sent
// again by the next Run. An error is one of the queue's files. One Run at a time.
func (p *Pusher) Run(ctx context.Context) error {
	defer p.client.http.CloseIdleConnections()
	p.begun = false
	for ctx.Err() == nil {
		entries, next, err := p.q.Read(p.q.Acked(), p.limit)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			if next != p.q.Acked() { // nothing but a gap
				if err := p.q.settle(next, nil); err != nil {
					return err
				}
				continue
			}
			select {
			case <-ctx.Done():
			case <-p.q.committedNew:
			}
			continue
		}
		dropped, ok := p.deliver(ctx, entries)
		if !ok {
			return nil
		}
		if err := p.q.settle(next, dropped); err != nil {
			return err
		}
	}
	return nil
}

// deliver returns when each entry is in Loki or given up; ok is false where ctx ended before.
func (p *Pusher) deliver(ctx context.Context, entries []Entry) (dropped map[string]int64, ok bool) {
	// What a process before this one sent and did not acknowledge is in doubt.
	d := newDelivery(entries, !p.begun)
	for len(d.work) > 0 {
		if d.next().doubt {
			if !p.resolve(ctx, d) {
				return nil, false
			}
			continue
		}
		v := p.push(ctx, d.next().entries)
		if ctx.Err() != nil {
			return nil, false
		}
		p.note(v)
		if d.settle(v) {
			p.pause = 0
			continue
		}
		if !p.wait(ctx, v.wait) {
			return nil, false
		}
	}
	p.begun = true
	p.noteDropped(d.dropped)
	return d.dropped, true
}

// maxAsks is how often Loki is asked for what it has before all is sent again.
const maxAsks = 3

// resolve asks Loki for what it has of the next part. It is false where ctx ended before.
func (p *Pusher) resolve(ctx context.Context, d *delivery) bool {
	// What the process before this one sent may still be on its way into Loki.
	if !p.begun && !p.wait(ctx, 0) {
		return false
	}
	for try := 1; ; try++ {
		inner, cancel := context.WithTimeout(ctx, p.o.Timeout)
		missing, err := p.client.missing(inner, d.next().entries)
		cancel()
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil:
			d.resolve(missing)
			p.mute = false
			return true
		case errors.Is(err, errForbidden) || try == maxAsks:
			if !p.mute {
				p.logger.Info("Loki cannot be asked for what it has; a batch whose answer was lost is sent again as a whole", "err", err)
			}
			p.mute = true
			d.resolve(d.next().entries)
			return true
		}
		if !p.wait(ctx, 0) {
			return false
		}
	}
}

// push sends entries once and counts how that went.
func (p *Pusher) push(ctx context.Context, entries []Entry) verdict {
	begun := time.Now()
	v := p.client.push(ctx, entries)
	took := time.Since(begun)
	if ctx.Err() != nil {
		return v // we are being stopped: that says nothing about Loki
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Durations.Observe(took.Seconds())
	p.stats.Known = true
	p.stats.Up = v.kind == accepted || v.kind == refused
	switch {
	case p.stats.Up:
		p.stats.LastSuccess = p.now()
		p.limit = min(p.limit+p.limit/4, p.o.BatchBytes)
	case v.kind == suspect:
		if len(entries) == 1 {
			p.stats.Failures[FailRefused]++
		}
	default:
		p.stats.Failures[v.reason]++
		if v.reason == FailRateLimit {
			p.limit = max(p.limit/2, min(minBatch, p.o.BatchBytes))
		}
	}
	return v
}

// noteDropped logs the first batch of a row of batches that lose entries for a reason.
func (p *Pusher) noteDropped(dropped map[string]int64) {
	for _, reason := range DropReasons() {
		if dropped[reason] > 0 && p.gaveUp[reason] == 0 {
			p.logger.Warn("Loki does not take some entries; they are given up", "reason", reason, "entries", dropped[reason])
		}
	}
	p.gaveUp = dropped
}

// note logs what changes, not what goes on.
func (p *Pusher) note(v verdict) {
	reason := ""
	switch v.kind {
	case failed:
		reason = v.reason
	case suspect:
		reason = FailRefused
	}
	switch reason {
	case p.reason:
	case "":
		p.logger.Info("Loki takes entries again")
	default:
		p.logger.Warn("Loki takes no entries; trying again", "reason", reason, "answer", fmt.Sprintf("%.300s", v.message))
	}
	p.reason = reason
}

// wait pauses, twice as long as the last time, with half of it by chance, or as long as Loki asks.
// It is false where ctx ended before.
func (p *Pusher) wait(ctx context.Context, asked time.Duration) bool {
	p.pause = min(max(2*p.pause, p.o.MinBackoff), p.o.MaxBackoff)
	pause := p.pause/2 + rand.N(p.pause/2+1)
	pause = max(pause, min(asked, 10*time.Minute))
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

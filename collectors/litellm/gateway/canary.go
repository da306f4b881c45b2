package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Canary asks models for completions, at its own pace beside the passes.
type Canary struct {
	gateway           *Gateway
	models            []string
	interval, timeout time.Duration
	now               func() time.Time
	logger            *slog.Logger

	back chan struct{} // one token: the proxy lives again

	mu      sync.Mutex
	results map[string]result
	down    bool // when it was last seen
}

type result struct {
	attempt, success time.Time
	took             time.Duration // of the last success
	ok               bool
	failures         float64
}

// NewCanary makes a canary for the models.
func NewCanary(g *Gateway, models []string, interval, timeout time.Duration, now func() time.Time, logger *slog.Logger) *Canary {
	return &Canary{gateway: g, models: models, interval: interval, timeout: timeout, now: now, logger: logger,
		back: make(chan struct{}, 1), results: map[string]result{}}
}

// Run asks until the context ends. One model's failure or slowness does not keep the others from
// their turn longer than their time limit.
func (c *Canary) Run(ctx context.Context) error {
	if len(c.models) == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	tick := time.NewTicker(c.interval)
	defer tick.Stop()
	for turn := true; ; {
		for _, m := range c.models {
			if turn || !c.result(m).ok {
				c.ask(ctx, m)
			}
		}
		select {
		case <-tick.C:
			turn = true
		case <-c.back:
			turn = false
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Seen tells whether the proxy lives. When it does so again, models that were asked in vain are
// asked out of turn: the failure was the proxy's, and would be told as theirs for the rest of the
// interval. One that was answered is not asked again, so that a proxy that flaps costs no more.
func (c *Canary) Seen(alive bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if alive && c.down {
		select {
		case c.back <- struct{}{}:
		default: // it is about to ask anyway
		}
	}
	c.down = !alive
}

// ask tries twice: a single dropped connection would be shown for a whole interval.
func (c *Canary) ask(ctx context.Context, name string) {
	const attempts = 2
	for try := range attempts {
		r := c.result(name)
		r.attempt = c.now()
		begun := time.Now()
		err := c.complete(ctx, name)
		if ctx.Err() != nil {
			return // we are being stopped: that says nothing about the model
		}
		if err == nil {
			r.ok, r.success, r.took = true, c.now(), time.Since(begun)
			c.set(name, r)
			return
		}
		r.failures++
		if try < attempts-1 {
			r.attempt = c.result(name).attempt // not the last word yet
		} else {
			r.ok = false
		}
		c.logger.Warn("the canary got no answer", "model", name, "try", try+1, "err", err)
		c.set(name, r)
	}
}

func (c *Canary) complete(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.gateway.Complete(ctx, name)
}

func (c *Canary) result(name string) result {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.results[name]
}

func (c *Canary) set(name string, r result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results[name] = r
}

// Emit shows the results. A model that was never asked has no success yet, neither 0 nor 1.
func (c *Canary) Emit(out *metric.Batch) {
	if len(c.models) == 0 {
		return
	}
	out.Gauge(canaryInterval, c.interval.Seconds())
	for _, m := range c.models {
		r, name := c.result(m), metric.LabelValue(m)
		out.Counter(canaryFailures, r.failures, name)
		if r.attempt.IsZero() {
			continue
		}
		out.Bool(canarySuccess, r.ok, name)
		out.Time(canaryAttempt, r.attempt, name)
		out.Time(canaryAnswered, r.success, name)
		if r.ok {
			out.Gauge(canarySeconds, r.took.Seconds(), name)
		}
	}
}

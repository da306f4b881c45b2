package restic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// startDelay keeps checks and drills out of the start of a machine, when every
// other job wants its disks and its network.
const startDelay = 30 * time.Minute

// Run makes the integrity checks and restore drills that are due, beside the
// passes and one at a time of all repositories. What they find is told by the
// next pass.
func (c *Collector) Run(ctx context.Context) error {
	check, drill := c.cfg.Check.Interval.Std(), c.cfg.RestoreDrill.Interval.Std()
	if !c.cfg.Check.own() {
		check = 0
	}
	if check == 0 && drill == 0 {
		<-ctx.Done()
		return nil
	}
	select {
	case <-c.attempted:
	case <-ctx.Done():
		return nil
	}
	shortest := min(orMax(check), orMax(drill))
	if !sleep(ctx, time.Duration((1+rand.Float64())*float64(min(startDelay, shortest/20)))) {
		return nil
	}
	for {
		if c.due(check, func(m *memory) (time.Time, bool) { return m.Check.Attempt, m.Check.Retry }) {
			c.heavily(ctx, c.check)
		}
		if c.due(drill, func(m *memory) (time.Time, bool) { return m.Drill.Attempt, m.Drill.Retry }) {
			c.heavily(ctx, c.drill)
		}
		if !sleep(ctx, min(time.Minute, shortest/10)) {
			return nil
		}
	}
}

func orMax(d time.Duration) time.Duration {
	if d == 0 {
		return 1<<63 - 1
	}
	return d
}

// sleep waits and tells whether there is more to do.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// retryAfter is how soon something that was skipped is tried again.
const retryAfter = time.Hour

// due tells whether it is time again, 0 being never.
func (c *Collector) due(interval time.Duration, last func(m *memory) (time.Time, bool)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if interval == 0 || !c.loaded || !c.memory.Complete {
		return false
	}
	attempt, retry := last(&c.memory)
	if retry {
		interval = min(interval, retryAfter)
	}
	return c.env.Now().Sub(attempt) >= interval
}

// heavily runs work as the only one of its weight, and keeps its result.
func (c *Collector) heavily(ctx context.Context, work func(context.Context)) {
	const forever = 1<<63 - 1
	release, err := take(ctx, c.client.limits.heavy, forever)
	if err != nil {
		return
	}
	defer release()
	work(ctx)
	if ctx.Err() == nil {
		if err := c.save(); err != nil {
			c.env.Logger.Error("result cannot be kept", "err", err)
		}
	}
}

// readExternalCheck takes the result of a check that something else ran.
func (c *Collector) readExternalCheck(ctx context.Context) error {
	var result checkResult
	var at time.Time
	var err error
	switch k := c.cfg.Check; {
	case k.Unit != "":
		result, at, err = c.unit.last(ctx)
	case k.ResultFile != "":
		result, at, err = readResultFile(k.ResultFile)
	}
	if err != nil || at.IsZero() {
		return err
	}
	c.mu.Lock()
	known := c.memory.Check.At
	c.mu.Unlock()
	if !at.Equal(known) {
		c.change(func(m *memory) {
			m.Check = checkMemory{Success: result.errors == 0, At: at, Errors: result.errors, Broken: result.broken}
		})
	}
	return nil
}

// readResultFile reads the output of the last check; the file's time is the
// check's. A file that is not there, or not complete, is no result.
func readResultFile(file string) (checkResult, time.Time, error) {
	info, err := os.Stat(file)
	if os.IsNotExist(err) {
		return checkResult{}, time.Time{}, nil
	}
	if err != nil {
		return checkResult{}, time.Time{}, err
	}
	const most = 16 << 20
	if !info.Mode().IsRegular() || info.Size() > most {
		return checkResult{}, time.Time{}, fmt.Errorf("%s is no regular file of at most %d bytes", file, most)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return checkResult{}, time.Time{}, err
	}
	result, ok := parseCheck(string(content))
	if !ok {
		return checkResult{}, time.Time{}, nil
	}
	return result, info.ModTime(), nil
}

// unitWatch follows a service that checks the repository.
type unitWatch struct {
	hub    *systemd.Hub
	name   string
	handle *systemd.Handle
}

// last is the unit's last run as systemd still knows it. One that ended with
// restic's status for errors is one error: what it complained of is in its own
// log. Any other end, such as by a lock, a timeout or a signal, proves nothing.
func (u *unitWatch) last(ctx context.Context) (checkResult, time.Time, error) {
	if u.handle == nil {
		u.handle = u.hub.Watch("")
		u.handle.Require(systemd.Interest{Names: []string{u.name}})
	}
	snapshot, err := u.handle.Snapshot(ctx)
	if err != nil {
		return checkResult{}, time.Time{}, err
	}
	unit := snapshot.Unit(u.name)
	if unit == nil {
		return checkResult{}, time.Time{}, nil
	}
	run, ok := unit.LastRun()
	const foundErrors = 1 // https://restic.readthedocs.io/en/stable/075_scripting.html#exit-codes
	switch {
	case ok && run.Success:
		return checkResult{}, run.Exit, nil
	case ok && run.Result == "exit-code" && run.ExitCode == foundErrors:
		return checkResult{errors: 1}, run.Exit, nil
	}
	return checkResult{}, time.Time{}, nil
}

// Close lets go of the watcher.
func (u *unitWatch) Close() error {
	if u.handle == nil {
		return nil
	}
	return u.handle.Close()
}

// emitProofs tells what is known of the content. Each value has its own
// timestamp and stays true until the next one, whatever becomes of listings.
func (c *Collector) emitProofs(out *metric.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, d := &c.memory.Check, &c.memory.Drill
	out.Time(checkSince, c.memory.CheckSince)
	out.Time(drillSince, c.memory.DrillSince)
	if c.cfg.Check.Interval > 0 || c.cfg.Check.Unit != "" || c.cfg.Check.ResultFile != "" {
		if !k.At.IsZero() {
			out.Bool(checkSuccess, k.Success)
			out.Time(checkTimestamp, k.At)
			out.Gauge(checkErrors, k.Errors)
			if k.Broken != nil {
				out.Gauge(checkBroken, *k.Broken)
			}
		}
	}
	if c.cfg.Check.own() {
		emitCycle(out, k, c.cfg.Check.Parts)
	}
	if c.cfg.RestoreDrill.Interval == 0 {
		return
	}
	emitSkipped(out, drillSkipped, d.Skipped)
	if !d.At.IsZero() {
		out.Bool(drillSuccess, d.Success)
		out.Time(drillTimestamp, d.At)
		out.Gauge(drillBytes, d.Bytes)
		out.Gauge(drillDuration, d.Seconds)
	}
}

func emitCycle(out *metric.Batch, k *checkMemory, parts int) {
	out.Gauge(checkParts, float64(parts))
	if k.Part > 0 {
		out.Gauge(checkPart, float64(k.Part))
	}
	for _, r := range []partResult{verified, skipped, damaged} {
		out.Gauge(checkCoverage, float64(k.count(r)), string(r))
	}
	out.Time(checkCycle, k.Cycle)
	emitSkipped(out, checkSkipped, k.Skipped)
}

func emitSkipped(out *metric.Batch, c metric.Counter, counts map[reason]float64) {
	for _, r := range reasons {
		out.Counter(c, counts[r], r)
	}
}

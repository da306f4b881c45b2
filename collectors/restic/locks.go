package restic

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

// staleAfter is restic's own measure: an owner renews its lock every 5 minutes.
const staleAfter = 30 * time.Minute

// maxLocks is how many locks are read; each costs a call.
const maxLocks = 16

// locks are the locks at one moment. count may be more than those read.
type locks struct {
	at    time.Time
	count int
	stale int // as of at: a lock that is not looked at again does not grow stale
	read  []lock
}

// stale tells whether nobody holds the lock any more: it was not renewed, or
// it is of a process of this host that does not exist.
func (l lock) stale(now time.Time) bool {
	if now.Sub(l.time) > staleAfter {
		return true
	}
	host, err := os.Hostname()
	return err == nil && host == l.host && l.pid > 0 && errors.Is(syscall.Kill(l.pid, 0), syscall.ESRCH)
}

// lookForLocks lists the locks where it is time to: they cost a call and, on
// object storage, a request that is paid for. While there are any they are
// looked at in each pass.
func (c *Collector) lookForLocks(ctx context.Context, out *metric.Batch) error {
	every := c.cfg.LocksInterval.Std()
	if every == 0 {
		return nil
	}
	if l := c.locks; l != nil && l.count == 0 && c.env.Now().Sub(l.at) < every {
		c.emitLocks(out)
		return nil
	}
	found, err := c.readLocks(ctx)
	reason, err := c.outcome("listing of locks", err)
	if err != nil {
		return err
	}
	if reason == "" {
		c.locks = found
	}
	c.emitLocks(out)
	return nil
}

// readLocks reads the present locks. One that goes away meanwhile is not
// there.
func (c *Collector) readLocks(ctx context.Context) (*locks, error) {
	found := &locks{at: c.env.Now()}
	ids, err := c.client.lockIDs(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	found.count = len(ids)
	for _, id := range ids[:min(len(ids), maxLocks)] {
		one, err := c.client.lock(ctx, id)
		var failed *failure
		switch {
		case errors.As(err, &failed) && ctx.Err() == nil && gone.MatchString(failed.stderr):
			found.count--
		case err != nil:
			return nil, err
		default:
			found.read = append(found.read, one)
			if one.stale(found.at) {
				found.stale++
			}
		}
	}
	return found, nil
}

// gone is what restic says of a lock that is no longer there.
var gone = regexp.MustCompile(`(?i)no matching ID found|does not exist|no such file|\(404\)`)

// emitLocks tells the last known locks, as long as they are not older than
// three of their intervals.
func (c *Collector) emitLocks(out *metric.Batch) {
	l, now := c.locks, c.env.Now()
	if l == nil || now.Sub(l.at) > keepIntervals*max(c.cfg.LocksInterval.Std(), c.env.Interval) {
		return
	}
	out.Time(locksTimestamp, l.at)
	out.Gauge(lockCount, float64(l.count))
	exclusive, oldest := 0, time.Time{}
	for _, one := range l.read {
		if one.exclusive {
			exclusive++
		}
		if oldest.IsZero() || one.time.Before(oldest) {
			oldest = one.time
		}
		out.Info(lockInfo, one.id[:16], clip(one.host), clip(one.username), strconv.Itoa(one.pid), strconv.FormatBool(one.exclusive))
	}
	out.Gauge(lockExclusive, float64(exclusive))
	out.Gauge(lockStale, float64(l.stale))
	out.Time(lockOldest, oldest)
}

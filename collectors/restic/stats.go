package restic

import (
	"context"
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

// statsMemory are the sizes of one set of snapshots.
type statsMemory struct {
	Fingerprint          string
	At                   time.Time
	Raw, Restore, Unique statsResult
}

// statsMaxAge is how long sizes may be told of a set of snapshots that does
// not change: prune may repack and compress without changing the set.
const statsMaxAge = 7 * 24 * time.Hour

// stats asks for the sizes where the set of snapshots is another one than
// they were of. Each of the three calls reads the trees of all snapshots, so
// they are what an unchanged repository must not cost.
func (c *Collector) stats(ctx context.Context, l *listing, out *metric.Batch) error {
	key := l.fingerprint()
	c.mu.Lock()
	old := c.memory.Stats
	c.mu.Unlock()
	if old != nil && old.Fingerprint == key && c.env.Now().Sub(old.At) < statsMaxAge {
		out.Bool(statsSuccess, true)
		c.emitStats(out)
		return nil
	}
	fresh := statsMemory{Fingerprint: key, At: c.env.Now()}
	var err error
	if len(l.snapshots) > 0 { // the sizes of no snapshots are 0, known without a call
		for _, one := range []struct {
			mode string
			into *statsResult
		}{{modeRaw, &fresh.Raw}, {modeRestore, &fresh.Restore}, {modeUnique, &fresh.Unique}} {
			if *one.into, err = c.client.stats(ctx, one.mode); err != nil {
				break
			}
		}
	}
	reason, err := c.outcome("stats", err)
	if err != nil {
		return err
	}
	if reason == "" {
		c.change(func(m *memory) { m.Stats = &fresh })
	}
	out.Bool(statsSuccess, reason == "")
	c.emitStats(out)
	return nil
}

// emitStats tells the last known sizes, with their own timestamp. They are not
// told of a repository whose listing is not: it may be gone.
func (c *Collector) emitStats(out *metric.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.memory.Stats
	if s == nil || c.listing == nil {
		return
	}
	out.Time(statsTimestamp, s.At)
	out.Gauge(repoSize, s.Raw.Size)
	out.Gauge(repoBlobs, s.Raw.Blobs)
	if s.Raw.Uncompressed != nil {
		out.Gauge(repoUncompressed, *s.Raw.Uncompressed)
	}
	if s.Raw.Ratio != nil {
		out.Gauge(compressionRatio, *s.Raw.Ratio)
	}
	out.Gauge(restoreSize, s.Restore.Size)
	out.Gauge(repoFiles, s.Restore.Files)
	out.Gauge(uniqueSize, s.Unique.Size)
	out.Gauge(uniqueFiles, s.Unique.Files)
}

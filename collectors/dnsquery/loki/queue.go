package loki

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// Queue keeps entries on disk, in order, until Loki has them.
//
// It is a folder of segments, files of records that are only appended to, named after the Offset
// of their first record, and of the file ack. Damage is found by the checksum of each record: what
// follows a damaged record in its segment is lost and counted, what stands in other segments is
// not. One Queue at a time may use a folder. All methods may be called at any time.
type Queue struct {
	dir          string
	max          int64
	segmentBytes int64
	logger       *slog.Logger
	committedNew chan struct{} // holds one token when there may be more to read

	mu        sync.Mutex
	segments  []segment // oldest first; never empty, the last is written to
	active    *os.File  // the last segment
	ack       *ackSlots
	committed Offset
	acked     Offset
	totals    Totals
	broken    error // the last segment's content is not known any more
}

// OpenQueue opens the queue in the folder dir, which is made where it does not exist, and cuts off
// an entry that a crash left half written. Nothing can be read before Truncate or Commit has told
// what is valid. max is the size in bytes that the files may have together; an empty queue takes
// one Append of any size.
func OpenQueue(dir string, max int64, logger *slog.Logger) (*Queue, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	q := &Queue{
		dir: dir, max: max, segmentBytes: min(maxSegment, max/8),
		logger: logger, committedNew: make(chan struct{}, 1),
	}
	if err := q.load(); err != nil {
		return nil, fmt.Errorf("queue for Loki: %w", err)
	}
	q.committed = q.acked
	return q, q.free()
}

// Close closes the files. The queue is not usable afterwards.
func (q *Queue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.broken = os.ErrClosed
	if q.active == nil {
		return nil
	}
	err := errors.Join(q.active.Close(), q.ack.file.Close())
	q.active = nil
	return err
}

// Append puts entries at the end, all or none, and returns the new end when they are on disk. They
// are not sent before Commit. The error is ErrFull where there is no room for now.
func (q *Queue) Append(entries []Entry) (Offset, error) {
	const usual = 320 // bytes of a record
	b := make([]byte, 0, usual*len(entries))
	for _, e := range entries {
		var err error
		if b, err = appendRecord(b, e); err != nil {
			return Offset{}, err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.broken != nil {
		return Offset{}, q.broken
	}
	if err := q.room(int64(len(b))); err != nil {
		return Offset{}, err
	}
	err := q.write(b, q.segments[len(q.segments)-1].size())
	if errors.Is(err, syscall.ENOSPC) && q.acked == q.end() && q.used() > 0 {
		// What is acknowledged takes the place.
		if err = errors.Join(q.start(q.end()), q.free()); err == nil {
			err = q.write(b, 0)
		}
	}
	if err != nil {
		return Offset{}, err
	}
	last := &q.segments[len(q.segments)-1]
	last.end.Bytes += int64(len(b))
	last.end.Rows += int64(len(entries))
	return last.end, nil
}

// room makes place for n bytes at the end of the last segment, or tells that there is none.
func (q *Queue) room(n int64) error {
	end := q.end()
	last := q.segments[len(q.segments)-1]
	full := q.used()+n > q.max
	if last.size() > 0 && (last.size() >= q.segmentBytes || full && q.acked == end) {
		if err := q.start(end); err != nil {
			return err
		}
		if err := q.free(); err != nil {
			return err
		}
		full = q.used()+n > q.max
	}
	if full && q.acked != end {
		return ErrFull
	}
	return nil
}

// write puts b at a place of the last segment, durably, or leaves the segment as it was.
func (q *Queue) write(b []byte, at int64) error {
	_, err := q.active.WriteAt(b, at)
	if err == nil {
		err = q.active.Sync()
	}
	if err == nil {
		return nil
	}
	if undo := errors.Join(q.active.Truncate(at), q.active.Sync()); undo != nil {
		q.broken = errors.Join(err, undo)
	}
	return err
}

// Commit lets everything before to be sent: the caller has durably noted that it is counted.
func (q *Queue) Commit(to Offset) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.committed.Before(to) && !q.end().Before(to) {
		q.committed = to
	}
	select {
	case q.committedNew <- struct{}{}:
	default:
	}
}

// End is where the next Append begins.
func (q *Queue) End() Offset {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.end()
}

func (q *Queue) end() Offset { return q.segments[len(q.segments)-1].end }

// Acked is the end of what needs not be sent again.
func (q *Queue) Acked() Offset {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.acked
}

// Ack frees everything before to, which Loki has.
func (q *Queue) Ack(to Offset) error { return q.settle(to, nil) }

// settle acknowledges everything before to, of which some entries were given up.
func (q *Queue) settle(to Offset, dropped map[string]int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.acked.Before(to) || q.committed.Before(to) {
		return nil
	}
	totals := q.totals.clone()
	lost := q.missing(q.acked, to)
	totals.Lost += lost
	totals.Pushed += to.Rows - q.acked.Rows - lost
	for reason, n := range dropped {
		totals.Dropped[reason] += n
		totals.Pushed -= n
	}
	if err := q.ack.save(to, totals); err != nil {
		return err
	}
	q.acked, q.totals = to, totals
	return q.free()
}

// missing counts the rows between two offsets that stand in no segment.
func (q *Queue) missing(from, to Offset) int64 {
	rows, at := int64(0), from
	for _, s := range q.segments {
		if at.Before(s.base) && !to.Before(s.base) {
			rows += s.base.Rows - at.Rows
		}
		if at.Before(s.end) {
			at = s.end
		}
	}
	return rows
}

// Backlog is what is in the queue and not acknowledged, committed or not.
func (q *Queue) Backlog() (rows, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	end := q.end()
	return end.Rows - q.acked.Rows - q.missing(q.acked, end), q.used()
}

// Max is the bound of the size in bytes.
func (q *Queue) Max() int64 { return q.max }

// Totals tells what became of the entries.
func (q *Queue) Totals() Totals {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.totals.clone()
}

// used is the size of all files.
func (q *Queue) used() int64 {
	n := int64(0)
	for _, s := range q.segments {
		n += s.size()
	}
	return n
}

// free removes the segments that are acknowledged as a whole.
func (q *Queue) free() error {
	for len(q.segments) > 1 && !q.acked.Before(q.segments[0].end) {
		if err := os.Remove(q.path(q.segments[0])); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		q.segments = slices.Delete(q.segments, 0, 1)
	}
	return nil
}

func (q *Queue) path(s segment) string { return filepath.Join(q.dir, s.name()) }

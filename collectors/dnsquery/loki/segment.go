package loki

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	maxSegment = 8 << 20
	suffix     = ".segment"
)

// segment is a file of records without a gap.
type segment struct{ base, end Offset }

func (s segment) size() int64 { return s.end.Bytes - s.base.Bytes }

func (s segment) name() string {
	return fmt.Sprintf("%020d-%020d%s", s.base.Bytes, s.base.Rows, suffix)
}

func parseName(name string) (Offset, bool) {
	var base Offset
	if _, err := fmt.Sscanf(strings.TrimSuffix(name, suffix), "%d-%d", &base.Bytes, &base.Rows); err != nil {
		return Offset{}, false
	}
	return base, segment{base: base}.name() == name
}

func (t Totals) clone() Totals {
	t.Dropped = maps.Clone(t.Dropped)
	return t
}

// load finds what is in the folder.
func (q *Queue) load() error {
	slots, ack, known, damaged, err := openAck(q.dir)
	if err != nil {
		return err
	}
	if q.ack = slots; damaged {
		q.logger.Error("the acknowledgement of the queue for Loki cannot be read; what is in the queue is sent again", "dir", q.dir)
	}
	q.totals = Totals{Pushed: ack.Pushed, Lost: ack.Lost, Dropped: make(map[string]int64)}
	for _, reason := range DropReasons() {
		q.totals.Dropped[reason] = ack.Dropped[reason]
	}
	if err := q.loadSegments(); err != nil {
		return err
	}
	// What is appended must never stand before what is acknowledged.
	if len(q.segments) == 0 || q.end().Before(ack.Acked) {
		if err := q.start(ack.Acked); err != nil {
			return err
		}
	} else if err := q.activate(); err != nil {
		return err
	}
	q.acked = ack.Acked
	if !known {
		q.acked = q.segments[0].base
	}
	return nil
}

// loadSegments finds the segments and what of each is valid.
func (q *Queue) loadSegments() error {
	names, err := filepath.Glob(filepath.Join(q.dir, "*"+suffix))
	if err != nil {
		return err
	}
	for _, path := range names {
		base, ok := parseName(filepath.Base(path))
		if !ok {
			continue
		}
		s, size, err := scan(path, base)
		if err != nil {
			return err
		}
		if s.size() < size {
			q.logger.Warn("a segment of the queue for Loki is cut at a damaged entry", "file", path, "valid_bytes", s.size(), "cut_bytes", size-s.size())
			if err := os.Truncate(path, s.size()); err != nil {
				return err
			}
		}
		q.segments = append(q.segments, s)
	}
	slices.SortFunc(q.segments, func(a, b segment) int { return int(a.base.Bytes - b.base.Bytes) })
	return nil
}

// scan reads a segment up to its end or its first damaged record. size is the file's.
func scan(path string, base Offset) (s segment, size int64, err error) {
	s = segment{base, base}
	content, err := os.ReadFile(path)
	if err != nil {
		return s, 0, err
	}
	for rest := content; len(rest) > 0; {
		_, n, err := record(rest)
		if err != nil {
			break
		}
		s.end.Bytes += int64(n)
		s.end.Rows++
		rest = rest[n:]
	}
	return s, int64(len(content)), nil
}

// start begins a new last segment.
func (q *Queue) start(base Offset) error {
	q.segments = append(q.segments, segment{base, base})
	if err := q.activate(); err != nil {
		q.segments = q.segments[:len(q.segments)-1]
		return err
	}
	return syncDir(q.dir)
}

// activate opens the last segment for writing.
func (q *Queue) activate() error {
	file, err := os.OpenFile(q.path(q.segments[len(q.segments)-1]), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if q.active != nil {
		_ = q.active.Close() // everything in it is synced
	}
	q.active = file
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Truncate cuts off what was appended after to, the end that the caller has noted, and commits the
// rest. Call it once, after OpenQueue. ErrLost tells that not all before to is there, or that to
// is of another queue; the queue then goes on at to.
func (q *Queue) Truncate(to Offset) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.broken != nil {
		return q.broken
	}
	lost := q.end().Before(to)
	for !lost {
		last := &q.segments[len(q.segments)-1]
		if last.base.Before(to) || last.base == to {
			break
		}
		if err := q.removeLast(); err != nil {
			return err
		}
		lost = len(q.segments) == 0 || q.end().Before(to)
	}
	if !lost {
		ok, err := q.cut(to)
		if err != nil {
			return err
		}
		lost = !ok
	}
	if lost {
		if err := q.resume(to); err != nil {
			return err
		}
	}
	q.committed = to
	if to.Before(q.acked) {
		q.acked = to
	}
	select {
	case q.committedNew <- struct{}{}:
	default:
	}
	if lost {
		return ErrLost
	}
	return nil
}

// cut shortens the last segment to end at to, if a record ends there.
func (q *Queue) cut(to Offset) (bool, error) {
	last := &q.segments[len(q.segments)-1]
	at := last.base
	content, err := io.ReadAll(io.NewSectionReader(q.active, 0, to.Bytes-at.Bytes))
	if err != nil {
		return false, err
	}
	for len(content) > 0 {
		_, n, err := record(content)
		if err != nil {
			return false, nil
		}
		at.Bytes += int64(n)
		at.Rows++
		content = content[n:]
	}
	if at != to {
		return false, nil
	}
	if err := errors.Join(q.active.Truncate(to.Bytes-last.base.Bytes), q.active.Sync()); err != nil {
		return false, err
	}
	last.end = to
	return true, nil
}

func (q *Queue) removeLast() error {
	last := q.segments[len(q.segments)-1]
	if err := os.Remove(q.path(last)); err != nil {
		return err
	}
	q.segments = q.segments[:len(q.segments)-1]
	if len(q.segments) == 0 {
		return nil
	}
	return q.activate()
}

// resume goes on at to with a new segment. What is there stays where it is in line with to.
func (q *Queue) resume(to Offset) error {
	for len(q.segments) > 0 && (to.Before(q.end()) || to.Rows < q.end().Rows || to.Bytes == q.end().Bytes) {
		if err := q.removeLast(); err != nil {
			return err
		}
	}
	if len(q.segments) == 0 {
		q.acked = to
	}
	return q.start(to)
}

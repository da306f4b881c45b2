package loki

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// Read gives committed entries from an offset on: at least one where there are any, else as many
// as have maxBytes of records. next is the offset after them; what is missing between is skipped.
func (q *Queue) Read(from Offset, maxBytes int) (entries []Entry, next Offset, err error) {
	for {
		s, limit, ok := q.segmentAt(from)
		if !ok {
			return nil, from, nil
		}
		if from.Before(s.base) {
			from = s.base
		}
		content, err := readRecords(q.path(s), from.Bytes-s.base.Bytes, limit-from.Bytes, int64(maxBytes))
		if err != nil && !errors.Is(err, errRecord) {
			return nil, from, err
		}
		entries, next := parseRecords(content, from)
		if len(entries) > 0 {
			return entries, next, nil
		}
		// The disk gives back something else than was written.
		if err := q.abandon(s, from); err != nil {
			return nil, from, err
		}
	}
}

// segmentAt finds the first segment with something committed at or after an offset; limit is where
// that ends, in bytes.
func (q *Queue) segmentAt(from Offset) (s segment, limit int64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.segments {
		if limit := min(s.end.Bytes, q.committed.Bytes); from.Bytes < limit && s.base.Bytes < limit {
			return s, limit, true
		}
	}
	return segment{}, 0, false
}

// readRecords reads up to most bytes of a file, of which left are there, and more only where the
// first record is longer.
func readRecords(path string, at, left, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var header [recordHeader]byte
	if _, err := file.ReadAt(header[:], at); err != nil {
		return nil, errors.Join(errRecord, err)
	}
	first := recordHeader + int64(binary.LittleEndian.Uint32(header[:]))
	if first > left {
		return nil, errRecord
	}
	content := make([]byte, min(left, max(most, first)))
	n, err := file.ReadAt(content, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return content[:n], nil
}

// parseRecords reads whole records up to the first that is none. The entries' texts share one
// copy of content.
func parseRecords(content []byte, from Offset) (entries []Entry, next Offset) {
	next = from
	shared := string(content)
	for at := 0; at < len(content); {
		_, n, err := record(content[at:])
		if err != nil {
			break
		}
		e, err := parseEntry(shared[at+recordHeader : at+n])
		if err != nil {
			break
		}
		entries = append(entries, e)
		at += n
		next.Bytes += int64(n)
		next.Rows++
	}
	return entries, next
}

// abandon gives up what a segment holds from an offset on.
func (q *Queue) abandon(s segment, from Offset) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.logger.Error("a segment of the queue for Loki is damaged", "file", q.path(s), "offset", from.Bytes, "lost_rows", s.end.Rows-from.Rows)
	for i := range q.segments {
		if q.segments[i].base != s.base {
			continue
		}
		end := q.segments[i].end
		if i == len(q.segments)-1 {
			if err := q.start(end); err != nil {
				return err
			}
		}
		q.segments[i].end = from
	}
	return nil
}

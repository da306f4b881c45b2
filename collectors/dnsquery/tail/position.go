package tail

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
)

// Position is how far a log was read. It is a value: nothing changes one, and its JSON form is all
// of it. Its size is bounded by the anchor's.
type Position struct {
	// Start begins the interval that is asked for.
	Start time.Time `json:"start"`
	// Floor, where not zero, is where the interval began before it was moved back: what was
	// read of earlier times is not known to be without holes.
	Floor time.Time `json:"floor"`
	// Newest is the latest time of a row that was read; zero before the first.
	Newest time.Time `json:"newest"`
	// Read counts the rows of the interval that were read, by time.
	Read []slot `json:"read"`
	// Anchor are the last rows that were read, 16 bytes each: hash and time.
	Anchor []byte `json:"anchor"`
}

// Begin is the position from which all rows from a time on are read.
func Begin(start time.Time) Position { return Position{Start: start} }

// slot counts rows from a time on, up to the time of the next one.
type slot struct {
	At   int64 `json:"t"` // Unix nanoseconds, a multiple of the width
	Rows int64 `json:"n"`
}

// mark is a row of the anchor.
type mark struct {
	hash uint64
	at   int64 // Unix nanoseconds
}

const (
	markBytes   = 16
	minAnchor   = 64
	maxAnchor   = 4096 // and a third of a page
	tickChanges = 2
	slots       = 10 // of an overlap
)

// width is the time of a slot.
func width(overlap time.Duration) time.Duration { return max(time.Second, overlap/slots) }

func (p Position) count() int64 {
	n := int64(0)
	for _, s := range p.Read {
		n += s.Rows
	}
	return n
}

// inInterval is the part of the anchor that the interval selects.
func (p Position) inInterval() []mark {
	start := max(p.Start.UnixNano(), p.floor())
	return slices.DeleteFunc(decode(p.Anchor), func(m mark) bool { return m.at < start })
}

func (p Position) floor() int64 {
	if p.Floor.IsZero() {
		return math.MinInt64
	}
	return p.Floor.UnixNano()
}

// advanced moves the start an overlap behind the newest of the last rows, half an overlap behind the
// very last one at least, and never beyond what our own clock allows.
func (p Position) advanced(now time.Time, overlap time.Duration) Position {
	anchor := decode(p.Anchor)
	if len(anchor) == 0 || !p.Floor.IsZero() {
		return p
	}
	newest := int64(math.MinInt64)
	for _, m := range anchor {
		newest = max(newest, m.at)
	}
	start := min(newest, now.UnixNano()) - int64(overlap)
	start = min(start, anchor[len(anchor)-1].at-int64(overlap)/2)
	start -= mod(start, int64(width(overlap)))
	if start <= p.Start.UnixNano() {
		return p
	}
	p.Start = time.Unix(0, start).UTC()
	p.Read = slices.DeleteFunc(slices.Clone(p.Read), func(s slot) bool { return s.At < start })
	return p
}

// floored is a time at the beginning of its slot.
func floored(t time.Time, overlap time.Duration) time.Time {
	at := t.UnixNano()
	return time.Unix(0, at-mod(at, int64(width(overlap)))).UTC()
}

// mod is the remainder that is never negative.
func mod(a, b int64) int64 { return (a%b + b) % b }

// moved corrects the count of rows: the oldest ones were deleted, or there are more than was known.
func (p Position) moved(count int64) Position {
	change := count - p.count()
	if change == 0 {
		return p
	}
	p.Read = slices.Clone(p.Read)
	if change > 0 {
		start := p.Start.UnixNano()
		if len(p.Read) == 0 || p.Read[0].At > start {
			p.Read = slices.Insert(p.Read, 0, slot{At: start})
		}
		p.Read[0].Rows += change
		return p
	}
	for len(p.Read) > 0 && change < 0 {
		n := min(-change, p.Read[0].Rows)
		p.Read[0].Rows -= n
		change += n
		if p.Read[0].Rows == 0 {
			p.Read = p.Read[1:]
		}
	}
	return p
}

// late counts the rows that are older than one before them.
func (p Position) late(rows []technitium.Row) int {
	late, newest := 0, p.Newest
	for i := range rows {
		switch {
		case rows[i].Time.After(newest):
			newest = rows[i].Time
		case rows[i].Time.Before(newest):
			late++
		}
	}
	return late
}

// after is the position after the rows of a page of which those from fresh on are new.
func (p Position) after(rows []technitium.Row, hashes []uint64, fresh int, r *Reader) Position {
	anchor, from := decode(p.Anchor), fresh
	if !p.Floor.IsZero() {
		anchor, from = nil, 0 // with holes; what the page has before is without
	}
	for i := from; i < len(rows); i++ {
		anchor = append(anchor, mark{hashes[i], rows[i].Time.UnixNano()})
	}
	counts := make(map[int64]int64)
	for _, row := range rows[fresh:] {
		at := row.Time.UnixNano()
		counts[at-mod(at, int64(width(r.Overlap)))]++
		if row.Time.After(p.Newest) {
			p.Newest = row.Time
		}
	}
	p.Anchor = encode(shortest(anchor, min(maxAnchor, r.PerPage/3)))
	p.Read = add(p.Read, counts)
	p.Floor = time.Time{}
	return p
}

// add puts counts into the slots.
func add(read []slot, counts map[int64]int64) []slot {
	for _, s := range read {
		counts[s.At] += s.Rows
	}
	out := make([]slot, 0, len(counts))
	for at, n := range counts {
		out = append(out, slot{at, n})
	}
	slices.SortFunc(out, func(a, b slot) int { return compare(a.At, b.At) })
	return out
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// shortest cuts an anchor to what tells its place.
func shortest(anchor []mark, most int) []mark {
	changes := 0
	for n := 1; n < len(anchor); n++ {
		i := len(anchor) - n
		if anchor[i].at != anchor[i-1].at {
			changes++
		}
		if n >= minAnchor && changes >= tickChanges || n >= most {
			return anchor[i:]
		}
	}
	return anchor
}

func encode(anchor []mark) []byte {
	b := make([]byte, 0, markBytes*len(anchor))
	for _, m := range anchor {
		b = binary.LittleEndian.AppendUint64(b, m.hash)
		b = binary.LittleEndian.AppendUint64(b, uint64(m.at))
	}
	return b
}

func decode(b []byte) []mark {
	anchor := make([]mark, 0, len(b)/markBytes)
	for ; len(b) >= markBytes; b = b[markBytes:] {
		anchor = append(anchor, mark{binary.LittleEndian.Uint64(b), int64(binary.LittleEndian.Uint64(b[8:]))})
	}
	return anchor
}

// Package tail reads a query log that can only be asked for pages, each row once.
//
// What the API of a Technitium DNS Server gives (facts of its source, v13 to v15):
//
//   - Rows come in the order of insertion, which is append-only: a row that lands late, or after
//     a step of the server's clock, has an old time and still comes last.
//   - A row's number is its position among the rows that the interval selects. The server deletes
//     the oldest rows by insertion at any time, which shifts all positions.
//   - The count of rows and the page are two statements, and a page past the end is the last page.
//   - Rows have no id, and with an app that keeps whole seconds many look alike.
//
// So what has been read of an interval [start, now) is a beginning of what the log had in it, and
// what the log has in it now is an end of that: the new rows are those after the last one that
// was read. A Position remembers the last rows that were read, the anchor, and how many rows of
// the interval they end. One request asks for the page in which they should be; where they are,
// what follows is new and nothing was read twice but the anchor. Where they are not, rows were
// deleted before them, and they are looked for. Where they are nowhere, they were deleted too, and
// with them perhaps rows that were never read: a gap, which is said.
//
// The start follows the newest row at a distance, so that the server need not count all it has.
// A row that comes with a time before the start is not in the interval: Probe looks at the row
// that was inserted last, whatever its time, and moves the start back. That is exact after a step
// of the clock by any time, and for single rows that are late by up to half an overlap; single
// rows that are later than that are not seen if others came after them.
//
// The anchor is as long as it takes to be the only one of its kind: 64 rows and two changes of
// time, so that a shift among rows that look alike does not go unnoticed. It has a limit, 4096 rows:
// where the log keeps whole seconds, has more rows than that in one, they all look alike, and rows
// of that very second are deleted, nobody can tell which.
package tail

import (
	"context"
	"slices"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
)

// Source is the query log.
type Source interface {
	Logs(ctx context.Context, q technitium.Query) (technitium.Page, error)
}

// Reader reads a log. It keeps nothing between calls.
type Reader struct {
	Source Source
	// Now is the clock of the exporter: a time in the server's future does not move the start.
	Now func() time.Time
	// Overlap is how far the start stays behind the newest row, twice what single rows are late.
	Overlap time.Duration
	// PerPage is the most rows of a request, at least 256.
	PerPage int
}

// Step is what one request gave.
type Step struct {
	// Rows are new, in the order of insertion, and Hashes belong to them.
	Rows   []technitium.Row
	Hashes []uint64
	// Malformed counts new rows that could not be read.
	Malformed int
	// Late counts new rows with a time before that of one that was read earlier.
	Late int
	// Gap is true where rows may have been deleted before Rows and unread.
	Gap bool
	// Backlog is how many rows are left to be read, as far as it was known when the page was made.
	Backlog int64
	// More is true where it is worthwhile to call Next again at once.
	More bool
}

// Next asks for the next page of new rows. It gives them and the position after them; to forget
// them, go on with the old position.
func (r *Reader) Next(ctx context.Context, p Position) (Step, Position, error) {
	p = p.advanced(r.Now(), r.Overlap)
	anchor, want := p.inInterval(), p.count()
	index, size := grid(want-int64(len(anchor)), len(anchor), r.PerPage)
	page, err := r.page(ctx, p, index, size)
	if err != nil {
		return Step{}, p, err
	}
	if len(p.Anchor) == 0 && len(page.Rows) == 0 {
		return r.begin(ctx, p, page)
	}
	offset := index * int64(size)
	v := p.view(page.Rows)
	at := -1
	if page.Number == index+1 || index == 0 {
		at = v.find(anchor, int(want-offset))
	}
	if at < 0 {
		return r.lost(ctx, p, anchor)
	}
	// Rows that could not be read may stand before the anchor or after it.
	least := offset + int64(at)
	p = p.moved(min(max(want, least), least+int64(page.Malformed)))
	s, p := r.take(p, page, v.hashes, at, offset, size)
	return s, p, nil
}

// begin takes the rows that were inserted last for read: so it is noticed if later ones are deleted
// before they are read, even if these are too old to be read themselves.
func (r *Reader) begin(ctx context.Context, p Position, empty technitium.Page) (Step, Position, error) {
	s := Step{Malformed: empty.Malformed}
	page, err := r.last(ctx, 4*minAnchor)
	if err != nil || len(page.Rows) == 0 || !page.Rows[len(page.Rows)-1].Time.Before(p.Start) {
		return s, p, err
	}
	anchor, oldest := make([]mark, 0, len(page.Rows)), page.Rows[0].Time
	for i := range page.Rows {
		anchor = append(anchor, mark{hash(&page.Rows[i]), page.Rows[i].Time.UnixNano()})
		if page.Rows[i].Time.Before(oldest) {
			oldest = page.Rows[i].Time
		}
	}
	next := p
	next.Start, next.Anchor = floored(oldest, r.Overlap), encode(anchor)
	// Where they end, as far as that is known.
	first, err := r.Source.Logs(ctx, technitium.Query{Start: next.Start, Page: 1, PerPage: 1})
	if err != nil {
		return s, p, err
	}
	return s, next.moved(first.TotalEntries), nil
}

// take makes a Step of the rows that follow the anchor.
func (r *Reader) take(p Position, page technitium.Page, hashes []uint64, at int, offset int64, size int) (Step, Position) {
	s := Step{Rows: page.Rows[at:], Hashes: hashes[at:]}
	if len(s.Rows) > 0 {
		s.Late = p.late(s.Rows)
		p = p.after(page.Rows, hashes, at, r)
	}
	// Rows that could not be read stand somewhere in the page; those that the position did not
	// count yet are new.
	got := int64(len(page.Rows) + page.Malformed)
	if unknown := offset + got - p.count(); unknown > 0 {
		s.Malformed = int(min(unknown, int64(page.Malformed)))
		p = p.moved(offset + got)
	}
	s.Backlog = max(0, page.TotalEntries-p.count())
	s.More = got >= int64(size) || s.Backlog > 0 && len(s.Rows)+s.Malformed > 0
	return s, p
}

func (r *Reader) page(ctx context.Context, p Position, index int64, size int) (technitium.Page, error) {
	return r.Source.Logs(ctx, technitium.Query{Start: p.Start, Page: index + 1, PerPage: size})
}

// lost looks for the anchor in all of the interval. The deletion of rows shifts the others down,
// so it looks from the expected place downwards first, and everywhere twice before it says that
// the rows of the anchor are gone.
func (r *Reader) lost(ctx context.Context, p Position, anchor []mark) (Step, Position, error) {
	const attempts = 2
	for range attempts {
		at, err := r.search(ctx, p, anchor)
		if err != nil {
			return Step{}, p, err
		}
		if at >= 0 {
			return Step{More: true}, p.moved(at), nil
		}
	}
	page, err := r.page(ctx, p, 0, r.PerPage)
	if err != nil {
		return Step{}, p, err
	}
	v := p.view(page.Rows)
	left, at := anchor, v.find(anchor, 0) // it may have come there meanwhile
	if at < 0 {
		// A part of it may be left, as the oldest rows that are there.
		left, at = v.remainder(anchor)
	}
	if at >= 0 {
		p.Anchor = encode(left)
		s, p := r.take(p.moved(int64(at)), page, v.hashes, at, 0, r.PerPage)
		s.Gap = ambiguous(left, anchor)
		return s, p, nil
	}
	p.Anchor, p.Read = nil, nil
	s, p := r.take(p, page, v.hashes, 0, 0, r.PerPage)
	s.Gap = true
	return s, p, nil
}

// search gives how many rows of the interval end with the anchor, -1 if it is not found.
func (r *Reader) search(ctx context.Context, p Position, anchor []mark) (int64, error) {
	expected := p.count() / int64(r.PerPage)
	at, last, err := r.scan(ctx, p, anchor, expected, 0)
	if at >= 0 || err != nil {
		return at, err
	}
	at, _, err = r.scan(ctx, p, anchor, last, expected)
	return at, err
}

// scan looks for the anchor in pages, from one down to another, and tells which is the last page.
func (r *Reader) scan(ctx context.Context, p Position, anchor []mark, from, to int64) (at, last int64, err error) {
	var above []technitium.Row // the beginning of the page above, for an anchor on both
	for index := from; index >= to && index >= 0; index-- {
		page, err := r.page(ctx, p, index, r.PerPage)
		if err != nil {
			return -1, 0, err
		}
		last = max(last, page.TotalPages-1)
		if page.Number > 0 && page.Number-1 < index {
			index, above = page.Number-1, nil // it was past the end
		}
		rows := page.Rows
		v := p.view(append(slices.Clone(rows), above...))
		if n := v.find(anchor, len(rows)); n >= 0 {
			return index*int64(r.PerPage) + int64(n), last, nil
		}
		above = rows[:min(len(rows), r.PerPage/2)]
	}
	return -1, last, nil
}

// grid gives the page, counted from 0, and the size of pages such that the page begins at or a
// little before a position and holds more than the anchor.
func grid(position int64, anchor, most int) (index int64, size int) {
	least := max(minAnchor, anchor) + minAnchor
	if position < int64(least) {
		return 0, most
	}
	index = (position + int64(most) - 1) / int64(most)
	return index, int(position / index)
}

// last gives the rows that were inserted last, whatever their times, in the order of insertion.
func (r *Reader) last(ctx context.Context, n int) (technitium.Page, error) {
	page, err := r.Source.Logs(ctx, technitium.Query{Page: 1, PerPage: n, Descending: true})
	slices.Reverse(page.Rows)
	return page, err
}

// Probe looks at the row that was inserted last, whatever its time. Where that lies before the
// interval or in the first half of the overlap, the server's clock was set back, and the position
// is given an interval that begins an overlap before it, so that rows that are late by the new
// clock are not missed. The time is zero where the log is empty.
func (r *Reader) Probe(ctx context.Context, p Position) (time.Time, Position, error) {
	page, err := r.last(ctx, 1)
	if err != nil || len(page.Rows) == 0 {
		return time.Time{}, p, err
	}
	row := page.Rows[0]
	if len(p.Anchor) > 0 && row.Time.Before(p.Start.Add(r.Overlap/2)) {
		if p.Floor.IsZero() {
			p.Floor = p.Start
		}
		p.Start = floored(row.Time.Add(-r.Overlap), r.Overlap)
	}
	return row.Time, p, nil
}

package tail

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
)

// log is a query log in memory with the manners of the real one: positions for numbers, the page
// that is past the end is the last, the count is older than the page, the oldest rows go at any
// time. The counts say what happened to each row.
type log struct {
	rows           []technitium.Row // retained, in the order of insertion
	ids            []int            // of rows
	inserted       int
	meanwhile      func() // between the count and the page
	fail           func() bool
	requests, sent int
}

// insert gives the row a number that the reader does not look at, to tell equal rows apart.
func (l *log) insert(row technitium.Row) {
	row.RTT = float64(l.inserted)
	l.rows, l.ids = append(l.rows, row), append(l.ids, l.inserted)
	l.inserted++
}

// trim deletes the oldest n rows and gives their ids.
func (l *log) trim(n int) []int {
	n = min(n, len(l.rows))
	gone := l.ids[:n]
	l.rows, l.ids = l.rows[n:], l.ids[n:]
	return gone
}

// selected gives the places of the rows of an interval.
func (l *log) selected(q technitium.Query) []int {
	var out []int
	for i := range l.rows {
		if !l.rows[i].Time.Before(q.Start) {
			out = append(out, i)
		}
	}
	return out
}

func (l *log) Logs(_ context.Context, q technitium.Query) (technitium.Page, error) {
	if l.fail != nil && l.fail() {
		return technitium.Page{}, errors.New("no answer")
	}
	l.requests++
	selected := l.selected(q)
	total := int64(len(selected))
	pages := (total + int64(q.PerPage) - 1) / int64(q.PerPage)
	number := min(q.Page, pages)
	if l.meanwhile != nil {
		l.meanwhile()
		selected = l.selected(q)
	}
	if q.Descending {
		slices.Reverse(selected)
	}
	from := min(max(0, number-1)*int64(q.PerPage), int64(len(selected)))
	to := min(from+int64(q.PerPage), int64(len(selected)))
	page := technitium.Page{Number: number, TotalPages: pages, TotalEntries: total}
	for i, at := range selected[from:to] {
		row := l.rows[at]
		row.Number = from + int64(i) + 1
		page.Rows = append(page.Rows, row)
	}
	l.sent += len(page.Rows)
	return page, nil
}

// world inserts rows with the clock of a server, which is not always right.
type world struct {
	log
	rng     *rand.Rand
	now     time.Time     // true time
	wrong   time.Duration // the server's clock is ahead by this
	tick    time.Duration // the app keeps times in this unit
	names   int
	overlap time.Duration
}

// add inserts a row that may be late within the overlap.
func (w *world) add() {
	at := w.now.Add(w.wrong)
	if w.rng.IntN(20) == 0 {
		at = at.Add(-time.Duration(w.rng.Int64N(int64(w.overlap) * 4 / 10)))
	}
	w.insert(technitium.Row{
		Time: at.Truncate(w.tick), Client: fmt.Sprint("192.0.2.", w.rng.IntN(3)), Protocol: "Udp", ResponseType: "Cached",
		RCode: "NoError", QName: fmt.Sprint(w.rng.IntN(w.names)), QType: "A", QClass: "IN",
	})
}

package technitiumtest

import (
	"math"
	"time"
)

const blockRows = 1024

// stored is a row of the table: 80 bytes beside the texts of its own.
type stored struct {
	ticks                                          int64 // of 100 ns since 1970
	client, qname, answer                          string
	rtt                                            float64
	protocol, responseType, rcode, qtype, qclass   uint16 // in table.words
	question, hasAnswer, hasRTT, served, malformed bool
}

// block is a run of rows in the order of their insertion, with the bounds of their times, so that
// counting and paging by time pass over most rows.
type block struct {
	rows     []stored
	min, max int64
}

// table is dns_logs.
type table struct {
	blocks []*block
	rows   int
	words  []string
	ids    map[string]uint16
}

func newTable() *table { return &table{ids: map[string]uint16{}} }

func (t *table) word(s string) uint16 {
	id, known := t.ids[s]
	if !known {
		id = uint16(len(t.words))
		t.words = append(t.words, s)
		t.ids[s] = id
	}
	return id
}

func (t *table) store(r Row, ticks int64) stored {
	return stored{
		ticks: ticks, client: r.Client, qname: r.QName, answer: r.Answer, rtt: r.RTT,
		protocol: t.word(r.Protocol), responseType: t.word(r.ResponseType), rcode: t.word(r.RCode),
		qtype: t.word(r.QType), qclass: t.word(r.QClass),
		question: r.QName != "" || r.QType != "" || r.QClass != "", hasAnswer: r.Answer != "",
		hasRTT: r.ResponseType == "Recursive", malformed: r.Malformed,
	}
}

func (t *table) row(s *stored) Row {
	return Row{
		Time:   time.Unix(s.ticks/ticksPerSecond, s.ticks%ticksPerSecond*100).UTC(),
		Client: s.client, QName: s.qname, Answer: s.answer, RTT: s.rtt,
		Protocol: t.words[s.protocol], ResponseType: t.words[s.responseType], RCode: t.words[s.rcode],
		QType: t.words[s.qtype], QClass: t.words[s.qclass], Malformed: s.malformed,
	}
}

func (t *table) insert(s stored) {
	n := len(t.blocks)
	// A block whose front was deleted is not filled up again beyond its array.
	if n == 0 || len(t.blocks[n-1].rows) == cap(t.blocks[n-1].rows) {
		t.blocks = append(t.blocks, &block{rows: make([]stored, 0, blockRows), min: math.MaxInt64, max: math.MinInt64})
		n++
	}
	b := t.blocks[n-1]
	b.rows = append(b.rows, s)
	b.min, b.max = min(b.min, s.ticks), max(b.max, s.ticks)
	t.rows++
}

// deleteFirst deletes the n rows that were inserted first.
func (t *table) deleteFirst(n int, gone func(*stored)) {
	for n > 0 && len(t.blocks) > 0 {
		b := t.blocks[0]
		k := min(n, len(b.rows))
		for i := range b.rows[:k] {
			gone(&b.rows[i])
		}
		b.rows = b.rows[k:]
		n, t.rows = n-k, t.rows-k
		if len(b.rows) == 0 {
			t.blocks = t.blocks[1:]
		} else {
			b.bounds()
		}
	}
}

// deleteBefore deletes the rows whose time is before ticks, wherever they are.
func (t *table) deleteBefore(ticks int64, gone func(*stored)) {
	blocks := t.blocks[:0:0]
	for _, b := range t.blocks {
		if b.min < ticks {
			kept := make([]stored, 0, blockRows)
			for i := range b.rows {
				if b.rows[i].ticks < ticks {
					gone(&b.rows[i])
				} else {
					kept = append(kept, b.rows[i])
				}
			}
			t.rows -= len(b.rows) - len(kept)
			b.rows = kept
			b.bounds()
		}
		if len(b.rows) > 0 {
			blocks = append(blocks, b)
		}
	}
	t.blocks = blocks
}

func (b *block) bounds() {
	b.min, b.max = math.MaxInt64, math.MinInt64
	for i := range b.rows {
		b.min, b.max = min(b.min, b.rows[i].ticks), max(b.max, b.rows[i].ticks)
	}
}

// interval is what a query selects, both ends included.
type interval struct{ start, end int64 }

func (in interval) has(s *stored) bool { return s.ticks >= in.start && s.ticks <= in.end }

// matches counts the rows of b that in selects.
func (b *block) matches(in interval) int {
	switch {
	case b.max < in.start || b.min > in.end:
		return 0
	case b.min >= in.start && b.max <= in.end:
		return len(b.rows)
	}
	n := 0
	for i := range b.rows {
		if in.has(&b.rows[i]) {
			n++
		}
	}
	return n
}

func (t *table) count(in interval) int64 {
	n := 0
	for _, b := range t.blocks {
		n += b.matches(in)
	}
	return int64(n)
}

// slice returns copies of the rows lo, counted from 0, up to hi of those that in selects, in the
// order of insertion, and marks them as served.
func (t *table) slice(in interval, lo, hi int64) []stored {
	lo = max(lo, 0)
	if hi <= lo {
		return nil
	}
	var page []stored
	at := int64(0)
	for _, b := range t.blocks {
		n := int64(b.matches(in))
		if at+n <= lo {
			at += n
			continue
		}
		for i := range b.rows {
			if !in.has(&b.rows[i]) {
				continue
			}
			if at >= lo {
				b.rows[i].served = true
				page = append(page, b.rows[i])
			}
			if at++; at >= hi {
				return page
			}
		}
	}
	return page
}

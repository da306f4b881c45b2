package tail

import (
	"slices"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
)

// view is the rows of a page as the anchor is looked for among them: without those before the
// floor, which may be holes in what was read.
type view struct {
	hashes []uint64 // of all rows
	seen   []uint64 // of those from the floor on
	ends   []int    // for each of seen, the place after it in the page; nil if seen is all
}

func (p Position) view(rows []technitium.Row) view {
	v := view{hashes: make([]uint64, len(rows))}
	for i := range rows {
		v.hashes[i] = hash(&rows[i])
	}
	if v.seen = v.hashes; p.Floor.IsZero() {
		return v
	}
	v.seen, v.ends = nil, []int{}
	for i := range rows {
		if !rows[i].Time.Before(p.Floor) {
			v.seen, v.ends = append(v.seen, v.hashes[i]), append(v.ends, i+1)
		}
	}
	return v
}

// place gives the place in the page that is after n of the seen rows.
func (v view) place(n int) int {
	if v.ends == nil || n == 0 {
		return n
	}
	return v.ends[n-1]
}

// find gives the place after the anchor in a page, that nearest to an expected one, or -1.
func (v view) find(anchor []mark, expected int) int {
	if len(anchor) == 0 {
		if expected < 0 || expected > len(v.hashes) {
			return -1
		}
		return expected
	}
	if v.ends != nil {
		expected, _ = slices.BinarySearch(v.ends, expected+1)
	}
	for distance := 0; distance <= max(expected, len(v.hashes)); distance++ {
		for _, at := range [2]int{expected - distance, expected + distance} {
			if at >= len(anchor) && at <= len(v.seen) && endsWith(v.seen[:at], anchor) {
				return v.place(at)
			}
		}
	}
	return -1
}

// remainder gives what is left of the anchor where its last rows are the first of the log, and the
// place after them; nothing and -1 where they are not.
func (v view) remainder(anchor []mark) (left []mark, at int) {
	for n := min(len(anchor), len(v.seen)); n > 0; n-- {
		left = anchor[len(anchor)-n:]
		if endsWith(v.seen[:n], left) {
			return left, v.place(n)
		}
	}
	return nil, -1
}

// ambiguous tells whether what is left of an anchor may as well be later rows that look alike: few,
// all of one time, in a log that gives several rows one time.
func ambiguous(left, anchor []mark) bool {
	if len(left) >= minAnchor || len(left) == len(anchor) || left[0].at != left[len(left)-1].at {
		return false
	}
	for i := 1; i < len(anchor); i++ {
		if anchor[i].at == anchor[i-1].at {
			return true
		}
	}
	return false
}

// endsWith tells whether rows end with the anchor.
func endsWith(hashes []uint64, anchor []mark) bool {
	hashes = hashes[len(hashes)-len(anchor):]
	for i := len(anchor) - 1; i >= 0; i-- {
		if hashes[i] != anchor[i].hash {
			return false
		}
	}
	return true
}

// hash is FNV-1a over what the log kept of the query: not the number, which is a position, and not
// the time of the answer, which servers before version 13.3 did not give.
func hash(r *technitium.Row) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	at := uint64(r.Time.UnixNano())
	for range 8 {
		h = (h ^ at&0xff) * prime
		at >>= 8
	}
	for _, s := range [...]string{r.Client, r.Protocol, r.ResponseType, r.RCode, r.QName, r.QType, r.QClass, r.Answer} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * prime
		}
		h = (h ^ 0xff) * prime // no text holds this byte
	}
	return h
}

package loki

import "slices"

// maxTries is how often an entry is sent that is refused alone and not in Loki's words, before it
// is given up. The pauses grow between them: a proxy that answers 400 to all for an hour must not
// empty the queue.
const maxTries = 5

// part is a piece of a batch that is not settled: entries of one stream. Of a push of several
// streams, Loki's answer is that of the last: the others' entries above a limit of their stream
// are lost without a word (seen in 3.7.8, pkg/ingester/instance.go).
type part struct {
	entries []Entry
	// doubt: Loki may have some of the entries already, from a push that it has not accepted as a
	// whole. asked: it was or will be asked which, after a push that it refused.
	doubt, asked bool
}

// delivery is the work on one batch: parts still to be settled, the next one last.
type delivery struct {
	work    []part
	dropped map[string]int64
	tries   int // of the next part, alone and suspect
}

// newDelivery parts a batch; doubt is for all of it.
func newDelivery(entries []Entry, doubt bool) *delivery {
	d := &delivery{dropped: make(map[string]int64)}
	for _, stream := range slices.Backward(streams(entries)) {
		d.work = append(d.work, part{entries: stream, doubt: doubt})
	}
	return d
}

func (d *delivery) next() *part { return &d.work[len(d.work)-1] }

// settle does what an answer to the next part asks for. It is false where the part, or what is
// made of it, is to be sent after a pause.
func (d *delivery) settle(v verdict) bool {
	next := d.next()
	switch v.kind {
	case accepted:
		d.replace()
	case failed:
		next.doubt = next.doubt || v.partial()
		// A batch above what Loki takes at once, or of which it took the beginning, gets in by
		// halves only.
		if v.reason == FailRateLimit && len(next.entries) > 1 {
			d.halve()
		}
		return false
	case refused, suspect:
		if !next.asked {
			next.doubt, next.asked = true, true
		}
		return d.refusal(v)
	}
	return true
}

// refusal finds the entries that are refused. The others of the part are in Loki already, which
// tells of some refused entries only, so what is left is sent until nothing is refused.
func (d *delivery) refusal(v verdict) bool {
	entries := d.next().entries
	if len(entries) == 1 {
		if v.kind == suspect {
			if d.tries++; d.tries < maxTries {
				return false
			}
		}
		d.dropped[v.reason]++
		d.replace()
		return v.kind == refused // what is suspect is suspect until something is accepted
	}
	if v.all {
		d.dropped[v.reason] += int64(len(entries))
		d.replace()
		return true
	}
	rest := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.Time.Before(v.oldest) })
	if n := len(entries) - len(rest); n > 0 {
		d.dropped[v.reason] += int64(n)
		d.replace(rest)
		return true
	}
	if !d.next().doubt { // else the part is sent again without what is in Loki
		d.halve()
	}
	return true
}

func (d *delivery) halve() {
	entries := d.next().entries
	half := len(entries) / 2
	d.replace(entries[:half], entries[half:])
}

// replace puts parts in the place of the next one; the first is then the next.
func (d *delivery) replace(parts ...[]Entry) {
	old := *d.next()
	d.work = d.work[:len(d.work)-1]
	d.tries = 0
	for _, entries := range slices.Backward(parts) {
		if len(entries) > 0 {
			d.work = append(d.work, part{entries, old.doubt, old.asked})
		}
	}
}

// resolve takes out of the next part what Loki has.
func (d *delivery) resolve(missing []Entry) {
	next := d.next()
	if len(missing) < len(next.entries) {
		next.entries = missing
		d.tries = 0
	}
	next.doubt = false
	if len(missing) == 0 {
		d.replace()
	}
}

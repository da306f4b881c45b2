package loki

import "slices"

// maxTries is how often an entry is sent that is refused alone and not in Loki's words, before it
// is given up. The pauses grow between them: a proxy that answers 400 to all for an hour must not
// empty the queue.
const maxTries = 5

// delivery is the work on one batch: parts still to be settled, the next one last.
type delivery struct {
	work    [][]Entry
	dropped map[string]int64
	tries   int // of the next part, alone and suspect
}

// settle does what an answer to the next part asks for. It is false where the part, or what is
// made of it, is to be sent after a pause.
func (d *delivery) settle(v verdict) bool {
	part := d.work[len(d.work)-1]
	switch v.kind {
	case accepted:
		d.replace()
	case failed:
		// A batch above what Loki takes at once, or of which it took the beginning, gets in by
		// halves only.
		if v.reason == FailRateLimit && len(part) > 1 {
			d.halve(part)
		}
		return false
	case refused, suspect:
		return d.refusal(part, v)
	}
	return true
}

// refusal finds the entries that are refused. The others of the part are in Loki already, which
// tells of some refused entries only, so what is left is sent until nothing is refused.
func (d *delivery) refusal(part []Entry, v verdict) bool {
	if len(part) == 1 {
		if v.kind == suspect {
			if d.tries++; d.tries < maxTries {
				return false
			}
		}
		d.dropped[v.reason]++
		d.replace()
		return v.kind == refused // what is suspect is suspect until something is accepted
	}
	byStream := streams(part)
	if !v.oldest.IsZero() && (v.reason == DropTooOld || len(byStream) == 1) {
		rest := slices.DeleteFunc(slices.Clone(part), func(e Entry) bool { return e.Time.Before(v.oldest) })
		if n := len(part) - len(rest); n > 0 {
			d.dropped[v.reason] += int64(n)
			d.replace(rest)
			return true
		}
	}
	if len(byStream) > 1 {
		d.replace(byStream...)
	} else {
		d.halve(part)
	}
	return true
}

func (d *delivery) halve(part []Entry) {
	half := len(part) / 2
	d.replace(part[:half], part[half:])
}

// replace puts parts in the place of the next one; the first is then the next.
func (d *delivery) replace(parts ...[]Entry) {
	d.work = d.work[:len(d.work)-1]
	d.tries = 0
	for _, part := range slices.Backward(parts) {
		if len(part) > 0 {
			d.work = append(d.work, part)
		}
	}
}

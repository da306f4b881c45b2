package files

import (
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
	"unique"

	"vulcan.lan/vulcan_exporter/collectors/certificate/bundle"
	"vulcan.lan/vulcan_exporter/collectors/certificate/chain"
)

// Fact is what is shown of one certificate.
type Fact struct {
	NotBefore, NotAfter           time.Time
	Position                      string // in its file or chain, from 0
	Subject, Issuer, Serial, SANs string
	KeyType, Role                 string // Role is leaf, intermediate or root
}

// maxText keeps free text in labels short, in bytes.
const maxText = 200

// Facts gives what is shown of certificates, in their order.
func Facts(certs []*bundle.Certificate) []Fact {
	facts := make([]Fact, len(certs))
	for i, c := range certs {
		facts[i] = Fact{
			NotBefore: c.NotBefore, NotAfter: c.NotAfter, Position: strconv.Itoa(i),
			Subject: cut(bundle.Name(c.RawSubject)), Issuer: shared(cut(bundle.Name(c.RawIssuer))),
			Serial: cut(c.Serial()), SANs: strconv.Itoa(c.SANs()),
			KeyType: shared(c.KeyType()), Role: c.Role(),
		}
	}
	return facts
}

// shared keeps one copy of a text that many certificates have.
func shared(s string) string { return unique.Make(s).Value() }

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// CRL is what is shown of a revocation list.
type CRL struct {
	Issuer, Number         string
	ThisUpdate, NextUpdate time.Time // NextUpdate may be zero: not announced
	Revoked                int
}

// Record is what one file holds. It never changes: another state of the file is another Record.
type Record struct {
	Path, Type, Name string
	Reason           Reason // "" where all of it was read
	Facts            []Fact
	CRLs             []CRL
	// Leaf is the digest of the certificate that a server would present, "" where none is.
	Leaf string
	// KeyMatches is set where a private key was found and compared. KeyReason says why a key
	// that is there, or ought to be, was not compared.
	KeyMatches *bool
	KeyReason  bundle.KeyReason
	// Judged is set where there was a chain to judge; Verdict is valid until Verdict.Until.
	Judged  bool
	Verdict chain.Verdict

	stamps     []stamped
	generation int
	readAt     time.Time
}

// stamped is a file that a record depends on.
type stamped struct {
	path   string
	stamp  stamp
	reason Reason
}

// racy is how close to the read a change may lie that the stamp may not tell from a later one:
// the clock of file systems moves in steps (4 ms on Linux, 2 s on FAT).
const racy = 3 * time.Second

// current reports whether the record still holds: no file that it depends on has changed, and
// neither trust nor the clock gives another verdict.
func (r *Record) current(generation int, now time.Time) bool {
	if r.generation != generation || r.Judged && !r.Verdict.Until.IsZero() && !now.Before(r.Verdict.Until) {
		return false
	}
	if now.Before(r.readAt) {
		return false // the clock was set back
	}
	for _, s := range r.stamps {
		at, reason := look(s.path)
		if at != s.stamp || reason != s.reason {
			return false
		}
		if at.ctime != 0 && r.readAt.UnixNano()-at.ctime < int64(racy) {
			return false
		}
	}
	// What rights and passwords allow changes without a change of the file.
	return r.Reason != Unreadable && r.Reason != Reason(bundle.Password) && r.KeyReason != bundle.KeyUnreadable
}

// equal reports whether two records show the same.
func (r *Record) equal(o *Record) bool {
	if r == nil || o == nil {
		return r == o
	}
	match := (r.KeyMatches == nil) == (o.KeyMatches == nil) && (r.KeyMatches == nil || *r.KeyMatches == *o.KeyMatches)
	return match && r.Path == o.Path && r.Type == o.Type && r.Name == o.Name && r.Reason == o.Reason &&
		r.Leaf == o.Leaf && r.KeyReason == o.KeyReason && r.Judged == o.Judged && r.Verdict.Reason == o.Verdict.Reason &&
		slices.EqualFunc(r.Facts, o.Facts, Fact.equal) && slices.EqualFunc(r.CRLs, o.CRLs, CRL.equal)
}

func (f Fact) equal(o Fact) bool {
	sameTime := f.NotBefore.Equal(o.NotBefore) && f.NotAfter.Equal(o.NotAfter)
	f.NotBefore, f.NotAfter = o.NotBefore, o.NotAfter
	return sameTime && f == o
}

func (c CRL) equal(o CRL) bool {
	sameTime := c.ThisUpdate.Equal(o.ThisUpdate) && c.NextUpdate.Equal(o.NextUpdate)
	c.ThisUpdate, c.NextUpdate = o.ThisUpdate, o.NextUpdate
	return sameTime && c == o
}

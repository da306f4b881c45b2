package chain

import (
	"bytes"
	"crypto/x509"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/certificate/bundle"
)

// Ends are the positions of the certificates that issued no other of the list. A list in which
// each issued another (two that signed each other) ends at its first.
func Ends(certs []*bundle.Certificate) []int {
	issued := make(map[string]int, len(certs)) // issuer's name -> certificates not self-issued
	for _, c := range certs {
		if !c.SelfIssued() {
			issued[string(c.RawIssuer)]++
		}
	}
	var ends []int
	for i, c := range certs {
		if issued[string(c.RawSubject)] == 0 {
			ends = append(ends, i)
		}
	}
	if len(ends) == 0 && len(certs) > 0 {
		ends = []int{0}
	}
	return ends
}

// Leaf is the position of the certificate that a server would present: the first end that is no
// CA, else the first end; -1 where there is none.
func Leaf(certs []*bundle.Certificate) int {
	ends := Ends(certs)
	for _, i := range ends {
		if certs[i].Role() == "leaf" {
			return i
		}
	}
	if len(ends) > 0 {
		return ends[0]
	}
	return -1
}

// ordered reports whether the end comes first and each issuer that is there right behind what it
// issued, as RFC 5246, 7.4.2 wants it. What is no part of the chain may follow.
func ordered(certs []*bundle.Certificate, end int) bool {
	if end != 0 {
		return false
	}
	for i := 1; i < len(certs); i++ {
		if bytes.Equal(certs[i-1].RawIssuer, certs[i].RawSubject) {
			continue
		}
		if certs[i-1].SelfIssued() {
			return true
		}
		for _, later := range certs[i:] {
			if bytes.Equal(certs[i-1].RawIssuer, later.RawSubject) {
				return false
			}
		}
		return true
	}
	return true
}

// next is when time alone changes what the certificate is: it becomes valid or ends. Zero: never.
func next(c *x509.Certificate, now time.Time) time.Time {
	switch {
	case now.Before(c.NotBefore):
		return c.NotBefore
	case !now.After(c.NotAfter):
		return c.NotAfter.Add(time.Nanosecond) // NotAfter itself is still within
	}
	return time.Time{}
}

func boundary(certs []*bundle.Certificate, now time.Time) time.Time {
	var t time.Time
	for _, c := range certs {
		t = earlier(t, next(c.Certificate, now))
	}
	return t
}

func poolBoundary(certs []*x509.Certificate, now time.Time) time.Time {
	var t time.Time
	for _, c := range certs {
		t = earlier(t, next(c, now))
	}
	return t
}

// earlier is the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

package technitium

import (
	"bytes"
	"errors"
	"strconv"
	"time"
	"unicode/utf8"
)

// object reads an object; member reads the value of the member of that name.
func (s *scanner) object(member func(name string)) {
	s.expect('{')
	for first := true; s.next('}', first); first = false {
		if name := s.key(); s.err == nil {
			member(string(name))
		}
	}
}

// array reads an array; element reads one element.
func (s *scanner) array(element func()) {
	s.expect('[')
	for first := true; s.next(']', first); first = false {
		element()
	}
}

// text reads a string, number or boolean as text, and everything else as "".
func (s *scanner) text() string {
	b, _ := s.bytes()
	return string(b)
}

// bytes is text that is valid until the next call only, nil for null. It returns false for an
// object or array.
func (s *scanner) bytes() ([]byte, bool) {
	switch s.peek() {
	case '"':
		b := s.str()
		if !utf8.Valid(b) {
			b = bytes.ToValidUTF8(b, []byte("\ufffd")) // a label that is not UTF-8 would spoil a whole answer of ours
		}
		return b, true
	case '{', '[':
		s.skip()
		return nil, false
	}
	if w := s.word(); string(w) != "null" {
		return w, true
	}
	return nil, true
}

// integer reads a number without a fraction.
func (s *scanner) integer() int64 {
	b, ok := s.bytes()
	n, err := strconv.ParseInt(string(b), 10, 64)
	if s.err == nil && (!ok || err != nil) {
		s.fail("expected a whole number")
	}
	return n
}

// boolean reads true or false; null is false.
func (s *scanner) boolean() bool {
	b, ok := s.bytes()
	if string(b) == "true" {
		return true
	}
	if s.err == nil && (!ok || b != nil && string(b) != "false") {
		s.fail("expected true or false")
	}
	return false
}

// time reads a time; null and what is before 1970, which the server gives for never, is zero.
func (s *scanner) time() time.Time {
	b, ok := s.bytes()
	if s.err != nil || ok && b == nil {
		return time.Time{}
	}
	t, err := parseTime(b)
	if !ok || err != nil {
		s.fail("expected a time")
		return time.Time{}
	}
	if t.Year() < 1970 {
		return time.Time{}
	}
	return t
}

var errTime = errors.New("not a time")

// parseTime reads "2021-09-10T12:22:52.1234567Z" with any number of decimals, and RFC 3339 in
// general. A time without a zone is in UTC, as the server means it.
func parseTime(b []byte) (time.Time, error) {
	if t, ok := parseUTC(b); ok {
		return t, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"} {
		if t, err := time.Parse(layout, string(b)); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errTime
}

// parseUTC is the common case of parseTime, which it does in a tenth of time.Parse's time.
func parseUTC(b []byte) (time.Time, bool) {
	if len(b) < len("2006-01-02T15:04:05Z") || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[len(b)-1] != 'Z' {
		return time.Time{}, false
	}
	year, month, day := digits(b[:4]), digits(b[5:7]), digits(b[8:10])
	hour, minute, second := digits(b[11:13]), digits(b[14:16]), digits(b[17:19])
	nanos := 0
	if fraction := b[19 : len(b)-1]; len(fraction) > 0 {
		if fraction[0] != '.' || len(fraction) > 10 {
			return time.Time{}, false
		}
		nanos = digits(fraction[1:])
		for range 10 - len(fraction) {
			nanos *= 10
		}
	}
	if min(year, month, day, hour, minute, second, nanos) < 0 || month < 1 || month > 12 || day < 1 || day > 28 ||
		hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false // or a day that needs the calendar: the slow way knows it
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC), true
}

// digits returns the value of up to 9 decimal digits, or less than 0.
func digits(b []byte) int {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1 << 40
		}
		n = n*10 + int(c-'0')
	}
	if len(b) == 0 {
		return -1
	}
	return n
}

package transform

import "errors"

// ErrNotJSON is returned for a body that is not one JSON value (RFC 8259).
var ErrNotJSON = errors.New("not JSON")

// maxDepth is the nesting that encoding/json reads too.
const maxDepth = 10_000

// scanner reads JSON tokens from a byte slice. It accepts exactly what
// json.Valid does.
type scanner struct {
	src []byte
	pos int
}

// plain are the bytes that stand for themselves in a string.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 256; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		if c > ' ' {
			return c
		}
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
		s.pos++
	}
	return 0
}

// text reads a string, pos at its opening quote; escaped tells whether it has
// a backslash.
func (s *scanner) text() (escaped bool, err error) {
	s.pos++
	for {
		for s.pos < len(s.src) && plain[s.src[s.pos]] {
			s.pos++
		}
		if s.pos == len(s.src) {
			return escaped, ErrNotJSON
		}
		switch s.src[s.pos] {
		case '"':
			s.pos++
			return escaped, nil
		case '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return escaped, err
			}
		default: // a control character
			return escaped, ErrNotJSON
		}
	}
}

func (s *scanner) escape() error {
	if s.pos+1 >= len(s.src) {
		return ErrNotJSON
	}
	switch s.src[s.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	case 'u':
		if s.pos+6 > len(s.src) {
			return ErrNotJSON
		}
		for _, c := range s.src[s.pos+2 : s.pos+6] {
			if !digit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return ErrNotJSON
			}
		}
		s.pos += 6
		return nil
	}
	return ErrNotJSON
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func (s *scanner) digits() error {
	from := s.pos
	for s.pos < len(s.src) && digit(s.src[s.pos]) {
		s.pos++
	}
	if s.pos == from {
		return ErrNotJSON
	}
	return nil
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.src) && s.src[s.pos] == c }

func (s *scanner) number() error {
	if s.at('-') {
		s.pos++
	}
	if s.at('0') {
		s.pos++
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.at('.') {
		s.pos++
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		return s.digits()
	}
	return nil
}

func (s *scanner) literal(word string) error {
	if len(s.src)-s.pos < len(word) || string(s.src[s.pos:s.pos+len(word)]) != word {
		return ErrNotJSON
	}
	s.pos += len(word)
	return nil
}

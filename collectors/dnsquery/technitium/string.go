package technitium

import (
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string, whose quote is next; it is valid until the next call.
func (s *scanner) str() []byte {
	start := s.pos + 1
	for i := start; ; {
		for ; i < len(s.buf); i++ {
			switch s.buf[i] {
			case '"':
				s.pos = i + 1
				return s.buf[start:i]
			case '\\':
				return s.escaped(start, i)
			}
		}
		moved, more := s.fill(start - 1)
		if !more {
			s.fail("it ends within a string")
			return nil
		}
		start, i = start-moved, i-moved
	}
}

// escaped reads a string from its first backslash, at i, on.
func (s *scanner) escaped(start, i int) []byte {
	s.scratch = append(s.scratch[:0], s.buf[start:i]...)
	for s.pos = i; ; {
		if s.pos >= len(s.buf) {
			if _, more := s.fill(s.pos); !more {
				s.fail("it ends within a string")
				return nil
			}
		}
		if len(s.scratch) > maxValue {
			s.fail("a value of more than 1 MiB")
			return nil
		}
		c := s.buf[s.pos]
		s.pos++
		switch c {
		case '"':
			return s.scratch
		case '\\':
			s.escape()
		default:
			s.scratch = append(s.scratch, c)
		}
		if s.err != nil {
			return nil
		}
	}
}

// escape appends to scratch what stands behind a backslash.
func (s *scanner) escape() {
	c := s.byte()
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		s.scratch = utf8.AppendRune(s.scratch, s.unicode())
		return
	default:
		s.fail("an unknown escape in a string")
		return
	}
	s.scratch = append(s.scratch, c)
}

// unicode reads the digits of \u, and of the second half of a pair. A half alone is U+FFFD.
func (s *scanner) unicode() rune {
	r := s.hex4()
	if !utf16.IsSurrogate(r) {
		return r
	}
	for len(s.buf)-s.pos < 6 {
		if _, more := s.fill(s.pos); !more {
			return utf8.RuneError
		}
	}
	if s.buf[s.pos] != '\\' || s.buf[s.pos+1] != 'u' {
		return utf8.RuneError
	}
	before := s.pos
	s.pos += 2
	both := utf16.DecodeRune(r, s.hex4())
	if both == utf8.RuneError && s.err == nil {
		s.pos = before // the second may be the first half of another pair
	}
	return both
}

func (s *scanner) hex4() rune {
	var r rune
	for range 4 {
		switch c := s.byte(); {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			s.fail("a wrong \\u escape in a string")
			return utf8.RuneError
		}
	}
	return r
}

// byte reads one byte, 0 at the end.
func (s *scanner) byte() byte {
	if s.pos >= len(s.buf) {
		if _, more := s.fill(s.pos); !more {
			return 0
		}
	}
	s.pos++
	return s.buf[s.pos-1]
}

package technitium

import (
	"errors"
	"io"
)

const (
	firstBuffer = 64 << 10
	maxValue    = 1 << 20 // no string or number of the API is longer
	maxDepth    = 32
)

// scanner reads JSON (RFC 8259) as a stream. It exists because encoding/json costs ten times as
// much for a row of the query log, which is most of what reading one costs. Two liberties are
// taken with what no server sends: control characters in strings and forms of numbers are not
// refused.
//
// The first error stays: all calls after it return zero values, so callers check err once.
type scanner struct {
	r       io.Reader
	buf     []byte // buf[pos:] is read and not used
	pos     int
	eof     bool
	err     error
	scratch []byte // of a string that had escapes
}

func newScanner(r io.Reader) *scanner { return &scanner{r: r, buf: make([]byte, 0, firstBuffer)} }

func (s *scanner) fail(why string) {
	if s.err == nil {
		s.err = decodeError(why)
	}
	s.pos, s.buf = 0, s.buf[:0]
}

// fill reads more, keeping buf[keep:]; it returns how far what is kept has moved, and false if
// there is no more.
func (s *scanner) fill(keep int) (int, bool) {
	if s.err != nil || s.eof {
		return 0, false
	}
	if len(s.buf)-keep > maxValue {
		s.fail("a value of more than 1 MiB")
		return 0, false
	}
	if keep > 0 {
		s.buf = s.buf[:copy(s.buf, s.buf[keep:])]
		s.pos -= keep
	}
	if len(s.buf) == cap(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)[:len(s.buf)]
	}
	for range 100 {
		n, err := s.r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if errors.Is(err, io.EOF) {
			s.eof = true
		} else if err != nil {
			s.err = err
			s.pos, s.buf = 0, s.buf[:0]
			return keep, false
		}
		if n > 0 || s.eof {
			return keep, n > 0
		}
	}
	s.err = io.ErrNoProgress
	return keep, false
}

// peek returns the next character that is not white space, 0 at the end.
func (s *scanner) peek() byte {
	for {
		for ; s.pos < len(s.buf); s.pos++ {
			switch c := s.buf[s.pos]; c {
			case ' ', '\t', '\r', '\n':
			default:
				return c
			}
		}
		if _, more := s.fill(s.pos); !more {
			return 0
		}
	}
}

// expect takes the character c.
func (s *scanner) expect(c byte) {
	if s.peek() != c {
		s.unexpected("expected " + string(rune(c)))
		return
	}
	s.pos++
}

func (s *scanner) unexpected(why string) {
	if s.pos >= len(s.buf) {
		why = "it ends too early"
	}
	s.fail(why)
}

// next moves to the next element of an array or object that ends with end; first is true before
// its first one. It returns false at the end.
func (s *scanner) next(end byte, first bool) bool {
	switch c := s.peek(); {
	case s.err != nil:
		return false
	case c == end:
		s.pos++
		return false
	case first:
		return true
	case c == ',':
		s.pos++
		if s.peek() == end {
			s.fail("a comma before " + string(rune(end)))
			return false
		}
		return true
	}
	s.unexpected("expected , or " + string(rune(end)))
	return false
}

// key reads the name of an object's member and the colon; it is valid until the next call.
func (s *scanner) key() []byte {
	if s.peek() != '"' {
		s.unexpected("expected a name")
		return nil
	}
	name := s.str()
	// What follows may have to be read, which moves the buffer; nearly always it is there.
	if s.pos < len(s.buf) && s.buf[s.pos] == ':' {
		s.pos++
		return name
	}
	name = append([]byte(nil), name...)
	s.expect(':')
	return name
}

// word reads a number, true, false or null; it is valid until the next call.
func (s *scanner) word() []byte {
	start := s.pos
	for i := start; ; {
		for ; i < len(s.buf); i++ {
			if !wordCharacter(s.buf[i]) {
				break
			}
		}
		if i < len(s.buf) || s.eof {
			s.pos = i
			return s.checkWord(s.buf[start:i])
		}
		moved, more := s.fill(start)
		if !more && s.err != nil {
			return nil
		}
		start, i = start-moved, i-moved
	}
}

func wordCharacter(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

func (s *scanner) checkWord(w []byte) []byte {
	switch string(w) {
	case "true", "false", "null":
		return w
	case "":
		s.unexpected("expected a value")
		return nil
	}
	if c := w[0]; c != '-' && (c < '0' || c > '9') {
		s.fail("expected a value")
		return nil
	}
	return w
}

// skip passes over a value of any kind.
func (s *scanner) skip() { s.skipBelow(maxDepth) }

func (s *scanner) skipBelow(depth int) {
	if depth == 0 {
		s.fail("values nested too deeply")
		return
	}
	switch s.peek() {
	case '"':
		s.str()
	case '{':
		s.pos++
		for first := true; s.next('}', first); first = false {
			s.key()
			s.skipBelow(depth - 1)
		}
	case '[':
		s.pos++
		for first := true; s.next(']', first); first = false {
			s.skipBelow(depth - 1)
		}
	default:
		s.word()
	}
}

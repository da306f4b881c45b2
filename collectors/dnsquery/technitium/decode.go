package technitium

import (
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// Any answer, of HTTP status 200 whatever happened:
//
//	{"response": {...}, "server": "dns1", "status": "ok"}
//	{"status": "error", "errorMessage": "Access was denied.", "stackTrace": "..."}
//	{"status": "invalid-token", "errorMessage": "Invalid token or session expired."}
type envelope struct{ status, message string }

// decodeEnvelope reads an answer to its end; response reads the value of that name. An answer
// whose status is not ok is an *Error.
func decodeEnvelope(r io.Reader, response func(*scanner)) error {
	s := newScanner(r)
	var env envelope
	seen := false
	if s.peek() != '{' {
		s.unexpected("not a JSON object")
	} else {
		s.pos++
	}
	for first := true; s.next('}', first); first = false {
		switch string(s.key()) {
		case "response":
			if seen {
				s.fail("two responses")
				break
			}
			seen = true
			response(s)
		case "status":
			env.status, _ = s.text()
		case "errorMessage":
			env.message, _ = s.text()
		default:
			s.skip()
		}
	}
	if s.err == nil && s.peek() != 0 {
		s.fail("more follows the JSON value")
	}
	switch {
	case s.err != nil:
		return s.err
	case env.status == "":
		return decodeError("no status: this is not the API of a Technitium DNS Server")
	case env.status != "ok":
		return env.error()
	case !seen:
		return decodeError("no response")
	}
	return nil
}

func (e envelope) error() *Error {
	message := cut(e.message)
	switch {
	case e.status == "invalid-token":
		return &Error{Reason: ReasonToken, Message: "the server does not accept the token: " + message}
	case e.status == "2fa-required":
		return &Error{Reason: ReasonToken, Message: "the server wants a second factor: use an API token, not a session's"}
	case e.status != "error":
		return &Error{Reason: ReasonAPI, Message: "status " + cut(e.status) + ": " + message}
	case strings.HasPrefix(message, "Access was denied"):
		return &Error{Reason: ReasonPermission, Message: message}
	case strings.HasPrefix(message, "DNS application ") && strings.Contains(message, "was not found"):
		return &Error{Reason: ReasonApp, Message: message}
	case message == "":
		message = "the server reports an error without a message"
	}
	return &Error{Reason: ReasonAPI, Message: message}
}

// text reads a string, number or boolean as text, and null as "". It returns false for what is
// none of them.
func (s *scanner) text() (string, bool) {
	b, ok := s.bytes()
	return string(b), ok
}

// bytes is text that is valid until the next call only.
func (s *scanner) bytes() ([]byte, bool) {
	switch s.peek() {
	case '"':
		return s.str(), true
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

// decodePage reads an answer such as
//
//	{"response":{"pageNumber":1,"totalPages":2,"totalEntries":13,"entries":[
//	{"rowNumber":1,"timestamp":"2021-09-10T12:22:52.1234567Z","clientIpAddress":"127.0.0.1",
//	"protocol":"Udp","responseType":"Recursive","responseRtt":33.45,"rcode":"NoError",
//	"qname":"google.com","qtype":"A","qclass":"IN","answer":"172.217.166.46"}]},"status":"ok"}
//
// of at most perPage rows, one row at a time.
func decodePage(r io.Reader, perPage int) (Page, error) {
	page := Page{Number: -1, TotalPages: -1, TotalEntries: -1}
	rows := rowDecoder{clients: map[string]string{}}
	entries := false
	err := decodeEnvelope(r, func(s *scanner) {
		s.object(func(name string) {
			switch name {
			case "pageNumber":
				page.Number = s.integer()
			case "totalPages":
				page.TotalPages = s.integer()
			case "totalEntries":
				page.TotalEntries = s.integer()
			case "entries":
				entries = true
				rows.decode(s, &page, perPage)
			default:
				s.skip()
			}
		})
	})
	switch {
	case err != nil:
		return Page{}, err
	case !entries || min(page.Number, page.TotalPages, page.TotalEntries) < 0:
		return Page{}, decodeError("not a page of the query log")
	}
	return page, nil
}

// object reads an object; member reads the value of the member of that name.
func (s *scanner) object(member func(name string)) {
	s.expect('{')
	for first := true; s.next('}', first); first = false {
		if name := s.key(); s.err == nil {
			member(string(name))
		}
	}
}

type rowDecoder struct {
	// clients keeps one string for each address of the page: most rows repeat one.
	clients map[string]string
}

func (d *rowDecoder) decode(s *scanner, page *Page, perPage int) {
	s.expect('[')
	for first := true; s.next(']', first); first = false {
		if len(page.Rows)+page.Malformed >= perPage {
			s.fail("more rows than were asked for")
			return
		}
		if page.Rows == nil {
			// As many as the head of the answer promises, if it stands before the rows.
			page.Rows = make([]Row, 0, min(int64(perPage), max(page.TotalEntries, 16)))
		}
		page.Rows = append(page.Rows, Row{})
		if !d.row(s, &page.Rows[len(page.Rows)-1]) {
			page.Rows = page.Rows[:len(page.Rows)-1]
			page.Malformed++
		}
	}
}

// row reads one row; false if it cannot be used, which costs that row alone.
func (d *rowDecoder) row(s *scanner, row *Row) bool {
	if s.peek() != '{' {
		s.skip()
		return false
	}
	s.pos++
	good := true
	for first := true; s.next('}', first); first = false {
		field := fieldOf(s.key())
		if field == nil {
			s.skip()
			continue
		}
		value, ok := s.bytes()
		if s.err != nil {
			return false
		}
		if !ok || !field(d, row, value) {
			good = false
		}
	}
	return good && s.err == nil && !row.Time.IsZero()
}

// fieldOf returns what takes the value of a member, nil for a member that is not known.
func fieldOf(name []byte) func(d *rowDecoder, row *Row, value []byte) bool {
	switch string(name) {
	case "rowNumber":
		return setNumber
	case "timestamp":
		return setTime
	case "clientIpAddress":
		return setClient
	case "protocol":
		return setProtocol
	case "responseType":
		return setResponseType
	case "responseRtt":
		return setRTT
	case "rcode":
		return setRCode
	case "qname":
		return setQName
	case "qtype":
		return setQType
	case "qclass":
		return setQClass
	case "answer":
		return setAnswer
	}
	return nil
}

func setNumber(_ *rowDecoder, row *Row, v []byte) bool {
	n, err := strconv.ParseInt(string(v), 10, 64)
	row.Number = n
	return err == nil
}

func setTime(_ *rowDecoder, row *Row, v []byte) bool {
	t, err := parseTime(v)
	row.Time = t
	return err == nil
}

func setRTT(_ *rowDecoder, row *Row, v []byte) bool {
	if v == nil {
		return true // null
	}
	f, err := strconv.ParseFloat(string(v), 64)
	row.RTT, row.HasRTT = f, true
	return err == nil && f >= 0 && !math.IsInf(f, 0)
}

func setClient(d *rowDecoder, row *Row, v []byte) bool {
	client, known := d.clients[string(v)]
	if !known {
		client = string(v)
		d.clients[client] = client
	}
	row.Client = client
	return client != ""
}

func setQName(_ *rowDecoder, row *Row, v []byte) bool  { row.QName = string(v); return true }
func setAnswer(_ *rowDecoder, row *Row, v []byte) bool { row.Answer = string(v); return true }
func setProtocol(_ *rowDecoder, row *Row, v []byte) bool {
	row.Protocol = common(v)
	return true
}
func setResponseType(_ *rowDecoder, row *Row, v []byte) bool {
	row.ResponseType = common(v)
	return true
}
func setRCode(_ *rowDecoder, row *Row, v []byte) bool  { row.RCode = common(v); return true }
func setQType(_ *rowDecoder, row *Row, v []byte) bool  { row.QType = common(v); return true }
func setQClass(_ *rowDecoder, row *Row, v []byte) bool { row.QClass = common(v); return true }

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

// common returns v as a string, without a copy for what most rows have.
func common(v []byte) string {
	switch string(v) {
	case "Udp":
		return "Udp"
	case "Tcp":
		return "Tcp"
	case "Tls":
		return "Tls"
	case "Https":
		return "Https"
	case "HttpsJson":
		return "HttpsJson"
	case "Quic":
		return "Quic"
	case "Authoritative":
		return "Authoritative"
	case "Recursive":
		return "Recursive"
	case "Cached":
		return "Cached"
	case "Blocked":
		return "Blocked"
	case "UpstreamBlocked":
		return "UpstreamBlocked"
	case "UpstreamBlockedCached":
		return "UpstreamBlockedCached"
	case "Dropped":
		return "Dropped"
	case "NoError":
		return "NoError"
	case "ServerFailure":
		return "ServerFailure"
	case "NxDomain":
		return "NxDomain"
	case "Refused":
		return "Refused"
	case "IN":
		return "IN"
	case "A":
		return "A"
	case "AAAA":
		return "AAAA"
	case "HTTPS":
		return "HTTPS"
	case "PTR":
		return "PTR"
	case "SRV":
		return "SRV"
	case "TXT":
		return "TXT"
	case "MX":
		return "MX"
	case "NS":
		return "NS"
	case "SOA":
		return "SOA"
	case "CNAME":
		return "CNAME"
	case "":
		return ""
	}
	return string(v)
}

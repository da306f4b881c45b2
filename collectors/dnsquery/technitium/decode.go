package technitium

import (
	"io"
	"strings"
)

// Any answer, of HTTP status 200 whatever happened:
//
//	{"response": {...}, "server": "dns1", "status": "ok"}
//	{"status": "error", "errorMessage": "Access was denied.", "stackTrace": "..."}
//	{"status": "invalid-token", "errorMessage": "Invalid token or session expired."}
type envelope struct{ status, message string }

// members are what reads the values of an object's members, by their names.
type members map[string]func(*scanner)

func (m members) read(s *scanner, name string) {
	if read, ok := m[name]; ok {
		read(s)
	} else {
		s.skip()
	}
}

// decodeEnvelope reads an answer to its end, and the members that it is given: of the response,
// or of the answer itself if flat. An answer whose status is not ok is an *Error.
func decodeEnvelope(r io.Reader, m members, flat bool) error {
	s := newScanner(r)
	var env envelope
	seen := flat
	s.object(func(name string) {
		switch {
		case name == "status":
			env.status = s.text()
		case name == "errorMessage":
			env.message = s.text()
		case flat:
			m.read(s, name)
		case name != "response":
			s.skip()
		case seen:
			s.fail("two responses")
		default:
			seen = true
			s.object(func(name string) { m.read(s, name) })
		}
	})
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
	message := strings.TrimSpace(e.message)
	switch {
	case e.status == "invalid-token":
		return &Error{Reason: ReasonToken, Message: "the server does not accept the token: " + message}
	case e.status == "2fa-required":
		return &Error{Reason: ReasonToken, Message: "the server wants a second factor: use an API token, not a session's"}
	case e.status != "error":
		return &Error{Reason: ReasonAPI, Message: "status " + e.status + ": " + message}
	case strings.HasPrefix(message, "Access was denied"):
		return &Error{Reason: ReasonPermission, Message: message}
	case strings.HasPrefix(message, "DNS application ") && strings.Contains(message, "was not found"):
		return &Error{Reason: ReasonApp, Message: message}
	case message == "":
		message = "the server reports an error without a message"
	}
	return &Error{Reason: ReasonAPI, Message: message}
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
	err := decodeEnvelope(r, members{
		"pageNumber":   func(s *scanner) { page.Number = s.integer() },
		"totalPages":   func(s *scanner) { page.TotalPages = s.integer() },
		"totalEntries": func(s *scanner) { page.TotalEntries = s.integer() },
		"entries": func(s *scanner) {
			entries = true
			rows.decode(s, &page, perPage)
		},
	}, false)
	switch {
	case err != nil:
		return Page{}, err
	case !entries || min(page.Number, page.TotalPages, page.TotalEntries) < 0:
		return Page{}, decodeError("not a page of the query log")
	}
	return page, nil
}

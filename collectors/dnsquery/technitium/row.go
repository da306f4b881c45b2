package technitium

import (
	"math"
	"strconv"
)

// maxAhead bounds what is allocated on the word of an answer.
const maxAhead = 10000

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
			page.Rows = make([]Row, 0, min(int64(perPage), max(page.TotalEntries, 16), maxAhead))
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
	return good && s.err == nil && !row.Time.IsZero() && row.Client != ""
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

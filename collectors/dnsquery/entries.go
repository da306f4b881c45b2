package dnsquery

import (
	"slices"
	"strconv"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/loki"
	"vulcan.lan/vulcan_exporter/collectors/dnsquery/tail"
	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
)

// entries makes Loki's entries of rows.
type entries struct {
	job, source string
	extra       []string
	nameOf      func(client string) string // "" where none is known
}

// of gives the entries of a step. Rows that look alike get different times.
func (e *entries) of(s *tail.Step, r *ranks) []loki.Entry {
	const usual = 160 // bytes of a line
	out := make([]loki.Entry, len(s.Rows))
	streams, clients := map[outcome][]loki.Label{}, map[string]client{}
	lines, ends := make([]byte, 0, usual*len(s.Rows)), make([]int, len(s.Rows))
	for i := range s.Rows {
		row := &s.Rows[i]
		from, ok := clients[row.Client]
		if !ok {
			from = e.client(row.Client)
			clients[row.Client] = from
		}
		o := outcome{row.RCode, row.ResponseType}
		labels, ok := streams[o]
		if !ok {
			labels = e.stream(o)
			streams[o] = labels
		}
		lines = appendLine(lines, row)
		ends[i] = len(lines)
		out[i] = loki.Entry{
			Time:   row.Time.Add(time.Duration(r.next(s.Hashes[i]))),
			Labels: e.more(labels, row, from.name), Metadata: from.metadata,
		}
	}
	text, begin := string(lines), 0 // the lines are parts of one text
	for i, end := range ends {
		out[i].Line, begin = text[begin:end], end
	}
	return out
}

func (e *entries) stream(o outcome) []loki.Label {
	return []loki.Label{
		{Name: "job", Value: e.job}, {Name: "rcode", Value: folded(rcodes, o.rcode)},
		{Name: "response_type", Value: folded(responseTypes, o.from)}, {Name: "source", Value: e.source},
	}
}

// more adds the labels that the operator asked for.
func (e *entries) more(labels []loki.Label, row *technitium.Row, name string) []loki.Label {
	if len(e.extra) == 0 {
		return labels
	}
	labels = slices.Clone(labels)
	for _, label := range e.extra {
		value := ""
		switch label {
		case "client_ip":
			value = row.Client
		case "client_hostname":
			if value = name; value == "" {
				value = row.Client // what the dashboards that select it show
			}
		case "protocol":
			value = folded(protocols, row.Protocol)
		case "qtype":
			value = qtype(row.QType)
		}
		labels = append(labels, loki.Label{Name: label, Value: value})
	}
	return labels
}

// client is what is the same for all rows of a client. The metadata are facts to select by that
// make no streams.
type client struct {
	name     string
	metadata []loki.Label
}

func (e *entries) client(address string) client {
	c := client{name: e.nameOf(address)}
	if !slices.Contains(e.extra, "client_ip") {
		c.metadata = append(c.metadata, loki.Label{Name: "client_ip", Value: address})
	}
	if c.name != "" && !slices.Contains(e.extra, "client_hostname") {
		c.metadata = append(c.metadata, loki.Label{Name: "client_hostname", Value: c.name})
	}
	return c
}

// appendLine gives a row in logfmt:
//
//	client=192.0.2.7 qname=example.com qtype=A rcode=NoError response_type=Recursive protocol=Udp rtt_ms=33.45 answer="A 192.0.2.80, A 192.0.2.81"
func appendLine(b []byte, row *technitium.Row) []byte {
	b = append(append(b, "client="...), row.Client...)
	if row.QType != "" {
		b = appendField(b, " qname=", question(row))
		b = appendField(b, " qtype=", row.QType)
		if row.QClass != "IN" {
			b = appendField(b, " qclass=", row.QClass)
		}
	}
	b = appendField(b, " rcode=", row.RCode)
	b = appendField(b, " response_type=", row.ResponseType)
	b = appendField(b, " protocol=", row.Protocol)
	if row.HasRTT {
		b = strconv.AppendFloat(append(b, " rtt_ms="...), row.RTT, 'f', -1, 64)
	}
	if row.Answer != "" {
		b = appendField(b, " answer=", row.Answer)
	}
	return b
}

func appendField(b []byte, key, value string) []byte {
	b = append(b, key...)
	bare, safe := value != "", true // needs no quotes; needs no escapes in them
	for i := range len(value) {
		switch c := value[i]; {
		case c < ' ' || c == '"' || c == '\\' || c >= 0x7f:
			bare, safe = false, false
		case c == ' ' || c == '=':
			bare = false
		}
	}
	switch {
	case bare:
		return append(b, value...)
	case safe:
		return append(append(append(b, '"'), value...), '"')
	}
	return strconv.AppendQuote(b, value)
}

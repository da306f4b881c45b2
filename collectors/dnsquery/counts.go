package dnsquery

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/tail"
	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// counts is what the rows that were read add up to.
type counts struct {
	Queries   metric.Tally     `json:"queries"`
	QTypes    metric.Tally     `json:"qtypes"`
	Protocols metric.Tally     `json:"protocols"`
	Clients   metric.Tally     `json:"clients"`
	Admitted  *metric.Bounded  `json:"admitted"`
	Responses *metric.Bucketer `json:"responses"`
	Rows      float64          `json:"rows"`
	Malformed float64          `json:"malformed"`
	Late      float64          `json:"late"`
	Gaps      float64          `json:"gaps"`
	GapRows   float64          `json:"gap_rows"`
	Resets    float64          `json:"resets"`
	Distinct  *distinct        `json:"distinct"`
	Top       *top             `json:"top"`
}

func newCounts(cfg *Config) *counts {
	c := &counts{
		Admitted:  metric.NewBounded(cfg.MaxClients, cfg.Clients...),
		Responses: metric.NewBucketer(responses), Distinct: newDistinct(), Top: newTop(cfg.TopDomains),
	}
	c.complete()
	return c
}

// complete makes all series of closed sets appear.
func (c *counts) complete() {
	for _, rcode := range rcodes {
		for _, from := range responseTypes {
			c.Queries.Add(0, rcode, from)
		}
	}
	for _, t := range qtypes {
		c.QTypes.Add(0, t)
	}
	for _, p := range protocols {
		c.Protocols.Add(0, p)
	}
	c.Clients.Add(0, metric.Other)
}

// folded is a value of a closed set.
func folded(set []string, value string) string {
	if slices.Contains(set, value) {
		return value
	}
	return metric.Other
}

// outcome is what dns_query_total tells apart.
type outcome struct{ rcode, from string }

// add counts the rows of a step. A page has few different values, so these are counted first.
func (c *counts) add(s *tail.Step, now time.Time) {
	queries, types, protos, clients := map[outcome]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for i := range s.Rows {
		row := &s.Rows[i]
		queries[outcome{row.RCode, row.ResponseType}]++
		types[row.QType]++
		protos[row.Protocol]++
		if clients[row.Client]++; clients[row.Client] == 1 {
			c.Admitted.Admit(strings.Clone(row.Client)) // in the order in which they came
		}
		if row.HasRTT && row.ResponseType == "Recursive" {
			c.Responses.Observe(row.RTT / 1e3)
		}
		c.Distinct.add(row, now)
		c.Top.add(row)
	}
	for o, n := range queries {
		c.Queries.Add(float64(n), folded(rcodes, o.rcode), folded(responseTypes, o.from))
	}
	for t, n := range types {
		c.QTypes.Add(float64(n), qtype(t))
	}
	for p, n := range protos {
		c.Protocols.Add(float64(n), folded(protocols, p))
	}
	for client, n := range clients {
		c.Clients.Add(float64(n), c.Admitted.Admit(client))
	}
	c.Rows += float64(len(s.Rows))
	c.Malformed += float64(s.Malformed)
	c.Late += float64(s.Late)
	if s.Gap {
		c.Gaps++
	}
}

func qtype(t string) string {
	if t == "" {
		return none
	}
	return folded(qtypes, t)
}

// question is the name that was asked for, "" for a message without a question.
func question(row *technitium.Row) string {
	if row.QType == "" {
		return ""
	}
	if row.QName == "" {
		return "."
	}
	return row.QName
}

// admitted are the clients that may have a counter of their own.
func (c *counts) admitted() []string {
	var list []string
	content, err := c.Admitted.MarshalJSON()
	if err != nil || json.Unmarshal(content, &list) != nil {
		return nil
	}
	return list
}

// clone is for others to read while this one counts on. The sketches are left out.
func (c *counts) clone() *counts {
	d := *c
	d.Queries, d.QTypes, d.Protocols, d.Clients = c.Queries.Clone(), c.QTypes.Clone(), c.Protocols.Clone(), c.Clients.Clone()
	d.Responses = c.Responses.Clone()
	d.Admitted, d.Distinct, d.Top = nil, nil, nil
	return &d
}

func (c *counts) emit(out *metric.Batch) {
	c.Queries.Emit(out, queries)
	c.QTypes.Emit(out, byQType)
	c.Protocols.Emit(out, byProtocol)
	c.Clients.Emit(out, byClient)
	c.Responses.Emit(out, responses)
	out.Counter(rowsRead, c.Rows)
	out.Counter(rowsDropped, c.Malformed, dropMalformed)
	out.Counter(lateRows, c.Late)
	out.Counter(gaps, c.Gaps)
	out.Counter(gapRows, c.GapRows)
	out.Counter(stateResets, c.Resets)
}

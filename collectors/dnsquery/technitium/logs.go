package technitium

import (
	"context"
	"io"
	"net/url"
	"strconv"
	"time"
)

// Row is one query and its answer, as a query log app kept it.
type Row struct {
	// Number is the position, from 1, among the rows that the query selects at that moment. It is
	// not an id: it differs by filter and shrinks as the server deletes old rows.
	Number int64
	// Time is when the server saw the query, in UTC, as exact as the app keeps it: 100 ns in
	// SQLite, 1 µs in PostgreSQL, 1/300 s in SQL Server, whole seconds in MySQL.
	Time time.Time
	// Client is the address of the client.
	Client string
	// Protocol is Udp, Tcp, Tls, Https, HttpsJson, Quic, UdpProxy or TcpProxy.
	Protocol string
	// ResponseType is Authoritative, Recursive, Cached, Blocked, UpstreamBlocked,
	// UpstreamBlockedCached or Dropped.
	ResponseType string
	// RCode is NoError, ServerFailure, NxDomain and so on, or a number that has no name.
	RCode string
	// QName, QType and QClass are the question, "" if the message had none.
	QName, QType, QClass string
	// Answer is the answer in short, "" if there was none.
	Answer string
	// RTT is how long the servers that were asked for the answer took, in milliseconds; HasRTT is
	// false if none was asked, and before version 13.3.
	RTT    float64
	HasRTT bool
}

// Page is one page of the rows that a query selects.
type Page struct {
	// Number is the page that the server gave: not the one that was asked for if that is past
	// the end, when it is the last. Of no rows at all it is 0 or 1.
	Number int64
	// TotalPages and TotalEntries are of the moment before the rows were read.
	TotalPages, TotalEntries int64
	// Rows are in the order in which the server inserted them, which is not strictly that of Time.
	Rows []Row
	// Malformed counts rows of the answer that are not in Rows because they could not be read.
	Malformed int
}

// Query selects rows.
type Query struct {
	// Start and End are both inclusive; a zero one is open.
	Start, End time.Time
	// Page is counted from 1; -1 is the last.
	Page int64
	// PerPage is how many rows a page has.
	PerPage int
	// Descending gives the newest first.
	Descending bool
}

// Logs returns one page of the query log. Permission: Logs: View.
func (c *Client) Logs(ctx context.Context, q Query) (Page, error) {
	form := url.Values{
		"name": {c.opts.App}, "classPath": {c.opts.ClassPath},
		"pageNumber": {strconv.FormatInt(q.Page, 10)}, "entriesPerPage": {strconv.Itoa(q.PerPage)},
		"descendingOrder": {strconv.FormatBool(q.Descending)},
	}
	// 7 decimals: more are an error to the server's parser of times.
	const layout = "2006-01-02T15:04:05.0000000Z"
	if !q.Start.IsZero() {
		form.Set("start", q.Start.UTC().Format(layout))
	}
	if !q.End.IsZero() {
		form.Set("end", q.End.UTC().Format(layout))
	}
	var page Page
	err := c.do(ctx, call{path: "/api/logs/query", permission: "Logs: View", form: form}, func(r io.Reader) error {
		var err error
		page, err = decodePage(r, q.PerPage)
		return err
	})
	return page, err
}

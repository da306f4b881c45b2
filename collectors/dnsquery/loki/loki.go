// Package loki delivers log entries to a Loki server, each exactly once in Loki's eyes, through a
// bounded queue on disk.
//
// System: the push API of Loki 2.9 and later, https://grafana.com/docs/loki/latest/reference/loki-http-api/
// (POST /loki/api/v1/push, JSON, gzip, structured metadata), also spoken by what stands before it.
// Privileges: to push; nothing is read back. Cost: some 200 bytes of disk for a queued entry and
// one request for a batch of them.
//
// The way of an entry: Append makes it durable, Commit shows it to the Pusher, the Pusher sends it
// until Loki has it or refuses it for good, and acknowledges, which frees its place. A crash
// between the answer of Loki and the acknowledgement sends the batch again. Loki keeps one of two
// entries with the same stream, time, line and structured metadata, so an entry must have the same
// time whenever it is made, and entries that differ in nothing else must differ in their time.
package loki

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"
)

// Label is a name with a value.
type Label struct{ Name, Value string }

// Entry is one line of a log.
type Entry struct {
	// Time has nanoseconds. No two entries of a stream agree in it, Line and Metadata.
	Time time.Time
	// Labels make the stream: few, of few values, at least one. Names are [a-zA-Z_][a-zA-Z0-9_]*.
	Labels []Label
	Line   string
	// Metadata is Loki's structured metadata; names as of Labels.
	Metadata []Label
}

// Offset is a position in the queue, counted since the queue was made; it never starts anew. The
// zero Offset is the beginning. It may be kept as JSON.
type Offset struct {
	Bytes int64 `json:"bytes"`
	Rows  int64 `json:"rows"`
}

// Before tells whether o is nearer to the beginning than p.
func (o Offset) Before(p Offset) bool { return o.Bytes < p.Bytes }

// ErrFull is what Append returns where the entries do not fit. None was taken. Append them again
// later: there is room when Loki has taken some.
var ErrFull = errors.New("the queue for Loki is full")

// ErrLost is what Truncate returns where the queue ends before the place that it was told: files
// of the queue are gone. The queue is usable and goes on at that place; the entries that are
// missing are counted in Totals.Lost.
var ErrLost = errors.New("the queue for Loki has lost entries")

// Why an entry was given up: the closed set of the label reason.
const (
	DropTooOld       = "too_old"        // older than Loki's reject_old_samples_max_age
	DropTooFarBehind = "too_far_behind" // too old beside what its stream holds already
	DropOutOfOrder   = "out_of_order"   // the same, where Loki has unordered_writes off
	DropTooNew       = "too_new"        // further in the future than Loki's creation_grace_period
	DropOversized    = "oversized"      // line, metadata or request longer than Loki takes
	DropInvalid      = "invalid"        // labels or metadata that Loki does not take
	DropRejected     = "rejected"       // refused again and again with a status 4xx of other meaning
)

// DropReasons lists them all.
func DropReasons() []string {
	return []string{DropTooOld, DropTooFarBehind, DropOutOfOrder, DropTooNew, DropOversized, DropInvalid, DropRejected}
}

// Why a push failed and is tried again: the closed set of the label reason.
const (
	FailTimeout     = "timeout"      // no answer in time
	FailConnection  = "connection"   // nothing listens there, or it hung up
	FailTLS         = "tls"          // the certificate is not trusted, or no TLS is spoken
	FailCredentials = "credentials"  // our own password, token, CA or key file cannot be read
	FailAuth        = "auth"         // 401, 403, 407
	FailNotFound    = "not_found"    // 404, 405 or a redirect: no push API at that URL
	FailRateLimit   = "rate_limit"   // 429
	FailStreamLimit = "stream_limit" // 429 since the tenant has too many streams
	FailBlocked     = "blocked"      // the tenant may not push for now (block_ingestion_until)
	FailConfig      = "config"       // Loki is set up so that it can take none of our entries
	FailServer      = "server"       // 5xx
	FailRefused     = "refused"      // a status 4xx that does not say what is wrong with which entry
)

// FailReasons lists them all.
func FailReasons() []string {
	return []string{
		FailTimeout, FailConnection, FailTLS, FailCredentials, FailAuth, FailNotFound, FailRateLimit,
		FailStreamLimit, FailBlocked, FailConfig, FailServer, FailRefused,
	}
}

// Totals is what became of all entries since the queue was made. It is kept with the
// acknowledgement, so that Pushed + Lost + all of Dropped are the entries that left the queue,
// whatever crashed in between.
type Totals struct {
	Pushed  int64            // accepted by Loki
	Dropped map[string]int64 // given up, by reason; all reasons are present
	Lost    int64            // entries whose files were damaged or gone
}

// sorted gives the labels in order of their names.
func sorted(labels []Label) []Label {
	byName := func(a, b Label) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
	}
	if slices.IsSortedFunc(labels, byName) {
		return labels
	}
	labels = slices.Clone(labels)
	slices.SortFunc(labels, byName)
	return labels
}

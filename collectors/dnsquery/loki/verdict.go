package loki

import (
	"net/http"
	"regexp"
	"strings"
	"time"
)

// verdict is what an answer means for the entries of the push.
type verdict struct {
	kind kind
	// reason is one of the drop reasons for refused and one of the fail reasons for failed.
	reason string
	// oldest is the time before which the stream's entries are refused; zero: not told.
	oldest time.Time
	// all entries of the stream are refused for its labels.
	all bool
	// message is the start of what Loki said.
	message string
	wait    time.Duration // what the answer asks to wait, 0: nothing
}

// partial tells whether Loki may have taken some entries of a push that failed.
func (v verdict) partial() bool {
	switch v.reason {
	case FailTimeout, FailConnection, FailServer, FailStreamLimit:
		return true
	case FailRateLimit: // the tenant's limit is for a push as a whole, a stream's is not
		return !strings.Contains(v.message, "ingestion rate limit exceeded")
	}
	return false
}

type kind int

const (
	accepted kind = iota
	failed        // try again, all of it
	refused       // some entries are refused for what they are; the others were taken
	suspect       // refused, not in Loki's words
)

// phrases are Loki's words for what is wrong with an entry or a stream, as in
// pkg/validation/validate.go and pkg/chunkenc of Loki 2.9 to 3.7.
var phrases = []struct {
	text, reason string
	all          bool
}{
	{"timestamp too old", DropTooOld, false},
	{"entry too far behind", DropTooFarBehind, false},
	{"entry out of order", DropOutOfOrder, false},
	{"timestamp too new", DropTooNew, false},
	{"max entry size", DropOversized, false},
	{"structured metadata too large", DropOversized, false},
	{"has too many structured metadata labels", DropInvalid, false},
	{"error parsing labels", DropInvalid, true},
	{"at least one label pair is required", DropInvalid, true},
	{"label names; limit", DropInvalid, true},
	{"label name too long", DropInvalid, true},
	{"label value too long", DropInvalid, true},
	{"duplicate label name", DropInvalid, true},
}

// broken are Loki's words for a setup that refuses every entry there is.
var broken = []string{"this feature is disallowed", "missing required labels"}

var oldestPattern = regexp.MustCompile(`oldest acceptable timestamp is: ([0-9T:.Z+-]+)`)

// judge reads an answer. Loki answers 204, a proxy may make 200 of it.
func judge(status int, header http.Header, message string) verdict {
	v := verdict{message: message, kind: failed, wait: retryAfter(header)}
	switch {
	case status == http.StatusOK, status == http.StatusNoContent:
		v.kind = accepted
	case strings.Contains(message, "ingestion blocked"), status == 260:
		v.reason = FailBlocked // 260 is the default of block_ingestion_status_code
	case status == http.StatusTooManyRequests && strings.Contains(message, "stream limit exceeded"):
		v.reason = FailStreamLimit
	case status == http.StatusTooManyRequests:
		v.reason = FailRateLimit
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		v.reason = FailAuth
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status < 400:
		v.reason = FailNotFound
	case status == http.StatusRequestTimeout:
		v.reason = FailTimeout
	case status >= 500:
		v.reason = FailServer
	case status == http.StatusRequestEntityTooLarge:
		v.kind, v.reason = refused, DropOversized
	default:
		v.judgeRefusal()
	}
	return v
}

// judgeRefusal looks into what Loki says about the entries.
func (v *verdict) judgeRefusal() {
	for _, text := range broken {
		if strings.Contains(v.message, text) {
			v.reason = FailConfig
			return
		}
	}
	v.kind, v.reason = suspect, DropRejected
	for _, p := range phrases {
		if strings.Contains(v.message, p.text) {
			v.kind, v.reason, v.all = refused, p.reason, p.all
			break
		}
	}
	if v.reason != DropTooOld && v.reason != DropTooFarBehind {
		return
	}
	for _, match := range oldestPattern.FindAllStringSubmatch(v.message, -1) {
		oldest, err := time.Parse(time.RFC3339, match[1])
		if err == nil && (v.oldest.IsZero() || oldest.Before(v.oldest)) {
			v.oldest = oldest
		}
	}
}

func retryAfter(header http.Header) time.Duration {
	seconds, err := time.ParseDuration(header.Get("Retry-After") + "s")
	if err != nil || seconds < 0 {
		return 0
	}
	return seconds
}

package mbsync

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strconv"
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

// summary is the line that isync 1.5 prints at the end of a run that got as
// far as a mailbox; what happened on each side is new messages (+), changed
// flags (*), messages moved to trash (#) and expunged (-):
//
//	Channels: 1    Boxes: 1    Far: +0 *2 #0 -1    Near: +1 *0 #0 -1
type summary struct {
	at        time.Time
	far, near changes
}

type changes struct{ added, flagged, trashed, expunged int }

// tailSize is more than the longest line.
const tailSize = 4 << 10

var summaryLine = regexp.MustCompile(`^Channels: \d+ +Boxes: \d+ +` +
	`Far: \+(\d{1,15}) \*(\d{1,15}) #(\d{1,15}) -(\d{1,15}) +` +
	`Near: \+(\d{1,15}) \*(\d{1,15}) #(\d{1,15}) -(\d{1,15})$`)

// readSummary reads the end of a log; ok is false where it does not end in a
// summary.
func readSummary(path string) (s summary, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return s, false
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return s, false
	}
	tail := make([]byte, min(tailSize, info.Size()))
	if _, err := f.ReadAt(tail, info.Size()-int64(len(tail))); err != nil && err != io.EOF {
		return s, false
	}
	s, ok = parseSummary(tail)
	s.at = info.ModTime()
	return s, ok
}

// parseSummary reads the last line of a log. A summary that other text follows
// is that of an earlier run: the last one did not get so far.
func parseSummary(log []byte) (summary, bool) {
	log, whole := bytes.CutSuffix(log, []byte("\n"))
	m := summaryLine.FindSubmatch(log[bytes.LastIndexByte(log, '\n')+1:])
	if m == nil || !whole {
		return summary{}, false
	}
	var n [8]int
	for i, digits := range m[1:] {
		var err error
		if n[i], err = strconv.Atoi(string(digits)); err != nil {
			return summary{}, false
		}
	}
	return summary{far: changes{n[0], n[1], n[2], n[3]}, near: changes{n[4], n[5], n[6], n[7]}}, true
}

func emitSummary(out *metric.Batch, s summary, name, account string) {
	out.Time(summaryTime, s.at, name, account)
	for side, c := range map[string]changes{"far": s.far, "near": s.near} {
		out.Gauge(summaryAdded, float64(c.added), name, account, side)
		out.Gauge(summaryFlagged, float64(c.flagged), name, account, side)
		out.Gauge(summaryTrashed, float64(c.trashed), name, account, side)
		out.Gauge(summaryExpunged, float64(c.expunged), name, account, side)
	}
}

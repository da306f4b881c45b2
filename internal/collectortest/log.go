package collectortest

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// Logger logs into the test's output.
func Logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(writer{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type writer struct{ testing.TB }

func (w writer) Write(p []byte) (int, error) {
	defer func() { _ = recover() }() // a goroutine that outlives its test may log; goleak is for that
	w.Logf("%s", strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// diffLines lists the lines that only one side has.
func diffLines(want, got string) string {
	count := map[string]int{}
	for line := range strings.Lines(want) {
		count[line]++
	}
	var b strings.Builder
	for line := range strings.Lines(got) {
		if count[line] == 0 {
			fmt.Fprintf(&b, "+%s", line)
			continue
		}
		count[line]--
	}
	for line := range strings.Lines(want) {
		if count[line] > 0 {
			fmt.Fprintf(&b, "-%s", line)
			count[line]--
		}
	}
	return b.String()
}

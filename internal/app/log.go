package app

import (
	"io"
	"log/slog"

	"github.com/go-kit/log"
	sloggokit "github.com/tjhop/slog-gokit"
)

// newLogger is the one place that knows what log lines look like.
func newLogger(w io.Writer, level, format string) *slog.Logger {
	sink := log.NewLogfmtLogger(log.NewSyncWriter(w))
	if format == "json" {
		sink = log.NewJSONLogger(log.NewSyncWriter(w))
	}
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo // the flag admits no other text
	}
	return slog.New(sloggokit.NewGoKitHandler(sink, l))
}

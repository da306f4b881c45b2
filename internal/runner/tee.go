package runner

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
)

// tee is a log handler that also writes to a debug page while one is open.
type tee struct {
	slog.Handler
	page *page
	text slog.Handler // shares page; nil until derived from
}

// page is the writer of a debug page, nil while none is open.
type page struct {
	mu sync.Mutex
	w  io.Writer
}

func newTee(h slog.Handler) *tee {
	p := &page{}
	return &tee{Handler: h, page: p, text: slog.NewTextHandler(p, &slog.HandlerOptions{Level: slog.LevelDebug})}
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w == nil {
		return len(b), nil
	}
	return p.w.Write(b)
}

// open sends log lines to w until the returned function is called.
func (t *tee) open(w io.Writer) (closed func()) {
	set := func(w io.Writer) {
		t.page.mu.Lock()
		defer t.page.mu.Unlock()
		t.page.w = w
	}
	set(w)
	return func() { set(nil) }
}

func (t *tee) isOpen() bool {
	t.page.mu.Lock()
	defer t.page.mu.Unlock()
	return t.page.w != nil
}

// Enabled implements slog.Handler.
func (t *tee) Enabled(ctx context.Context, level slog.Level) bool {
	return t.Handler.Enabled(ctx, level) || t.isOpen()
}

// Handle implements slog.Handler.
func (t *tee) Handle(ctx context.Context, r slog.Record) error {
	var err error
	if t.Handler.Enabled(ctx, r.Level) {
		err = t.Handler.Handle(ctx, r)
	}
	return errors.Join(err, t.text.Handle(ctx, r))
}

// WithAttrs implements slog.Handler.
func (t *tee) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &tee{Handler: t.Handler.WithAttrs(attrs), page: t.page, text: t.text.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (t *tee) WithGroup(name string) slog.Handler {
	return &tee{Handler: t.Handler.WithGroup(name), page: t.page, text: t.text.WithGroup(name)}
}

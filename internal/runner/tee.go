package runner

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
)

// tee is a log handler that also writes to debug pages while they are open.
type tee struct {
	slog.Handler
	pages *pages
	text  slog.Handler // writes to pages
}

// pages are the open debug pages.
type pages struct {
	mu   sync.Mutex
	open map[*bytes.Buffer]bool
}

func newTee(h slog.Handler) *tee {
	p := &pages{open: map[*bytes.Buffer]bool{}}
	return &tee{Handler: h, pages: p, text: slog.NewTextHandler(p, &slog.HandlerOptions{Level: slog.LevelDebug})}
}

func (p *pages) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for page := range p.open {
		page.Write(b)
	}
	return len(b), nil
}

// open sends log lines to page until the returned function is called.
func (t *tee) open(page *bytes.Buffer) (closed func()) {
	t.pages.mu.Lock()
	defer t.pages.mu.Unlock()
	t.pages.open[page] = true
	return func() {
		t.pages.mu.Lock()
		defer t.pages.mu.Unlock()
		delete(t.pages.open, page)
	}
}

func (t *tee) isOpen() bool {
	t.pages.mu.Lock()
	defer t.pages.mu.Unlock()
	return len(t.pages.open) > 0
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
	return &tee{Handler: t.Handler.WithAttrs(attrs), pages: t.pages, text: t.text.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (t *tee) WithGroup(name string) slog.Handler {
	return &tee{Handler: t.Handler.WithGroup(name), pages: t.pages, text: t.text.WithGroup(name)}
}

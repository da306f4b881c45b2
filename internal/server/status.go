package server

import (
	"embed"
	"html/template"
	"net/http"
	"time"

	"vulcan.lan/vulcan_exporter/internal/runner"
)

//go:embed status.html
var pages embed.FS

var statusPage = template.Must(template.New("status.html").Funcs(template.FuncMap{
	"ago": func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return time.Since(t).Round(time.Second).String() + " ago"
	},
}).ParseFS(pages, "status.html"))

// status shows every source: its state, the age of its data, its last error
// and its next run.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	data := struct{ Sources []runner.Status }{s.opts.Manager.Status()}
	if err := statusPage.Execute(w, data); err != nil {
		s.opts.Logger.Debug("status page", "err", err)
	}
}

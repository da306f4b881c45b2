package server

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/common/version"
)

//go:embed status.html status.css status.js
var assets embed.FS

var statusPage = template.Must(template.New("status.html").Funcs(template.FuncMap{
	"visible": visible, "span": span, "took": took, "count": count,
	"clock": func(t time.Time) string { return t.Format("15:04:05") },
	"stamp": func(t time.Time) string { return t.Format(time.RFC3339) },
}).ParseFS(assets, "status.html"))

// statusBudget bounds the sources that are run for the page: a person waits.
const statusBudget = 3 * time.Second

// maxCards of broken things are shown in full: after a fall of the whole
// machine more would hide the rest of the page.
const maxCards = 25

// page is all that the status page says.
type page struct {
	Host, Version string
	Now           time.Time
	Broken        []trouble // found in what is observed
	MoreBroken    int       // beyond maxCards
	Blind         []trouble // sources that could not find out
	Exporter      []trouble // the exporter's own
	Sources       []sourceView
	Sections      []section
	Waiting       int // sources that were not tried yet
}

// trouble is one thing that a person should know first.
type trouble struct {
	What    string
	Source  string // ID, "" for the exporter's own
	Says    string
	Reason  string // an error text, to copy
	Advice  string
	Mending []string // commands
}

// Verdict is the page in one word, for its colour: trouble, starting or quiet.
func (p page) Verdict() string {
	switch {
	case len(p.Broken)+len(p.Blind)+len(p.Exporter) > 0 || len(p.Sources) == 0:
		return "trouble"
	case p.Waiting > 0:
		return "starting"
	}
	return "quiet"
}

// Headline is the page in one line.
func (p page) Headline() string {
	var parts []string
	add := func(n int, one, many string) {
		if n > 0 {
			parts = append(parts, count(n, one, many))
		}
	}
	add(len(p.Broken)+p.MoreBroken, "thing is broken", "things are broken")
	add(len(p.Blind), "source cannot tell", "sources cannot tell")
	add(len(p.Exporter), "fault of the exporter", "faults of the exporter")
	if len(parts) == 0 {
		add(p.Waiting, "source was not tried yet", "sources were not tried yet")
	}
	switch {
	case len(p.Sources) == 0:
		return "Nothing is observed"
	case len(parts) == 0:
		return "No trouble seen"
	}
	return strings.Join(parts, " · ")
}

// status serves the page for a person: trouble first, then every source, then
// what the sources say about their domains. Sources that run at scrape are run
// for it, so that it is never older than /metrics would be.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	s.render(w, s.page(r.Context(), time.Now()))
}

func (s *Server) render(w http.ResponseWriter, p page) {
	var body bytes.Buffer
	if err := statusPage.Execute(&body, p); err != nil {
		s.opts.Logger.Error("status page", "err", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = body.WriteTo(w)
}

func (s *Server) page(ctx context.Context, now time.Time) page {
	parts := s.opts.Manager.Gather(ctx, func(string) bool { return true }, statusBudget)
	p := page{Host: s.host, Version: cmp.Or(version.Version, "development build"), Now: now}
	for _, status := range s.opts.Manager.Status() {
		v := view(status, now)
		p.Sources = append(p.Sources, v)
		switch {
		case v.bad():
			p.Blind = append(p.Blind, s.blind(v))
		case v.State == "waiting":
			p.Waiting++
		}
		if status.SeriesDropped > 0 {
			p.Exporter = append(p.Exporter, trouble{
				What: status.ID(), Source: status.ID(),
				Says:   count(int(status.SeriesDropped), "series", "series") + " beyond the collector's budget were not published since the start; what they would have shown is missing everywhere.",
				Advice: "Narrow the source's configuration.",
			})
		}
	}
	p.sort()
	have := samples(parts, s.opts.Logger)
	p.Exporter = append(p.Exporter, s.own(have)...)
	p.Sections, p.Broken = summarize(have, p.Sources, now)
	if len(p.Broken) > maxCards {
		p.MoreBroken, p.Broken = len(p.Broken)-maxCards, p.Broken[:maxCards]
	}
	return p
}

// sort puts the sources in trouble first.
func (p *page) sort() {
	slices.SortStableFunc(p.Sources, func(a, b sourceView) int { return cmp.Compare(a.rank(), b.rank()) })
}

// own reads the exporter's own metrics for faults of its own.
func (s *Server) own(have map[string][]sample) []trouble {
	is := func(name string, value float64) bool {
		return len(have[name]) == 1 && have[name][0].value == value
	}
	var out []trouble
	if is(reloadMetric, 0) {
		t := trouble{
			What:   "configuration",
			Says:   "The configuration file was refused when it was last read; the one before it goes on.",
			Advice: "Mend the file, check it, then reload with SIGHUP.",
		}
		if s.opts.ReloadError != nil {
			if err := s.opts.ReloadError(); err != nil {
				t.Reason = err.Error()
			}
		}
		if s.opts.ConfigFile != "" {
			t.Mending = []string{shell(s.exe, "check", s.opts.ConfigFile)}
		}
		out = append(out, t)
	}
	if is(persistentMetric, 0) {
		out = append(out, trouble{
			What:   "storage",
			Says:   "The storage folder cannot be written: what must survive a restart will not.",
			Advice: "Give --storage.path a folder that " + s.user + " owns, or StateDirectory= in the unit.",
		})
	}
	if v := have[corruptMetric]; len(v) == 1 && v[0].value > 0 {
		out = append(out, trouble{
			What:    "storage",
			Says:    count(int(v[0].value), "state file", "state files") + " could not be read and were set aside; their sources started anew.",
			Mending: []string{shell("ls", "-l", s.opts.StoragePath)},
		})
	}
	return out
}

// Metrics of the runner about the process.
const (
	reloadMetric     = "vulcan_config_last_reload_successful"
	persistentMetric = "vulcan_state_persistent"
	corruptMetric    = "vulcan_state_corrupt_total"
)

// asset serves one embedded file. It is checked anew at each use, so that a
// new version's page never meets an old version's style.
func asset(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		content, err := assets.ReadFile(name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(content)
	}
}

// visible shows control and formatting characters (a right-to-left override in
// a label, an escape sequence in an error) as escapes: what is copied must be
// what was seen.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t' || !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// span is a length of time as a person says it, in at most two units.
func span(d time.Duration) string {
	if d < 0 {
		return "-" + span(-d)
	}
	const day = 24 * time.Hour
	units := []struct {
		size time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for i, u := range units {
		if d < u.size {
			continue
		}
		text := fmt.Sprintf("%d %s", d/u.size, u.name)
		if i+1 < len(units) && d/u.size < 10 {
			if rest := d % u.size / units[i+1].size; rest > 0 {
				text += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return text
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// took is how long a run took.
func took(d time.Duration) string {
	if d < time.Millisecond {
		return "< 1 ms"
	}
	return span(d)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

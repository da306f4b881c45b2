package technitiumtest

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Deny takes the permission to view a section, as "Logs", from the token's user.
func (s *Server) Deny(section string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied[section] = true
}

// Allow gives it back.
func (s *Server) Allow(section string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.denied, section)
}

// Requests returns the request lines so far, as an access log has them.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// refusal is an error that the server reports with status 200.
type refusal struct{ status, message string }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.RequestURI)
	fault := Fault(nil)
	if len(s.faults) > 0 {
		fault, s.faults = s.faults[0], s.faults[1:]
	}
	s.mu.Unlock()
	if fault != nil {
		fault(w, r, http.HandlerFunc(s.serve))
		return
	}
	s.serve(w, r)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	section, answer := s.route(r.URL.Path)
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	if err := r.ParseForm(); err != nil {
		s.refuse(w, refusal{"error", err.Error()})
		return
	}
	token := r.Form.Get("token")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && s.major >= 15 {
		token = bearer
	}
	if token != Token {
		message := "Invalid token or session expired."
		if token == "" {
			message = "Parameter 'token' missing."
			s.refuse(w, refusal{"error", message})
			return
		}
		s.refuse(w, refusal{"invalid-token", message})
		return
	}
	s.mu.Lock()
	s.advance()
	denied := s.denied[section]
	s.mu.Unlock()
	if denied {
		s.refuse(w, refusal{"error", "Access was denied."})
		return
	}
	answer(w, r)
}

func (s *Server) route(path string) (section string, answer http.HandlerFunc) {
	switch path {
	case "/api/logs/query", "/api/queryLogs":
		return "Logs", s.logs
	case "/api/dashboard/stats/get":
		return "Dashboard", s.windowStats
	case "/api/dashboard/metrics/json":
		if s.major >= 15 {
			return "Dashboard", s.lifetime
		}
	case "/api/zones/list":
		return "Zones", s.zones
	case "/api/settings/get":
		return "Settings", s.showSettings
	case "/api/user/session/get":
		return "", s.session
	case "/api/user/checkForUpdate":
		return "", s.update
	}
	return "", nil
}

func (s *Server) refuse(w http.ResponseWriter, e refusal) {
	out := appendString([]byte(`{"status":`), e.status)
	out = appendString(append(out, `,"errorMessage":`...), e.message)
	if e.status == "error" && s.major < 15 {
		out = append(out, `,"stackTrace":"   at DnsServerCore.DnsWebService.Handler(HttpContext context)"`...)
	}
	if s.major > 13 {
		out = append(out, `,"server":"dns1"`...)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(append(out, '}'))
}

// query is one call of /api/logs/query.
type query struct {
	page, perPage int64
	descending    bool
	in            interval
}

func (s *Server) query(form url.Values) (query, error) {
	app := s.opts.App
	q := query{page: 1, perPage: 25, descending: true, in: interval{math.MinInt64, math.MaxInt64}}
	if name := form.Get("name"); name != app.Name {
		return q, fmt.Errorf("DNS application was not found: %s", name)
	}
	if path := form.Get("classPath"); path != app.ClassPath {
		return q, fmt.Errorf("DNS application '%s' class path was not found: %s", path, app.Name)
	}
	for _, other := range []string{"clientIpAddress", "protocol", "responseType", "rcode", "qname", "qtype", "qclass"} {
		if form.Get(other) != "" {
			return q, fmt.Errorf("technitiumtest does not select by %s", other)
		}
	}
	if v := form.Get("node"); v != "" && (v != "dns1" || s.major < 14) {
		return q, fmt.Errorf("node was not found: %s", v)
	}
	var err error
	if v := form.Get("pageNumber"); v != "" {
		if q.page, err = strconv.ParseInt(v, 10, 64); err != nil {
			return q, fmt.Errorf("the input string '%s' was not in a correct format", v)
		}
	}
	if v := form.Get("entriesPerPage"); v != "" {
		if q.perPage, err = strconv.ParseInt(v, 10, 32); err != nil || q.perPage < 1 {
			return q, fmt.Errorf("the input string '%s' was not in a correct format", v)
		}
	}
	if v := form.Get("descendingOrder"); v != "" {
		q.descending = strings.EqualFold(v, "true")
	}
	for name, to := range map[string]*int64{"start": &q.in.start, "end": &q.in.end} {
		if v := form.Get(name); v != "" {
			t, err := parseTime(v)
			if err != nil {
				return q, fmt.Errorf("string '%s' was not recognized as a valid DateTime", v)
			}
			*to = s.bound(t)
		}
	}
	return q, nil
}

// bound is a parameter as the database compares it. MySQL keeps whole seconds but compares with
// a parameter's fraction.
func (s *Server) bound(t time.Time) int64 {
	if s.opts.App.Name == MySQL.Name {
		return ticks(t)
	}
	return ticks(s.opts.App.keep(t))
}

// parseTime is DateTime.Parse, which takes 7 decimals at most.
func parseTime(v string) (time.Time, error) {
	if _, fraction, ok := strings.Cut(v, "."); ok && len(strings.TrimRight(fraction, "Z")) > 7 {
		return time.Time{}, fmt.Errorf("more than 7 decimals")
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime} {
		if t, err := time.Parse(layout, v); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("no time")
}

func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	q, err := s.query(r.Form)
	if err != nil {
		s.refuse(w, refusal{"error", err.Error()})
		return
	}
	s.mu.Lock()
	total := s.table.count(q.in)
	rows := s.table.rows
	between := s.opts.Between
	s.mu.Unlock()
	if takes := s.opts.CountTakes * time.Duration(rows) / 1e6; takes > 0 {
		select {
		case <-r.Context().Done():
			return
		case <-time.After(takes):
		}
	}
	if between != nil {
		between()
	}
	page := result{total: total, pages: (total + q.perPage - 1) / q.perPage, number: q.page}
	if page.number == 0 {
		page.number = 1
	}
	if page.number < 0 || page.number > page.pages {
		page.number = page.pages
	}
	if s.major >= 15 {
		page.number = max(page.number, 1)
	}
	s.mu.Lock()
	s.advance()
	s.read(q, &page)
	words := s.table.words
	s.mu.Unlock()
	s.writePage(w, page, words)
}

// result is what a query found.
type result struct {
	total, pages, number int64
	rows                 []stored
	first, step          int64 // number of the first row, and what is added for each
}

// read takes the rows of the page, of the table as it is by now.
func (s *Server) read(q query, page *result) {
	offset := (page.number - 1) * q.perPage
	if !q.descending {
		page.rows = s.table.slice(q.in, offset, offset+q.perPage)
		page.first, page.step = max(offset, 0)+1, 1
		return
	}
	end := page.total - offset // up to version 14 counted from the front
	page.first, page.step = end, -1
	if s.major >= 15 {
		end = s.table.count(q.in) - offset // from the back, of what there is now
	}
	page.rows = s.table.slice(q.in, end-q.perPage, end)
	slices.Reverse(page.rows)
	if s.major < 15 {
		page.first = max(end-q.perPage, 0) + int64(len(page.rows))
	}
}

package technitiumtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// clock is a clock that only tests move.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time            { return c.now }
func (c *clock) advance(d time.Duration)   { c.now = c.now.Add(d) }
func newClock() *clock                     { return &clock{epoch} }
func (c *clock) options(o Options) Options { o.Now = c.Now; return o }
func at(d time.Duration, name string) Row {
	return Row{Time: epoch.Add(d), Client: "::1", Protocol: "Udp", ResponseType: "Cached", RCode: "NoError", QName: name, QType: "A", QClass: "IN"}
}
func names(entries []map[string]any) []string {
	var all []string
	for _, e := range entries {
		name, _ := e["qname"].(string)
		all = append(all, fmt.Sprint(e["rowNumber"], " ", name))
	}
	return all
}

type page struct {
	PageNumber, TotalPages, TotalEntries int64
	Entries                              []map[string]any
}

// ask sends a query as a client would and returns the page, or the error's status and message.
func ask(t *testing.T, s *Server, params ...string) (page, string) {
	t.Helper()
	form := url.Values{"token": {Token}, "name": {s.App().Name}, "classPath": {s.App().ClassPath}, "descendingOrder": {"false"}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, "/api/logs/query", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return do(t, s, r)
}

func do(t *testing.T, s *Server, r *http.Request) (page, string) {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var body struct {
		Status, ErrorMessage string
		Response             page
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); w.Code != 200 || err != nil {
		t.Fatalf("%d %s %v", w.Code, w.Body, err)
	}
	if body.Status != "ok" {
		return page{}, body.Status + ": " + body.ErrorMessage
	}
	return body.Response, ""
}

func expect(t *testing.T, s *Server, want string, params ...string) {
	t.Helper()
	p, failed := ask(t, s, params...)
	if got := fmt.Sprintf("%d/%d of %d%v%s", p.PageNumber, p.TotalPages, p.TotalEntries, names(p.Entries), failed); got != want {
		t.Errorf("%v:\n got %s\nwant %s", params, got, want)
	}
}

// versions runs a test on each version.
func versions(t *testing.T, f func(t *testing.T, version string)) {
	for _, version := range []string{"13.6", "14.3", "15.2"} {
		t.Run(version, func(t *testing.T) { f(t, version) })
	}
}

func TestPages(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		s := New(newClock().options(Options{Version: version}))
		empty := map[string]string{"13.6": "0/0 of 0[]", "14.3": "0/0 of 0[]", "15.2": "1/0 of 0[]"}[version]
		expect(t, s, empty)
		expect(t, s, empty, "pageNumber", "-1")
		for i, name := range []string{"a", "b", "late", "c", "d"} {
			d := time.Duration(i) * time.Second
			if name == "late" {
				d = -time.Minute
			}
			s.Insert(at(d, name))
		}
		expect(t, s, "1/3 of 5[1 a 2 b]", "entriesPerPage", "2")
		expect(t, s, "3/3 of 5[5 d]", "entriesPerPage", "2", "pageNumber", "3")
		expect(t, s, "3/3 of 5[5 d]", "entriesPerPage", "2", "pageNumber", "9") // past the end
		expect(t, s, "3/3 of 5[5 d]", "entriesPerPage", "2", "pageNumber", "-1")
		expect(t, s, "1/3 of 5[1 a 2 b]", "entriesPerPage", "2", "pageNumber", "0")
		expect(t, s, "1/3 of 5[5 d 4 c]", "entriesPerPage", "2", "descendingOrder", "true")
		expect(t, s, "3/3 of 5[1 a]", "entriesPerPage", "2", "descendingOrder", "true", "pageNumber", "3")
		// Numbers are positions among what is selected; both ends are inclusive.
		expect(t, s, "1/1 of 3[1 b 2 c 3 d]", "start", "2026-11-25T12:00:01Z")
		expect(t, s, "1/1 of 2[1 a 2 late]", "end", "2026-11-25 12:00:00.0000000")
		expect(t, s, "1/1 of 2[1 b 2 c]", "start", "2026-11-25T12:00:01.0000000Z", "end", "2026-11-25T12:00:03.0000000Z")
		s.SetRetention(2, 0)
		s.Cleanup()
		expect(t, s, "1/1 of 2[1 c 2 d]")
	})
}

func TestBetween(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		var between func()
		s := New(newClock().options(Options{Version: version, Between: func() {
			if f := between; f != nil {
				between = nil
				f()
			}
		}}))
		s.Insert(at(0, "a"), at(0, "b"), at(0, "c"))
		between = func() { s.Insert(at(0, "d")) }
		expect(t, s, "2/2 of 3[3 c 4 d]", "entriesPerPage", "2", "pageNumber", "2")
		between = func() { s.Insert(at(0, "e")) }
		want := "1/2 of 4[4 d 3 c]"
		if version == "15.2" {
			want = "1/2 of 4[4 e 3 d]"
		}
		expect(t, s, want, "entriesPerPage", "2", "descendingOrder", "true")
		between = func() { s.SetRetention(1, 0); s.Cleanup() }
		expect(t, s, "2/3 of 5[]", "entriesPerPage", "2", "pageNumber", "2") // counted, and gone
		expect(t, s, "1/1 of 1[1 e]")
	})
}

func TestInserts(t *testing.T) {
	c := newClock()
	old := New(c.options(Options{Version: "13.6"}))
	recent := New(c.options(Options{Version: "14.3", MaxQueue: 1500}))
	queries := make([]Row, 2500)
	for i := range queries {
		queries[i] = at(0, "a")
	}
	old.Log(queries...)
	recent.Log(queries...)
	check := func(what string, s *Server, want Counts) {
		t.Helper()
		if got := s.Counts(); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	check("13 waits", old, Counts{Logged: 2500, Queued: 2500})
	check("14 does not", recent, Counts{Logged: 2500, Inserted: 2500, Retained: 2500})
	c.advance(9999 * time.Millisecond)
	check("13 still waits", old, Counts{Logged: 2500, Queued: 2500})
	c.advance(time.Millisecond)
	check("13 after 10 s", old, Counts{Logged: 2500, Inserted: 2500, Retained: 2500})

	old.FailInserts(1)
	recent.FailInserts(1)
	old.Log(queries...)
	recent.Log(queries...)
	check("14 lost a batch", recent, Counts{Logged: 5000, Inserted: 2500, Retained: 2500, Lost: 1000, Queued: 1500})
	recent.Log(queries[0])
	check("14, queue full", recent, Counts{Logged: 5001, Inserted: 2500, Retained: 2500, Lost: 1001, Queued: 1500})
	c.advance(10 * time.Second)
	check("14, after the pause", recent, Counts{Logged: 5001, Inserted: 4000, Retained: 4000, Lost: 1001})
	check("13 lost a batch", old, Counts{Logged: 5000, Inserted: 2500, Retained: 2500, Lost: 1000, Queued: 1500})
	c.advance(10 * time.Second)
	check("13, after the next", old, Counts{Logged: 5000, Inserted: 4000, Retained: 4000, Lost: 1000})

	recent.FailInserts(1)
	old.Log(queries[0])
	recent.Log(queries[:1001]...)
	old.Restart()
	recent.Restart()
	check("13 restarted", old, Counts{Logged: 5001, Inserted: 4001, Retained: 4001, Lost: 1000})
	check("14 restarted", recent, Counts{Logged: 6002, Inserted: 4000, Retained: 4000, Lost: 2002})
}

func TestRetention(t *testing.T) {
	c := newClock()
	var unseen []string
	s := New(c.options(Options{MaxRecords: 3, MaxAge: time.Hour, OnDelete: func(r Row, served bool) {
		if !served {
			unseen = append(unseen, r.QName)
		}
	}}))
	s.Insert(at(0, "a"), at(0, "b"), at(0, "c"), at(0, "d"))
	expect(t, s, "1/4 of 4[1 a]", "entriesPerPage", "1")
	c.advance(5 * time.Second) // the first run
	expect(t, s, "1/1 of 3[1 b 2 c 3 d]")
	s.Insert(at(0, "e"), at(0, "f"), at(0, "g"), at(0, "h"))
	c.advance(15*time.Minute - time.Nanosecond)
	expect(t, s, "1/7 of 7[1 b]", "entriesPerPage", "1")
	c.advance(time.Nanosecond) // the next
	expect(t, s, "1/1 of 3[1 f 2 g 3 h]")
	s.SetRetention(0, time.Hour)
	c.advance(40 * time.Minute)
	s.Insert(at(70*time.Minute, "i"), at(-30*time.Minute, "late"), at(75*time.Minute, "j"))
	s.Cleanup()
	expect(t, s, "1/1 of 5[1 f 2 g 3 h 4 i 5 j]") // by time, not by insertion
	c.advance(24 * time.Hour)
	expect(t, s, "1/0 of 0[]")
	if got := s.Counts(); got != (Counts{Logged: 11, Inserted: 11, Deleted: 11, Unserved: 2}) || fmt.Sprint(unseen) != "[e late]" {
		t.Errorf("%+v, unseen %v", got, unseen)
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		app  App
		want string
	}{
		{SQLite, "[2026-11-25T12:00:00.1234567Z 2026-11-25T12:00:00.5Z 2026-11-25T12:00:00.999Z 2026-11-25T12:00:00Z]"},
		{PostgreSQL, "[2026-11-25T12:00:00.123456Z 2026-11-25T12:00:00.5Z 2026-11-25T12:00:00.999Z 2026-11-25T12:00:00Z]"},
		{SQLServer, "[2026-11-25T12:00:00.123Z 2026-11-25T12:00:00.5Z 2026-11-25T12:00:01Z 2026-11-25T12:00:00Z]"},
		{MySQL, "[2026-11-25T12:00:00Z 2026-11-25T12:00:01Z 2026-11-25T12:00:01Z 2026-11-25T12:00:00Z]"},
	} {
		s := New(newClock().options(Options{App: c.app}))
		s.Insert(at(123456789, "a"), at(500*time.Millisecond, "b"), at(999*time.Millisecond, "c"), at(0, "d"))
		p, _ := ask(t, s)
		var got []any
		for _, e := range p.Entries {
			got = append(got, e["timestamp"])
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v", c.app.Name, got)
		}
	}
}

func TestRow(t *testing.T) {
	s := New(newClock().options(Options{}))
	recursive := at(0, "ü&<>'+`\"\\")
	recursive.ResponseType, recursive.RTT, recursive.QType, recursive.Answer = "Recursive", 1.5, "65432", "TXT \U0001f600"
	s.Insert(Row{Time: epoch, Client: "::1", Protocol: "Udp", ResponseType: "Dropped", RCode: "FormatError"}, recursive)
	p, _ := ask(t, s)
	got, _ := json.Marshal(p.Entries)
	want := `[{"answer":null,"clientIpAddress":"::1","protocol":"Udp","qclass":null,"qname":null,"qtype":null,"rcode":"FormatError","responseType":"Dropped","rowNumber":1,"timestamp":"2026-11-25T12:00:00Z"},` +
		`{"answer":"TXT 😀","clientIpAddress":"::1","protocol":"Udp","qclass":"IN","qname":"ü\u0026\u003c\u003e'+` + "`" + `\"\\","qtype":"65432","rcode":"NoError","responseRtt":1.5,"responseType":"Recursive","rowNumber":2,"timestamp":"2026-11-25T12:00:00Z"}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		s := New(newClock().options(Options{Version: version}))
		refused := func(want string, params ...string) {
			t.Helper()
			if _, got := ask(t, s, params...); got != want {
				t.Errorf("%v: %q", params, got)
			}
		}
		refused("invalid-token: Invalid token or session expired.", "token", "x")
		refused("error: DNS application was not found: x", "name", "x")
		refused("error: DNS application 'x' class path was not found: Query Logs (Sqlite)", "classPath", "x")
		refused("error: string '2026-11-25T12:00:00.12345678Z' was not recognized as a valid DateTime", "start", "2026-11-25T12:00:00.12345678Z")
		s.Deny("Logs")
		refused("error: Access was denied.")
		s.Allow("Logs")
		refused("")
		bearer := httptest.NewRequest(http.MethodGet, "/api/logs/query?"+url.Values{"name": {SQLite.Name}, "classPath": {SQLite.ClassPath}}.Encode(), nil)
		bearer.Header.Set("Authorization", "Bearer "+Token)
		if _, got := do(t, s, bearer); (got == "") != (version == "15.2") {
			t.Errorf("bearer: %q", got)
		}
	})
}

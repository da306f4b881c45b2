package loki

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// scripted answers pushes as it is told and keeps what it accepted.

type scripted struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(r *http.Request, lines []string) (status int, body string)
	lines  []string
	pushes int
}

func startScripted(t *testing.T, answer func(r *http.Request, lines []string) (int, string)) *scripted {
	t.Helper()
	s := &scripted{answer: answer}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(s.Close)
	return s
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/base"+pushPath {
		http.NotFound(w, r)
		return
	}
	var body struct {
		Streams []struct {
			Stream map[string]string
			Values [][]any
		}
	}
	plain, err := gzip.NewReader(r.Body)
	if err == nil {
		err = json.NewDecoder(plain).Decode(&body)
	}
	if err != nil || len(body.Streams) != 1 || r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, fmt.Sprintf("%v in %v", err, body), http.StatusTeapot)
		return
	}
	var lines []string
	for _, value := range body.Streams[0].Values {
		lines = append(lines, fmt.Sprint(value[1]))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushes++
	status, text := s.answer(r, lines)
	if status == http.StatusNoContent {
		s.lines = append(s.lines, lines...)
	}
	if status == http.StatusFound {
		w.Header().Set("Location", "http://127.0.0.1:1/")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

func (s *scripted) got() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "")
}

func letters(text string) []Entry {
	var entries []Entry
	for i, c := range text {
		entries = append(entries, Entry{Time: epoch.Add(time.Duration(i)), Labels: []Label{{"job", "x"}}, Line: string(c)})
	}
	return entries
}

// What is wrong with the way or the credentials is retried, said with its reason, and nothing is

// dropped; once it is right, all arrives. No secret is in the log.

func TestRetried(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   string
	}{
		{401, "no org id", FailAuth},
		{403, "forbidden", FailAuth},
		{404, "404 page not found", FailNotFound},
		{405, "", FailNotFound},
		{302, "", FailNotFound},
		{408, "", FailTimeout},
		{429, "Ingestion rate limit exceeded for user x", FailRateLimit},
		{429, "maximum active stream limit exceeded when trying to create stream", FailStreamLimit},
		{500, "entry for stream '{}' has timestamp too old", FailServer},
		{503, "", FailServer},
		{260, "", FailBlocked},
		{201, "", FailNotFound},
		{400, "stream '{}' includes structured metadata, but this feature is disallowed.", FailConfig},
	} {
		t.Run(fmt.Sprint(c.status, c.want), func(t *testing.T) {
			bad := true
			s := startScripted(t, func(*http.Request, []string) (int, string) {
				if bad {
					return c.status, c.body
				}
				return http.StatusNoContent, ""
			})
			s.Start()
			q := openQueue(t, t.TempDir(), 1<<20)
			add(t, q, letters("abcdef")...)
			p := startPusher(t, Options{URL: s.URL + "/base", MinBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond}, q)
			testenv.Eventually(t, time.Minute, func() error {
				if got := p.Stats(); got.Failures[c.want] < 4 || got.Up || !got.Known || !got.LastSuccess.IsZero() {
					return fmt.Errorf("%+v", got)
				}
				return nil
			})
			s.mu.Lock()
			bad = false
			s.mu.Unlock()
			drained(t, q)
			sameTotals(t, q, Totals{Pushed: 6})
			if got := s.got(); got != "abcdef" {
				t.Errorf("arrived: %q", got)
			}
			if got := p.Stats(); !got.Up || got.Durations.Count() < 5 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// An answer of 400 that is not in Loki's words costs the row only that is refused alone, again

// and again.

func TestUnknownRefusal(t *testing.T) {
	poison := ""
	s := startScripted(t, func(_ *http.Request, lines []string) (int, string) {
		if strings.Contains(strings.Join(lines, ""), "d") {
			poison += strings.Join(lines, "") + " "
			return http.StatusBadRequest, "we do not like it"
		}
		return http.StatusNoContent, ""
	})
	s.Start()
	q := openQueue(t, t.TempDir(), 1<<20)
	add(t, q, letters("abcdefgh")...)
	p := startPusher(t, Options{URL: s.URL + "/base", MinBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond}, q)
	drained(t, q)
	sameTotals(t, q, Totals{Pushed: 7, Dropped: map[string]int64{DropRejected: 1}})
	// After the first refusal all is sent once more: a server that refuses queries cannot tell what it has.
	if want := "abcdefgh abcdefgh abcd cd d d d d d "; poison != want {
		t.Errorf("refused: %q, want %q", poison, want)
	}
	if got := s.got(); got != "abcefgh" {
		t.Errorf("arrived: %q", got)
	}
	if n := p.Stats().Failures[FailRefused]; n != maxTries {
		t.Errorf("%d failures", n)
	}
}

// A proxy that answers 400 to everything does not empty the queue in a hurry.

func TestAllRefused(t *testing.T) {
	s := startScripted(t, func(*http.Request, []string) (int, string) { return http.StatusBadRequest, "<html>" })
	s.Start()
	q := openQueue(t, t.TempDir(), 1<<20)
	add(t, q, rows(1000, epoch)...)
	p := startPusher(t, Options{URL: s.URL + "/base", MinBackoff: 50 * time.Millisecond, MaxBackoff: time.Minute}, q)
	testenv.Eventually(t, time.Minute, func() error {
		if n := p.Stats().Failures[FailRefused]; n < 3 {
			return fmt.Errorf("%d failures", n)
		}
		return nil
	})
	p.stop()
	if n, _ := q.Backlog(); n != 1000 {
		t.Errorf("%d rows left", n)
	}
}

func TestOversizedRequest(t *testing.T) {
	s := startScripted(t, func(_ *http.Request, lines []string) (int, string) {
		if len(strings.Join(lines, "")) > 3 {
			return http.StatusRequestEntityTooLarge, "too large"
		}
		return http.StatusNoContent, ""
	})
	s.Start()
	q := openQueue(t, t.TempDir(), 1<<20)
	entries := letters("abcdefgh")
	entries[2].Line = "long!"
	add(t, q, entries...)
	startPusher(t, Options{URL: s.URL + "/base"}, q)
	drained(t, q)
	sameTotals(t, q, Totals{Pushed: 7, Dropped: map[string]int64{DropOversized: 1}})
	if got := s.got(); got != "abdefgh" {
		t.Errorf("arrived: %q", got)
	}
}

// Tenant, basic authentication, bearer token and client certificates' files are sent and follow

// their files; the log and the statistics know no secret.

// What is not told by a real Loki of today.

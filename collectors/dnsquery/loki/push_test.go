package loki

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"vulcan.lan/vulcan_exporter/internal/config"
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

func secretFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
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
func TestCredentials(t *testing.T) {
	want := ""
	s := startScripted(t, func(r *http.Request, _ []string) (int, string) {
		if got := r.Header.Get("Authorization"); got != want || r.Header.Get("X-Scope-OrgID") != "home" {
			return http.StatusUnauthorized, "you sent " + got
		}
		return http.StatusNoContent, ""
	})
	s.StartTLS()
	ca := secretFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	secret := secretFile(t, "hunter2\n")
	for _, c := range []struct {
		options Options
		wrong   string // of the file
		reason  string
		want    string
	}{
		{Options{TokenFile: config.SecretFile(secret)}, "", FailCredentials, "Bearer hunter2"},
		{Options{TokenFile: config.SecretFile(secret)}, "other", FailAuth, "Bearer hunter2"},
		{Options{Username: "me", PasswordFile: config.SecretFile(secret)}, "", FailCredentials, "Basic bWU6aHVudGVyMg=="},
		{Options{Username: "me", PasswordFile: config.SecretFile(secret)}, "other", FailAuth, "Basic bWU6aHVudGVyMg=="},
	} {
		var log lockedBuffer
		want = c.want
		if err := os.WriteFile(secret, []byte(c.wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		o := c.options
		o.URL, o.Tenant, o.CAFile, o.Durations = s.URL+"/base/", "home", ca, pushSeconds
		o.MinBackoff, o.MaxBackoff = time.Millisecond, 5*time.Millisecond
		q := openQueue(t, t.TempDir(), 1<<20)
		add(t, q, letters("a")...)
		p, err := NewPusher(o, q, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { _ = p.Run(ctx) })
		testenv.Eventually(t, time.Minute, func() error {
			if got := p.Stats(); got.Failures[c.reason] < 2 {
				return fmt.Errorf("%+v", got)
			}
			return nil
		})
		// As a whole: a file that is just being written is empty for a moment.
		if err := os.Rename(secretFile(t, "hunter2\n"), secret); err != nil {
			t.Fatal(err)
		}
		drained(t, q)
		cancel()
		work.Wait()
		if text := log.String(); strings.Contains(text, "hunter2") || strings.Contains(text, "aHVudGVyMg") || !strings.Contains(text, "reason="+c.reason) ||
			strings.Count(text, "takes no entries") != 1 || strings.Count(text, "takes entries again") != 1 {
			t.Errorf("log: %s", text)
		}
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestWay(t *testing.T) {
	secure := startScripted(t, func(*http.Request, []string) (int, string) { return http.StatusNoContent, "" })
	secure.StartTLS()
	hang := startScripted(t, func(r *http.Request, _ []string) (int, string) { <-r.Context().Done(); return 204, "" })
	hang.Start()
	for _, c := range []struct {
		name    string
		options Options
		want    string
	}{
		{"refused", Options{URL: "http://127.0.0.1:1"}, FailConnection},
		{"not trusted", Options{URL: secure.URL}, FailTLS},
		{"no TLS", Options{URL: strings.Replace(hang.URL, "http:", "https:", 1)}, FailTLS},
		{"CA is none", Options{URL: secure.URL, CAFile: secretFile(t, "x")}, FailCredentials},
		{"no key", Options{URL: secure.URL, CertFile: "/nonexistent", KeyFile: "/nonexistent"}, FailCredentials},
		{"hang", Options{URL: hang.URL + "/base", Timeout: 50 * time.Millisecond}, FailTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newClient(c.options.withDefaults()).push(t.Context(), letters("a"))
			if v.kind != failed || v.reason != c.want {
				t.Errorf("%+v, want %s", v, c.want)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o   Options
		key string
	}{
		{Options{URL: "http://a:3100"}, ""},
		{Options{URL: "https://a/loki/api/v1/push", Tenant: "a|b"}, ""},
		{Options{}, "url"},
		{Options{URL: "unix:///run/x"}, "url"},
		{Options{URL: "http://u:p@a"}, "url"},
		{Options{URL: "http://a", Username: "x"}, "username"},
		{Options{URL: "http://a", PasswordFile: "x"}, "username"},
		{Options{URL: "http://a", Username: "x", PasswordFile: "x", TokenFile: "x"}, "token_file"},
		{Options{URL: "http://a", CertFile: "x"}, "cert_file"},
		{Options{URL: "http://a", Tenant: "a b"}, "tenant"},
	} {
		if key, fault := c.o.Check(); key != c.key || (fault == "") != (key == "") {
			t.Errorf("%+v: %q %q", c.o, key, fault)
		}
	}
	for _, url := range []string{"http://a", "http://a/", "http://a/loki/api/v1/push", "http://a/loki/api/v1/push/"} {
		if got := (Options{URL: url}).endpoint(); got != "http://a/loki/api/v1/push" {
			t.Errorf("%s: %s", url, got)
		}
	}
	if _, err := NewPusher(Options{}, nil, time.Now, quiet()); err == nil {
		t.Error("no URL")
	}
}

// What is not told by a real Loki of today.
func TestJudge(t *testing.T) {
	old := "entry for stream '{}' has timestamp too old: 2026-01-01T00:00:00Z, oldest acceptable timestamp is: 2026-01-02T03:04:05Z"
	v := judge(http.StatusBadRequest, http.Header{"Retry-After": {"7"}}, old)
	if v.kind != refused || v.reason != DropTooOld || !v.oldest.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) || v.wait != 7*time.Second {
		t.Errorf("%+v", v)
	}
	if v := judge(http.StatusBadRequest, nil, "entry out of order"); v.kind != refused || v.reason != DropOutOfOrder || v.wait != 0 {
		t.Errorf("%+v", v)
	}
	if v := judge(http.StatusBadRequest, nil, "timestamp too old, oldest acceptable timestamp is: never"); v.kind != refused || !v.oldest.IsZero() {
		t.Errorf("%+v", v)
	}
	for status := 200; status < 600; status++ { // every status has a meaning of the closed sets
		for _, text := range []string{"", old} {
			v := judge(status, nil, text)
			named := FailReasons()
			if v.kind == refused || v.kind == suspect {
				named = DropReasons()
			}
			found := v.kind == accepted && v.reason == ""
			for _, reason := range named {
				found = found || reason == v.reason
			}
			if !found || (v.kind == accepted) != (status == 200 || status == 204) {
				t.Errorf("%d: %+v", status, v)
			}
		}
	}
}

func TestParseFound(t *testing.T) {
	const one = `{"data":{"resultType":"streams","result":[{"stream":{"job":"x"},"values":[["5","l",{"structuredMetadata":{"a":"b"}}],["4","k"]]}]}}`
	got, err := parseFound(strings.NewReader(one))
	if err != nil || len(got) != 2 || got[0].line != "k" || got[1].nanos != 5 || got[1].metadata["a"] != "b" || got[1].stream["job"] != "x" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "<html>", `{"data":{"resultType":"matrix"}}`,
		strings.Replace(one, `"5"`, `5`, 1), strings.Replace(one, `"5"`, `"x"`, 1), strings.Replace(one, `"l"`, `1`, 1), strings.Replace(one, `{"a":"b"}`, `1`, 1)} {
		if _, err := parseFound(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		} else if len(bad) > 10 && !errors.Is(err, errForbidden) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("plain")
	f.Add("\"\\\x00\x1f\x7f\u2028ä\xff")
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := json.Unmarshal(appendString(nil, s), &back); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(s, "\uFFFD"); back != want || utf8.ValidString(s) && back != s {
			t.Fatalf("%q became %q", s, back)
		}
	})
}

func FuzzJudge(f *testing.F) {
	f.Add(400, "1 errors like: entry for stream '{}' has timestamp too old: x, oldest acceptable timestamp is: 2026-01-02T03:04:05Z")
	f.Add(429, "maximum active stream limit exceeded")
	f.Add(260, "")
	f.Fuzz(func(t *testing.T, status int, message string) {
		v := judge(status, nil, message)
		if v.kind == accepted && status != 200 && status != 204 || v.kind != accepted && v.reason == "" {
			t.Fatalf("%d %q: %+v", status, message, v)
		}
	})
}

func FuzzParseFound(f *testing.F) {
	f.Add([]byte(`{"data":{"resultType":"streams","result":[{"stream":{"job":"x"},"values":[["5","l",{"structuredMetadata":{"a":"b"}}],["4","k"]]}]}}`))
	f.Add([]byte(`{"data":{"resultType":"streams","result":[{"values":[[null,null,null]]}]}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		all, err := parseFound(bytes.NewReader(answer))
		for i := range all {
			if err != nil || i > 0 && all[i].nanos < all[i-1].nanos {
				t.Fatalf("%+v, %v", all, err)
			}
		}
	})
}

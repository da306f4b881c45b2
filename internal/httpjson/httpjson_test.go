package httpjson

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
)

func client(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The token is sent, follows its file, and is never sent on by a redirect.
func TestToken(t *testing.T) {
	leaked := ""
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked = "asked: " + r.Header.Get("Authorization")
	}))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/base/redirect" {
			http.Redirect(w, r, other.URL, http.StatusFound)
			return
		}
		_, _ = fmt.Fprintf(w, "%q", r.Header.Get("Authorization"))
	}))
	defer server.Close()
	token := write(t, "one\n")
	c := client(t, Config{URL: server.URL + "/base/", TokenFile: config.SecretFile(token)})
	for _, want := range []string{"one", "two"} {
		if err := os.WriteFile(token, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := c.Get(t.Context(), "/x", &got); err != nil || got != "Bearer "+want {
			t.Errorf("%q, %v", got, err)
		}
	}
	var status StatusError
	if err := c.Get(t.Context(), "/redirect", new(any)); !errors.As(err, &status) || status.Code != http.StatusFound {
		t.Errorf("redirect: %v", err)
	}
	if leaked != "" {
		t.Errorf("the redirect was followed: %s", leaked)
	}
}

// A server that rejects may repeat what it was sent, also where the message is cut.
func TestTokenIsNotRepeated(t *testing.T) {
	const token = "token-that-is-not-shown"
	for _, before := range []int{0, maxMessage - 5, maxMessage - len(token), maxMessage} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, strings.Repeat("x", before)+r.Header.Get("Authorization"), http.StatusUnauthorized)
		}))
		defer server.Close()
		c := client(t, Config{URL: server.URL, TokenFile: config.SecretFile(write(t, token))})
		err := c.Get(t.Context(), "/x", new(any))
		var status StatusError
		if !errors.As(err, &status) || len(status.Message) > maxMessage {
			t.Fatal(err)
		}
		if strings.Contains(err.Error(), token[:8]) {
			t.Errorf("after %d bytes: %v", before, err)
		}
		if shown := strings.Contains(err.Error(), "Bearer <redacted>"); shown != (before+len("Bearer <redacted>") <= maxMessage) {
			t.Errorf("after %d bytes: %v", before, err)
		}
	}
}

// A token that is taken out moves up what follows: the begin of another one.
func TestTokenTwice(t *testing.T) {
	const token = "abababab-abababab-abababab-abababab-abab"
	for between := range maxMessage {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, token+strings.Repeat("x", between)+token, http.StatusUnauthorized)
		}))
		c := client(t, Config{URL: server.URL, TokenFile: config.SecretFile(write(t, token))})
		if err := c.Get(t.Context(), "/x", new(any)); err == nil || strings.Contains(err.Error(), token[:2]) {
			t.Errorf("%d bytes between: %v", between, err)
		}
		server.Close()
	}
}

// A connection that ends within a token leaves its begin.
func TestTokenIsCut(t *testing.T) {
	const token = "token-that-is-not-shown"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "no such token: "+token[:9])
	}))
	defer server.Close()
	err := client(t, Config{URL: server.URL, TokenFile: config.SecretFile(write(t, token))}).Get(t.Context(), "/x", new(any))
	var status StatusError
	if !errors.As(err, &status) || status.Message != "no such token: " {
		t.Errorf("%v", err)
	}
}

func TestReasons(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(answer))
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	secure.Config.ErrorLog = nil
	secure.StartTLS()
	defer secure.Close()
	old := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	defer old.Close()
	ca := write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	for _, c := range []struct {
		name string
		cfg  Config
		path string
		want string
	}{
		{"good", Config{URL: plain.URL}, "/good", ""},
		{"trusted", Config{URL: secure.URL, CAFile: ca}, "/good", ""},
		{"not trusted", Config{URL: secure.URL}, "/good", ReasonTLS},
		{"old TLS", Config{URL: old.URL}, "/good", ReasonTLS},
		{"old TLS, trusted", Config{URL: old.URL, CAFile: ca}, "/good", ReasonTLS},
		{"no TLS", Config{URL: strings.Replace(plain.URL, "http:", "https:", 1)}, "/good", ReasonTLS},
		{"no CA", Config{URL: secure.URL, CAFile: write(t, "x")}, "/good", ReasonCredentials},
		{"no token", Config{URL: plain.URL, TokenFile: "/nonexistent"}, "/good", ReasonCredentials},
		{"empty token", Config{URL: plain.URL, TokenFile: config.SecretFile(write(t, "\n"))}, "/good", ReasonCredentials},
		{"unauthorized", Config{URL: plain.URL}, "/401", ReasonAuth},
		{"forbidden", Config{URL: plain.URL}, "/403", ReasonAuth},
		{"failed", Config{URL: plain.URL}, "/500", ReasonStatus},
		{"garbage", Config{URL: plain.URL}, "/garbage", ReasonFormat},
		{"two values", Config{URL: plain.URL}, "/two", ReasonFormat},
		{"cut", Config{URL: plain.URL}, "/cut", ReasonOther},
		{"endless", Config{URL: plain.URL}, "/endless", ReasonFormat},
		{"hang", Config{URL: plain.URL}, "/hang", ReasonTimeout},
		{"no socket", Config{URL: "unix:///nonexistent/socket"}, "/good", ReasonRefused},
		{"refused", Config{URL: "http://127.0.0.1:1"}, "/good", ReasonRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			limit := time.Minute
			if c.want == ReasonTimeout {
				limit = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			err := client(t, c.cfg).Get(ctx, c.path, new(any))
			if got := reason(err); got != c.want {
				t.Errorf("%q, want %q: %v", got, c.want, err)
			}
		})
	}
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return Reason(err)
}

func answer(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/401", "/403", "/500":
		var code int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &code)
		http.Error(w, "no", code)
	case "/garbage":
		_, _ = io.WriteString(w, "<html>")
	case "/two":
		_, _ = io.WriteString(w, "{} {}")
	case "/cut":
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "[1,")
	case "/endless":
		_, _ = io.WriteString(w, "[1")
		for part := strings.Repeat(",1", 1<<15); ; {
			if _, err := io.WriteString(w, part); err != nil {
				return
			}
		}
	case "/hang":
		<-r.Context().Done()
	default:
		_, _ = io.WriteString(w, `{"a": 1}`)
	}
}

func TestUnixSocketAndStream(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "1\n2\n3\n")
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	sum := 0
	err = client(t, Config{URL: "unix://" + socket}).Stream(t.Context(), "/events", func(d *json.Decoder) error {
		for d.More() {
			var n int
			if err := d.Decode(&n); err != nil {
				return err
			}
			sum += n
		}
		return nil
	})
	if err != nil || sum != 6 {
		t.Errorf("sum %d, %v", sum, err)
	}
}

func TestCheck(t *testing.T) {
	for url, good := range map[string]bool{
		"http://a:1": true, "https://a/b": true, "unix:///run/x": true,
		"": false, "a:1": false, "ftp://a": false, "unix://run/x": false, "http://u:p@a": false, "http://a?x=1": false,
	} {
		if err := (Config{URL: url}).Check(); (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
	}
}

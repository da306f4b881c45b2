package loki

import (
	"context"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func secretFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

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
		var log testenv.Buffer
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

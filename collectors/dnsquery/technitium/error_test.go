package technitium

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

func file(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

type errorCase struct {
	name    string
	want    Reason
	message string // part of the error
	opts    technitiumtest.Options
	server  func(*technitiumtest.Server)
	client  func(*Options)
	timeout time.Duration
}

func errorCases(t *testing.T) []errorCase {
	fault := func(f technitiumtest.Fault) func(*technitiumtest.Server) {
		return func(s *technitiumtest.Server) { s.Fail(f) }
	}
	wrong := config.SecretFile(file(t, "0123456789abcdef"))
	tls := technitiumtest.Options{TLS: true}
	return []errorCase{
		{name: "hang", want: ReasonTimeout, server: fault(technitiumtest.Hang), timeout: 100 * time.Millisecond},
		{name: "slow count", want: ReasonTimeout, opts: technitiumtest.Options{CountTakes: 1e6 * time.Hour / 100}, timeout: 100 * time.Millisecond},
		{name: "hangs up", want: ReasonConnection, server: fault(technitiumtest.Abort)},
		{name: "cut in the head", want: ReasonConnection, server: fault(technitiumtest.Cut(20))},
		{name: "cut in a row", want: ReasonConnection, server: fault(technitiumtest.Cut(200))},
		{name: "refused", want: ReasonConnection, client: func(o *Options) { o.URL = "http://127.0.0.1:1" }},
		{name: "no such host", want: ReasonConnection, client: func(o *Options) { o.URL = "http://host.invalid" }},
		{name: "not trusted", want: ReasonTLS, opts: tls, client: func(o *Options) { o.CAFile = "" }},
		{name: "no CA file", want: ReasonTLS, opts: tls, client: func(o *Options) { o.CAFile = "/nonexistent" }},
		{name: "CA file without certificate", want: ReasonTLS, opts: tls, message: "no certificate", client: func(o *Options) { o.CAFile = string(wrong) }},
		{name: "no TLS there", want: ReasonTLS, client: func(o *Options) { o.URL = strings.Replace(o.URL, "http:", "https:", 1) }},
		{name: "500", want: ReasonHTTP, message: "500", server: fault(technitiumtest.Status(500))},
		{name: "404", want: ReasonHTTP, message: "404", client: func(o *Options) { o.URL += "/elsewhere" }},
		{name: "redirect", want: ReasonHTTP, message: "redirects", server: fault(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Redirect(w, r, "/api/logs/query?"+r.Form.Encode(), http.StatusTemporaryRedirect)
		})},
		{name: "plain HTTP to a TLS port", want: ReasonHTTP, message: "400", opts: tls, client: func(o *Options) { o.URL = strings.Replace(o.URL, "https:", "http:", 1) }},
		{name: "wrong token", want: ReasonToken, message: "Invalid token or session expired", client: func(o *Options) { o.TokenFile = wrong }},
		{name: "wrong token, 13", want: ReasonToken, opts: technitiumtest.Options{Version: "13.6"}, client: func(o *Options) { o.TokenFile = wrong }},
		{name: "no token file", want: ReasonToken, client: func(o *Options) { o.TokenFile = "/nonexistent" }},
		{name: "empty token file", want: ReasonToken, message: "empty", client: func(o *Options) { o.TokenFile = config.SecretFile(file(t, "\n")) }},
		{name: "second factor", want: ReasonToken, message: "second factor", server: fault(technitiumtest.Body(`{"status":"2fa-required","errorMessage":"A time-based one-time password (TOTP) is required."}`))},
		{name: "permission", want: ReasonPermission, message: "Access was denied. The token's user lacks the permission Logs: View.", server: func(s *technitiumtest.Server) { s.Deny("Logs") }},
		{name: "app not installed", want: ReasonApp, message: "Query Logs (Other)", client: func(o *Options) { o.App = "Query Logs (Other)" }},
		{name: "class path", want: ReasonApp, message: "Other.App", client: func(o *Options) { o.ClassPath = "Other.App" }},
		{name: "no such node", want: ReasonAPI, message: "dns7", client: func(o *Options) { o.Node = "dns7" }},
		{name: "error without a message", want: ReasonAPI, server: fault(technitiumtest.Body(`{"status":"error"}`))},
		{name: "unknown status", want: ReasonAPI, message: "busy", server: fault(technitiumtest.Body(`{"status":"busy"}`))},
		{name: "garbage", want: ReasonDecode, server: fault(technitiumtest.Body("<html>"))},
		{name: "nothing", want: ReasonDecode, server: fault(technitiumtest.Body(""))},
		{name: "another API", want: ReasonDecode, message: "not the API", server: fault(technitiumtest.Body(`{"response":{}}`))},
		{name: "no page", want: ReasonDecode, server: fault(technitiumtest.Body(`{"response":{},"status":"ok"}`))},
		{name: "no response", want: ReasonDecode, server: fault(technitiumtest.Body(`{"status":"ok"}`))},
		{name: "half", want: ReasonDecode, server: fault(technitiumtest.Body(`{"response":{"pageNumber":1,`))},
		{name: "two values", want: ReasonDecode, server: fault(technitiumtest.Body(`{"status":"ok","response":{"pageNumber":1,"totalPages":1,"totalEntries":0,"entries":[]}}{}`))},
		{name: "too long", want: ReasonDecode, message: "longer than 1000 bytes", client: func(o *Options) { o.MaxBytes = 1000 }},
		{name: "endless", want: ReasonDecode, message: "longer than", client: func(o *Options) { o.MaxBytes = 2 << 20 }, server: fault(endless)},
		{name: "endless value", want: ReasonDecode, message: "more than 1 MiB", server: fault(endlessString)},
		{name: "more rows than asked for", want: ReasonDecode, message: "more rows", server: fault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			_ = r.ParseForm()
			r.Form.Set("entriesPerPage", "100")
			next.ServeHTTP(w, r)
		})},
	}
}

func endless(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	_, _ = fmt.Fprint(w, `{"response":{"entries":[`)
	for part := strings.Repeat(`{"qname":"example.com"},`, 1<<10); ; {
		if _, err := fmt.Fprint(w, part); err != nil {
			return
		}
	}
}

func endlessString(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	_, _ = fmt.Fprint(w, `{"response":{"entries":[{"qname":"`)
	for part := strings.Repeat("a", 1<<15); ; {
		if _, err := fmt.Fprint(w, part); err != nil {
			return
		}
	}
}

func TestErrors(t *testing.T) {
	reasons := map[Reason]bool{}
	for _, c := range errorCases(t) {
		reasons[c.want] = true
		t.Run(c.name, func(t *testing.T) {
			s := technitiumtest.Start(t, c.opts)
			for i := range 30 {
				s.Insert(query(i))
			}
			if c.server != nil {
				c.server(s)
			}
			change := []func(*Options){}
			if c.client != nil {
				change = append(change, c.client)
			}
			limit := time.Minute
			if c.timeout > 0 {
				limit = c.timeout
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			perPage := 20
			if c.name == "endless" {
				perPage = 1 << 30
			}
			page, err := client(t, s, change...).Logs(ctx, Query{Page: 1, PerPage: perPage})
			if ReasonOf(err) != c.want || !strings.Contains(fmt.Sprint(err), c.message) {
				t.Errorf("reason %q, want %q: %v", ReasonOf(err), c.want, err)
			}
			if page.Rows != nil {
				t.Errorf("a failed call gives %d rows", len(page.Rows))
			}
			if strings.ContainsAny(err.Error(), "\n") || len(err.Error()) > 500 {
				t.Errorf("not a line of a log: %q", err)
			}
			noToken(t, s, err)
		})
	}
	for _, reason := range Reasons() {
		if !reasons[Reason(reason)] {
			t.Errorf("no case for %s", reason)
		}
	}
}

// noToken fails the test if the token is in an access log or in an error.
func noToken(t *testing.T, s *technitiumtest.Server, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, technitiumtest.Token) {
			t.Errorf("the token is in an error: %s", text)
		}
	}
	for _, line := range s.Requests() {
		if strings.Contains(line, technitiumtest.Token) {
			t.Errorf("the token is in a URL: %s", line)
		}
	}
}

// A proxy or server that repeats the token in its answer does not get it into a log through us.
func TestTokenRepeated(t *testing.T) {
	padding := strings.Repeat("x", maxMessage-10)
	for name, fault := range map[string]technitiumtest.Fault{
		"error":   technitiumtest.Body(`{"status":"error","errorMessage":"` + padding + technitiumtest.Token + `"}`),
		"invalid": technitiumtest.Body(`{"status":"invalid-token","errorMessage":"no session ` + technitiumtest.Token + `"}`),
		"status":  technitiumtest.Body(`{"status":"` + technitiumtest.Token + `"}`),
		"proxy": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			http.Error(w, padding+"Authorization: Bearer "+technitiumtest.Token, http.StatusBadGateway)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := technitiumtest.Start(t, technitiumtest.Options{})
			s.Fail(fault)
			_, err := client(t, s).Logs(t.Context(), Query{Page: 1, PerPage: 20})
			if err == nil {
				t.Fatal("no error")
			}
			noToken(t, s, err)
			if strings.Contains(err.Error(), technitiumtest.Token[:9]) {
				t.Errorf("a part of the token is left: %s", err)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	s := technitiumtest.Start(t, technitiumtest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	s.Fail(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		cancel()
		technitiumtest.Hang(w, r, next)
	})
	if _, err := client(t, s).Logs(ctx, Query{Page: 1, PerPage: 20}); !errors.Is(err, context.Canceled) || ReasonOf(err) != "" {
		t.Errorf("%v", err)
	}
}

// The token and the CA follow their files.
func TestFilesFollowed(t *testing.T) {
	s := technitiumtest.Start(t, technitiumtest.Options{TLS: true})
	token, ca := file(t, "wrong"), file(t, "wrong")
	c := client(t, s, func(o *Options) { o.TokenFile, o.CAFile = config.SecretFile(token), ca })
	ask := func() Reason {
		_, err := c.Logs(t.Context(), Query{Page: 1, PerPage: 20})
		return ReasonOf(err)
	}
	if got := ask(); got != ReasonTLS {
		t.Errorf("before: %q", got)
	}
	good, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != ReasonToken {
		t.Errorf("with the CA: %q", got)
	}
	if err := os.WriteFile(token, []byte(technitiumtest.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != "" {
		t.Errorf("with the token: %q", got)
	}
}

func TestOptions(t *testing.T) {
	for url, good := range map[string]bool{
		"http://dns:5380": true, "https://dns:53443/base/": true,
		"": false, "dns:5380": false, "ftp://dns": false, "http://u:p@dns": false, "http://dns?token=x": false, "http://": false, "http://dns/#a": false,
		"http://a b:x\x7f": false,
	} {
		if _, err := New(Options{URL: url}); (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		} else if err != nil && strings.Contains(err.Error(), "token=") {
			t.Errorf("%q: a secret in the error: %v", url, err)
		}
	}
}

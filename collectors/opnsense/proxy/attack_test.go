package proxy

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func TestPathsAndMethods(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	e := start(t, fw, func(o *Options, _ *Trust, _ *Server) { o.Allow = append(o.Allow, "dnsmasq/leases/*") })
	paths := []string{
		"/", "/api", "/api/", "/ui/core/system/status", "/api/core/system/reboot", "/api/core/system/status/", "/api//core/system/status",
		"/api/core/system/../system/status", "/api/core/system/status/..", "/api/./core/system/status", "/api/core/system/%2e%2e/system/status",
		"/api/core/system%2fstatus", "/api/core/system/%73tatus", "/api/core%5csystem/status", `/api/core\system\status`, "/api/core/system/status;a=b",
		"/api/core/system/status%00", "/api/core/system/status%0d%0aX:%20y", "//api/core/system/status", "/x/../api/core/system/status",
		"/api/dnsmasq/leases/a/b", "/api/dnsmasq/leases/..", "/api/dnsmasq/leases/*", "http://evil.example/api/core/system/status", "/api/core/system/status%3Fx",
	}
	for _, p := range paths {
		if got := e.raw("GET " + p + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.Contains(got, " 403 ") {
			t.Errorf("GET %s: %q", p, got)
		}
	}
	e.refused(RefusedPath, float64(len(paths)))
	methods := []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get"}
	for _, m := range methods {
		if got := e.raw(m + " /api/core/system/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.Contains(got, " 403 ") {
			t.Errorf("%s: %q", m, got)
		}
	}
	e.refused(RefusedMethod, float64(len(methods)))
	if asked := fw.Requests(); len(asked) != 0 {
		t.Errorf("the firewall was asked for %s", asked[0].URL)
	}
	for _, allowed := range []string{"core/system/status", "dnsmasq/leases/search", "routing/settings/search_gateway", "routing/settings/searchGateway?searchPhrase=x"} {
		if res, _ := e.get(allowed); res.StatusCode == http.StatusForbidden {
			t.Errorf("%s: %s", allowed, res.Status)
		}
	}
}

// Requests that two servers might part differently are refused, and what
// stands behind them on the connection is never a request of its own.
func TestSmuggling(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	e := start(t, fw, nil)
	const second = "GET /api/core/system/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	head := "POST /api/core/service/search HTTP/1.1\r\nHost: x\r\n"
	for name, request := range map[string]string{
		"TE and CL":            head + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG" + second,
		"CL and TE":            head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\nx\r\n0\r\n\r\n" + second,
		"chunked":              head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second,
		"unknown TE":           head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + second,
		"two TE":               head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + second,
		"two CL":               head + "Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello" + second,
		"negative CL":          head + "Content-Length: -1\r\n\r\n" + second,
		"space before colon":   head + "Content-Length : 0\r\n\r\n" + second,
		"line folding":         head + "X: a\r\n b\r\n: c\r\n\r\n" + second,
		"bare CR in header":    head + "X: a\rTransfer-Encoding: chunked\r\n\r\n" + second,
		"NUL in header":        head + "X: a\x00b\r\n\r\n" + second,
		"no host":              "GET /api/core/system/status HTTP/1.1\r\n\r\n",
		"two hosts":            "GET /api/core/system/status HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"header too large":     "GET /api/core/system/status HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n",
		"no HTTP":              "\x16\x03\x01\x02\x00hello\r\n\r\n",
		"response splitting":   "GET /api/core/system/status%0d%0aSet-Cookie:x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"HTTP/2 prior":         "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"space in the request": "GET /api/core/system/status HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		got := e.raw(request)
		if strings.Contains(got, " 200 ") {
			t.Errorf("%s: %q", name, got)
		}
	}
	if asked := fw.Requests(); len(asked) != 0 {
		t.Errorf("the firewall was asked for %s %s", asked[0].Method, asked[0].URL)
	}
	counted := e.proxy.Refused(RefusedLength) + e.proxy.Refused(RefusedIncomplete) + e.proxy.Refused(RefusedPath) + e.proxy.Refused(RefusedMethod)
	if counted < 18 {
		t.Errorf("%v refusals counted of 18", counted)
	}
}

// The firewall sees nothing of the client's header but what the API needs,
// and the client nothing of the firewall's.
func TestHeaders(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	e := start(t, fw, func(o *Options, _ *Trust, _ *Server) { o.Credentials = key })
	r, err := http.NewRequest(http.MethodPost, "http://"+e.address+"/api/core/service/search", strings.NewReader(`{"current":1}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Basic Y2xpZW50Om93bg==", "Cookie": "PHPSESSID=1", "X-Forwarded-For": "10.0.0.1", "X-Real-Ip": "10.0.0.1", "Connection": "X-Hop, Upgrade",
		"X-Hop": "1", "Upgrade": "websocket", "Te": "trailers", "Proxy-Authorization": "Basic x", "Referer": "http://x/", "X-Csrftoken": "1", "Forwarded": "for=1",
		"Accept": "application/json", "Content-Type": "application/json;charset=utf-8", "Host": "evil.example",
	} {
		r.Header.Set(name, value)
	}
	r.Host = "evil.example"
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	seen := fw.Requests()[0]
	for name := range seen.Header {
		if !strings.Contains(" Accept Content-Type User-Agent Authorization Content-Length ", " "+name+" ") {
			t.Errorf("the firewall got %s: %q", name, seen.Header[name])
		}
	}
	if user, _, _ := seen.BasicAuth(); user != testenv.OPNsenseKey || seen.Host == "evil.example" {
		t.Errorf("user %q at host %q", user, seen.Host)
	}
	for _, name := range []string{"Set-Cookie", "Server", "Location"} {
		if res.Header.Get(name) != "" {
			t.Errorf("the client got %s", name)
		}
	}
	e.noSecrets()
}

// An answer that points elsewhere is not followed and not passed on.
func TestRedirects(t *testing.T) {
	var other int
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { other++ }))
	defer elsewhere.Close()
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	e := start(t, fw, nil)
	for i, status := range []int{301, 302, 303, 304, 307, 308, 300} {
		fw.Answer("core/system/status", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/api/core/system/status", status)
		})
		if res, _ := e.get("core/system/status"); res.StatusCode != http.StatusBadGateway || res.Header.Get("Location") != "" {
			t.Errorf("%d: %s, location %q", status, res.Status, res.Header.Get("Location"))
		}
		e.failed(ErrorRedirect, float64(i+1))
	}
	if other > 0 {
		t.Errorf("the other host was asked %d times", other)
	}
	e.noSecrets()
}

func TestCertificates(t *testing.T) {
	good := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	stranger := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	expired := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{NotAfter: time.Now().Add(-time.Hour)})
	named := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{Name: "firewall.lan"})
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		fw    *testenv.OPNsense
		trust Trust
		ok    bool
	}{
		{"CA", good, Trust{CAFile: good.CAFile}, true},
		{"pin", good, Trust{PinSHA256: good.Pin}, true},
		{"other CA", good, Trust{CAFile: stranger.CAFile}, false},
		{"the system's CAs", good, Trust{}, false},
		{"no CA file", good, Trust{CAFile: "/nonexistent"}, false},
		{"junk CA file", good, Trust{CAFile: junk}, false},
		{"other pin", good, Trust{PinSHA256: stranger.Pin}, false},
		{"expired", expired, Trust{CAFile: expired.CAFile}, false},
		{"expired with its pin", expired, Trust{PinSHA256: expired.Pin}, false},
		{"expired, insecure", expired, Trust{Insecure: true}, true},
		{"other name", named, Trust{CAFile: named.CAFile}, false},
		{"name given", named, Trust{CAFile: named.CAFile, ServerName: "firewall.lan"}, true},
		{"other name with its pin", named, Trust{PinSHA256: named.Pin}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t, test.fw, func(_ *Options, trust *Trust, _ *Server) { *trust = test.trust })
			before := len(test.fw.Requests())
			res, _ := e.get("core/service/search")
			expiry, trusted, known := e.up.Certificate()
			if !known || expiry.IsZero() || trusted != (test.ok && !test.trust.Insecure) {
				t.Errorf("certificate: expiry %s trusted %v known %v", expiry, trusted, known)
			}
			if test.ok {
				if res.StatusCode != http.StatusOK {
					t.Errorf("%s\n%s", res.Status, e.log)
				}
				return
			}
			if res.StatusCode != http.StatusBadGateway || len(test.fw.Requests()) != before {
				t.Errorf("%s, %d requests arrived", res.Status, len(test.fw.Requests())-before)
			}
			e.failed(ErrorCertificate, 1)
			e.noSecrets()
			if err := e.up.Shake(t.Context()); err == nil {
				t.Error("a handshake of the probe succeeds")
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	other := func() (config.Secret, config.Secret, error) {
		return config.NewSecret("container"), config.NewSecret("own"), nil
	}
	e := start(t, fw, func(o *Options, _ *Trust, _ *Server) { o.Credentials, o.Client = key, other })
	ask := func(user, password string) int {
		r, _ := http.NewRequest(http.MethodGet, "http://"+e.address+"/api/core/service/search", nil)
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if got := ask("container", "own"); got != 200 {
		t.Errorf("with the client's key: %d", got)
	}
	for _, wrong := range [][2]string{{"", ""}, {"container", "x"}, {"x", "own"}, {testenv.OPNsenseKey, testenv.OPNsenseSecret}} {
		if got := ask(wrong[0], wrong[1]); got != 401 {
			t.Errorf("with %q: %d", wrong[0], got)
		}
	}
	e.refused(RefusedCredentials, 4)
	if accepted, known := e.proxy.KeyAccepted(); !known || !accepted {
		t.Error("the key is not known to be accepted")
	}
	fw.Revoke()
	if got := ask("container", "own"); got != 401 {
		t.Errorf("revoked: %d", got)
	}
	if accepted, known := e.proxy.KeyAccepted(); !known || accepted {
		t.Error("the key is not known to be rejected")
	}
	e.noSecrets()
}

func TestSecretFileGone(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	gone := func() (a, b config.Secret, err error) {
		a, err = config.SecretFile("/nonexistent").Read()
		return a, a, err
	}
	e := start(t, fw, func(o *Options, _ *Trust, _ *Server) { o.Credentials = gone })
	if res, _ := e.get("core/service/search"); res.StatusCode != http.StatusBadGateway {
		t.Errorf("%s", res.Status)
	}
	e.failed(ErrorSecret, 1)
	e = start(t, fw, func(o *Options, _ *Trust, _ *Server) { o.Client = gone })
	if res, _ := e.get("core/service/search"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s", res.Status)
	}
}

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// webHost is a real nginx before an upstream that can be stopped, with Debian's exporter, and
// mtail on the log of the shipped configuration.
type webHost struct {
	nginx           *testenv.Nginx
	http            string // the http block
	dir             string // of the log and its configuration
	site, upstream  string // host:port
	status          string // host:port of stub_status
	exporter, mtail *daemon
	server          *http.Server
}

// newWebHost takes the shipped files, with the paths and ports of the test.
func newWebHost(t *testing.T) *webHost {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "vweb-") // t.TempDir keeps nginx's workers out
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &webHost{dir: dir, site: freeAddress(t), upstream: freeAddress(t), status: freeAddress(t)}
	w.log(t, "status.log")
	w.http = fmt.Sprintf(`
include %[1]s/status-log.conf; # the access_log
server { listen %[2]s; server_name shop.lan; location / { proxy_pass http://%[3]s; } }
server { listen %[2]s; server_name busy.lan; location / { return 204; } }`, dir, w.site, w.upstream)
	w.startUpstream(t)
	w.nginx = testenv.StartNginx(t, w.http)
	address := freeAddress(t)
	w.exporter = startDaemon(t, address, "/metrics", "prometheus-nginx-exporter",
		"-web.listen-address="+address, "-nginx.scrape-uri=http://"+w.status+"/stub_status")
	address = freeAddress(t)
	host, port, _ := net.SplitHostPort(address)
	w.mtail = startDaemon(t, address, "/metrics", "mtail", "--logtostderr", "--emit_prog_label=false",
		"--progs="+filepath.Join(testenv.Root(t), "deploy", "mtail", "nginx_status.mtail"),
		"--logs="+filepath.Join(dir, "status.log"), "--address="+host, "--port="+port)
	return w
}

// log writes deploy/mtail/nginx-status-log.conf for a file of that name.
func (w *webHost) log(t *testing.T, name string) {
	t.Helper()
	shipped, err := os.ReadFile(filepath.Join(testenv.Root(t), "deploy", "mtail", "nginx-status-log.conf"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(shipped)
	for from, to := range map[string]string{"/var/log/nginx/status.log": filepath.Join(w.dir, name), "127.0.0.1:8080": w.status} {
		if !strings.Contains(text, from) {
			t.Fatalf("nginx-status-log.conf has no %s", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "status-log.conf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (w *webHost) startUpstream(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", w.upstream)
	if err != nil {
		t.Fatal(err)
	}
	w.server = &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = w.server.Serve(listener) }()
	t.Cleanup(func() { _ = w.server.Close() })
}

// visit asks both sites some 30 times a second until the test ends; the shop is the lesser part.
func (w *webHost) visit(t *testing.T) {
	ask := func(host string) {
		request, err := http.NewRequest(http.MethodGet, "http://"+w.site+"/", nil)
		if err != nil {
			return
		}
		request.Host = host
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
		}
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	t.Cleanup(ticker.Stop)
	go func() {
		for {
			select {
			case <-t.Context().Done():
				return
			case <-ticker.C:
				ask("shop.lan")
				ask("busy.lan")
				ask("busy.lan")
			}
		}
	}()
}

// TestNginx: what is behind nginx stops, nginx stops, its log goes elsewhere, mtail stops.
func TestNginx(t *testing.T) {
	t.Parallel()
	w := newWebHost(t)
	w.visit(t)
	h := New(t, Options{
		Rules:     []string{"nginx_alerts"},
		Targets:   map[string]string{"nginx": w.exporter.Address, "nginx_log": w.mtail.Address},
		Instances: map[string]string{"nginx": "web", "nginx_log": "web"},
	})
	// The shop answers 404 to everybody: a site that is there.
	h.waitValue(`sum(nginx_up) + count(nginx_log_responses_total{class="4xx", server_name="shop.lan"} > 5)`, 2)
	h.ExactlyFiring()
	of := func(name string, labels ...string) Alert {
		a := Alert{name, map[string]string{"instance": "web"}}
		for i := 0; i < len(labels); i += 2 {
			a.Labels[labels[i]] = labels[i+1]
		}
		return a
	}
	through := func(alert Alert, fault, mend func()) {
		t.Helper()
		fault()
		h.WaitFiring(alert.Name, alert.Labels)
		h.ExactlyFiring(alert)
		mend()
		h.WaitResolved(alert.Name, alert.Labels)
		h.ExactlyFiring()
	}
	errors := of("NginxHighErrorRate", "server_name", "shop.lan")
	down, lost := of("NginxDown"), of("NginxLogNotRead")
	deaf := of("NginxNotObserved", "job", "nginx_log")

	through(errors, func() { _ = w.server.Close() }, func() { w.startUpstream(t) })
	through(down, w.nginx.Stop, func() { w.nginx = testenv.StartNginx(t, w.http) })
	through(lost,
		func() { w.log(t, "elsewhere.log"); w.nginx.Reload(t) },
		func() { w.log(t, "status.log"); w.nginx.Reload(t) })
	through(deaf, w.mtail.Kill, func() { w.mtail.Start(t) })
	h.catalogued(t, "nginx", "nginx_exporter")
	h.catalogued(t, "nginx_log", "mtail", "mtail_prog_load_errors_total")
	h.ExactlyFired(errors, down, lost, deaf)
}

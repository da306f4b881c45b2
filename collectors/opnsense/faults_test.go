package opnsense

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// What is wrong with the firewall is data: the run succeeds, tells it, and
// shows no fact that was not read.
func TestFaults(t *testing.T) {
	expired := time.Now().Add(-time.Hour)
	for _, test := range []struct {
		name    string
		options testenv.OPNsenseOptions
		fault   func(fw *testenv.OPNsense)
		more    string
		want    map[string]string
	}{
		{"stopped", testenv.OPNsenseOptions{}, func(fw *testenv.OPNsense) { fw.Stop() }, "", map[string]string{
			`opnsense_upstream_up{source="home"}`: "0", `opnsense_upstream_probe_failures_total{source="home",reason="connect"}`: "1",
			`opnsense_api_key_accepted{source="home"}`: "", `opnsense_upstream_certificate_trusted{source="home"}`: "",
			`opnsense_cpu_ratio{source="home",mode="idle"}`: "", `opnsense_upstream_insecure{source="home"}`: "0"}},
		{"key revoked", testenv.OPNsenseOptions{}, func(fw *testenv.OPNsense) { fw.Revoke() }, "", map[string]string{
			`opnsense_upstream_up{source="home"}`: "1", `opnsense_api_key_accepted{source="home"}`: "0", `opnsense_cpu_ratio{source="home",mode="idle"}`: ""}},
		{"certificate expired", testenv.OPNsenseOptions{NotAfter: expired}, func(*testenv.OPNsense) {}, "", map[string]string{
			`opnsense_upstream_up{source="home"}`: "0", `opnsense_upstream_certificate_trusted{source="home"}`: "0",
			`opnsense_upstream_probe_failures_total{source="home",reason="certificate"}`: "1", `opnsense_api_key_accepted{source="home"}`: ""}},
		{"certificate of another name", testenv.OPNsenseOptions{Name: "firewall.lan"}, func(*testenv.OPNsense) {}, "", map[string]string{
			`opnsense_upstream_up{source="home"}`: "0", `opnsense_upstream_certificate_trusted{source="home"}`: "0"}},
		{"its name given", testenv.OPNsenseOptions{Name: "firewall.lan"}, func(*testenv.OPNsense) {}, "server_name: firewall.lan", map[string]string{
			`opnsense_upstream_up{source="home"}`: "1", `opnsense_upstream_certificate_trusted{source="home"}`: "1", `opnsense_cpu_ratio{source="home",mode="idle"}`: "0.96"}},
		{"500", testenv.OPNsenseOptions{}, all(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }), "", map[string]string{
			`opnsense_upstream_up{source="home"}`: "0", `opnsense_upstream_probe_failures_total{source="home",reason="status"}`: "1"}},
		{"garbage", testenv.OPNsenseOptions{}, all(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }), "", map[string]string{
			`opnsense_upstream_up{source="home"}`: "1", `opnsense_facts_available{source="home",endpoint="core/system/status"}`: "0",
			`opnsense_cpu_ratio{source="home",mode="idle"}`: "", `opnsense_api_key_accepted{source="home"}`: "1"}},
		{"too large", testenv.OPNsenseOptions{}, all(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }), "max_response_bytes: 2000", map[string]string{
			`opnsense_upstream_up{source="home"}`: "0", `opnsense_upstream_probe_failures_total{source="home",reason="other"}`: "1"}},
		{"redirect", testenv.OPNsenseOptions{}, all(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}), "", map[string]string{
			`opnsense_upstream_up{source="home"}`: "1", `opnsense_facts_available{source="home",endpoint="core/system/status"}`: "0"}},
		{"no plugin", testenv.OPNsenseOptions{}, func(fw *testenv.OPNsense) { fw.Answer("diagnostics/activity/getActivity", http.NotFound) }, "", map[string]string{
			`opnsense_upstream_up{source="home"}`: "1", `opnsense_facts_available{source="home",endpoint="diagnostics/activity/getActivity"}`: "0",
			`opnsense_cpu_ratio{source="home",mode="idle"}`: "", `opnsense_load1{source="home"}`: "0.31"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fw := testenv.StartOPNsense(t, "25.1", test.options)
			test.fault(fw)
			s := collectortest.Load(t, Definition(), sourceYAML(t, fw, test.more))[0]
			out, err := collectortest.Run(t, s, environment(t))
			if err != nil {
				t.Error(err)
			}
			text := collectortest.Text(t, out)
			for series, want := range test.want {
				if got := value(text, series); got != want {
					t.Errorf("%s is %q, want %q", series, got, want)
				}
			}
		})
	}
}

func all(answer http.HandlerFunc) func(*testenv.OPNsense) {
	return func(fw *testenv.OPNsense) {
		for _, f := range new(opnsense).facts() {
			fw.Answer(f.endpoint, answer)
		}
	}
}

func TestInsecure(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.1", testenv.OPNsenseOptions{NotAfter: time.Now().Add(-time.Hour)})
	var log bytes.Buffer
	var mu sync.Mutex
	env := environment(t)
	env.Logger = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))
	yaml := strings.Replace(sourceYAML(t, fw, "insecure_skip_verify: true"), "ca_file: "+fw.CAFile, "http_version: auto", 1)
	out, err := collectortest.Run(t, collectortest.Load(t, Definition(), yaml)[0], env)
	if err != nil {
		t.Fatal(err)
	}
	text := collectortest.Text(t, out)
	for series, want := range map[string]string{`opnsense_upstream_insecure{source="home"}`: "1", `opnsense_upstream_up{source="home"}`: "1", `opnsense_upstream_certificate_trusted{source="home"}`: "0"} {
		if got := value(text, series); got != want {
			t.Errorf("%s is %q, want %q", series, got, want)
		}
	}
	if !strings.Contains(log.String(), "any certificate is accepted") {
		t.Errorf("the log does not say so:\n%s", &log)
	}
}

// Without a key clients send their own, no facts are read, and the probe shows
// none to anybody.
func TestPassThrough(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.1", testenv.OPNsenseOptions{})
	yaml := fmt.Sprintf("sources:\n  - {name: home, url: %q, pin_sha256: %q, listen: \"\"}", fw.URL, fw.Pin)
	out, err := collectortest.Run(t, collectortest.Load(t, Definition(), yaml)[0], environment(t))
	if err != nil {
		t.Fatal(err)
	}
	text := collectortest.Text(t, out)
	if value(text, `opnsense_upstream_up{source="home"}`) != "1" || strings.Contains(text, "opnsense_facts_available{") || strings.Contains(text, "opnsense_api_key_accepted{") {
		t.Error(text)
	}
	for _, r := range fw.Requests() {
		if r.Header.Get("Authorization") != "" || r.Method != http.MethodHead {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
	}
}

// An endpoint that hangs costs its own facts and no others.
func TestOneFactHangs(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.1", testenv.OPNsenseOptions{})
	release := make(chan struct{})
	fw.Answer("diagnostics/activity/getActivity", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	s := collectortest.Load(t, Definition(), sourceYAML(t, fw, ""))[0]
	s.Timeout = 2 * time.Second
	out, err := collectortest.Run(t, s, environment(t))
	if err != nil {
		t.Fatal(err)
	}
	text := collectortest.Text(t, out)
	if value(text, `opnsense_load1{source="home"}`) != "0.31" || value(text, `opnsense_facts_available{source="home",endpoint="diagnostics/activity/getActivity"}`) != "0" {
		t.Error(text)
	}
}

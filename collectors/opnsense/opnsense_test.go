package opnsense

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLint(t *testing.T) { collectortest.Lint(t, Definition()) }

// now moves golden runs into the life of the fake's certificate.
var now = time.Now()

func environment(t testing.TB) collector.Env {
	env := collectortest.Env(t)
	env.Now = func() time.Time { return now }
	return env
}

// secretsOf writes the fake's key and secret into files.
func secretsOf(t testing.TB, secret string) (keyFile, secretFile string) {
	t.Helper()
	dir := t.TempDir()
	keyFile, secretFile = filepath.Join(dir, "key"), filepath.Join(dir, "secret")
	for path, text := range map[string]string{keyFile: testenv.OPNsenseKey, secretFile: secret} {
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return keyFile, secretFile
}

// sourceYAML is the YAML of one source.
func sourceYAML(t testing.TB, fw *testenv.OPNsense, more string) string {
	t.Helper()
	k, s := secretsOf(t, testenv.OPNsenseSecret)
	return fmt.Sprintf("sources:\n  - name: home\n    url: %s\n    ca_file: %s\n    key_file: %s\n    secret_file: %s\n    listen: 127.0.0.1:0\n    %s", fw.URL, fw.CAFile, k, s, more)
}

// stable cuts what differs from run to run.
func stable(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		switch {
		case strings.Contains(line, "not_after_timestamp_seconds{"), strings.Contains(line, "boot_timestamp_seconds{"):
			line = line[:strings.LastIndexByte(line, ' ')] + " T\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

// ownOmitted leaves out what does not depend on the version.
func ownOmitted(text string) string {
	own := regexp.MustCompile(`(?m)^(# (HELP|TYPE) )?opnsense_(proxy|transform|shape)_.*\n`)
	return own.ReplaceAllString(text, "")
}

// One run against each version gives the recorded series.
func TestGolden(t *testing.T) {
	var batches []*metric.Batch
	for _, version := range testenv.OPNsenseVersions() {
		t.Run(version, func(t *testing.T) {
			fw := testenv.StartOPNsense(t, version, testenv.OPNsenseOptions{})
			s := collectortest.Load(t, Definition(), sourceYAML(t, fw, ""))[0]
			out, err := collectortest.Run(t, s, environment(t))
			if err != nil {
				t.Error(err)
			}
			batches = append(batches, out)
			text := stable(collectortest.Text(t, out))
			if version != "24.7" {
				text = ownOmitted(text)
			}
			collectortest.Want(t, text, filepath.Join("testdata", version, "want.prom"))
		})
	}
	batches = append(batches, drifted(t))
	collectortest.Covered(t, Definition(), batches...)
}

// value is a series of an exposition, "" where there is none.
func value(text, series string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// drifted is a run after a firmware update whose field has another type.
func drifted(t *testing.T) *metric.Batch {
	t.Helper()
	fw := testenv.StartOPNsense(t, "25.1", testenv.OPNsenseOptions{})
	s := collectortest.Load(t, Definition(), sourceYAML(t, fw, ""))[0]
	env := environment(t)
	var log bytes.Buffer
	var mu sync.Mutex
	env.Logger = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))
	clock := now
	env.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	c, err := s.New(env)
	if err != nil {
		t.Fatal(err)
	}
	defer c.(collector.Closer).Close()
	var out *metric.Batch
	for i := range 12 {
		if i == 11 {
			fw.Update("25.7.7")
		}
		if out, err = collectortest.Collect(t, s, c); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		clock = clock.Add(time.Minute)
		mu.Unlock()
	}
	text := collectortest.Text(t, out)
	for series, want := range map[string]string{
		`opnsense_shape_changes_total{source="home",endpoint="routing/settings/searchGateway",change="type"}`:     "0",
		`opnsense_shape_changes_total{source="home",endpoint="core/system/status",change="type"}`:                 "1",
		`opnsense_shape_last_change_timestamp_seconds{source="home",endpoint="core/system/status",change="type"}`: fmt.Sprint(float64(now.Add(11*time.Minute).UnixMilli()) / 1e3),
		`opnsense_shape_fields{source="home",endpoint="diagnostics/system/systemResources"}`:                      "9",
	} {
		if got := value(text, series); got != want {
			t.Errorf("%s is %s, want %s", series, got, want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, line := range []string{`field=metadata.system.status change=type was=number is=string`} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log lacks %q:\n%s", line, &log)
		}
	}
	return out
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// The proxy runs beside the passes, and they tell what it counted.
func TestRun(t *testing.T) {
	fw := testenv.StartOPNsense(t, "25.7.7", testenv.OPNsenseOptions{})
	s := collectortest.Load(t, Definition(), sourceYAML(t, fw, ""))[0]
	c, err := s.New(environment(t))
	if err != nil {
		t.Fatal(err)
	}
	o := c.(*opnsense)
	defer o.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	testenv.Eventually(t, 20*time.Second, func() error {
		if o.server.Addr() == nil {
			return fmt.Errorf("not listening")
		}
		return nil
	})
	res, err := http.Get("http://" + o.server.Addr().String() + "/api/routing/settings/searchGateway")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err != nil || !strings.Contains(string(body), `"priority": "254"`) {
		t.Errorf("%v %s", err, body)
	}
	var text string
	testenv.Eventually(t, 20*time.Second, func() error {
		out, err := collectortest.Collect(t, s, c)
		if err != nil {
			return err
		}
		text = collectortest.Text(t, out)
		if value(text, `opnsense_proxy_requests_total{source="home",endpoint="routing/settings/searchGateway",class="2xx"}`) != "1" {
			return fmt.Errorf("not counted")
		}
		return nil
	})
	for series, want := range map[string]string{
		`opnsense_proxy_listening{source="home"}`: "1", `opnsense_proxy_in_flight_requests{source="home"}`: "0",
		`opnsense_transform_fields_total{source="home",endpoint="routing/settings/searchGateway",field="rows[].priority"}`: "4",
		`opnsense_proxy_upstream_duration_seconds_count{source="home",endpoint="routing/settings/searchGateway"}`:          "1",
		`opnsense_proxy_added_duration_seconds_count{source="home"}`:                                                       "1",
	} {
		if got := value(text, series); got != want {
			t.Errorf("%s is %q, want %q", series, got, want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBadConfigs(t *testing.T) {
	for text, want := range map[string]string{
		"url: http://x":      "url: expected https://HOST",
		"url: https://x/api": "url: expected https://HOST",
		"url: https://u:p@x": "url: expected https://HOST",
		"url: https://x, ca_file: a, insecure_skip_verify: true":       "at most one of",
		"url: https://x, pin_sha256: abc":                              "pin_sha256: expected 32 bytes",
		"url: https://x, key_file: a":                                  "expected key_file and secret_file",
		"url: https://x, client: {key_file: a}":                        "expected key_file and secret_file",
		"url: https://x, client: {key_file: a, secret_file: b}":        "without key_file",
		"url: https://x, listen: x":                                    "listen: expected HOST:PORT",
		"url: https://x, listen_tls: {client_ca_file: a}":              "listen_tls: expected cert_file",
		"url: https://x, allow: [../x]":                                "allow[0]: expected a path below /api/",
		"url: https://x, rules: [{endpoint: /a, field: b, type: int}]": "rules[0].endpoint: expected a path",
		"url: https://x, rules: [{endpoint: a, field: b, type: text}]": "rules[0]: expected a type of",
		"url: https://x, http_version: '3'":                            "http_version: expected auto",
		"url: https://x, upstream_timeout: 0s":                         "upstream_timeout: expected",
		"url: https://x, max_response_bytes: 1":                        "max_response_bytes: expected",
	} {
		_, err := collector.Load("x.yml", []byte("opnsense: {sources: [{name: a, "+text+"}]}"), []*collector.Definition{Definition()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

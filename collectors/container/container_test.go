package container

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// serve answers on a unix socket and gives its path.
func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "vc-")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); _ = os.RemoveAll(dir) })
	return socket
}

// An engine that does not tell is said to be down with the reason, and nothing of it is shown.
func TestEngineFaults(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		answer       http.HandlerFunc
	}{
		{"garbage", "format", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }},
		{"truncated", "format", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[{"Id":"a"`) }},
		{"other type", "format", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"message":"x"}`) }},
		{"error", "status", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }},
		{"denied", "auth", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }},
		{"hang", "timeout", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := collectortest.Load(t, Definition(), fmt.Sprintf("timeout: 1s\nsources: [{name: s, socket: %s, expected: [a]}]", serve(t, c.answer)))[0]
			out, err := collectortest.Run(t, source, collectortest.Env(t))
			if err != nil {
				t.Fatal(err)
			}
			text := collectortest.Text(t, out)
			if err := has(text, "container_socket_up 0", fmt.Sprintf("container_socket_error{reason=%q} 1", c.reason), `container_configured{name="a"} 1`); err != nil {
				t.Error(err)
			}
			if strings.Contains(text, "container_state") || strings.Contains(text, "events_readable") {
				t.Error(text)
			}
		})
	}
}

// What one container or the events do not tell leaves the others alone. As Docker answers:
// aliases of links, an engine without events, a container that went away after it was listed.
func TestPartly(t *testing.T) {
	socket := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		switch r.URL.Path {
		case "/v1.40/containers/json":
			_, _ = io.WriteString(w, `[{"Id":"1","Names":["/other/alias","/web"],"State":"running"},{"Id":"2","Names":["/bad"],"State":"a new one"},
				{"Id":"0123456789abcdef","Names":[],"State":"dead"},{"Id":"4","Names":["/web"],"State":"exited"}]`)
		case "/v1.40/containers/1/json":
			_, _ = io.WriteString(w, `{"RestartCount":2,"State":{"Running":true,"ExitCode":0,"StartedAt":"2026-11-01T11:00:00Z","FinishedAt":"2026-11-01T10:00:00Z"}}`)
		case "/v1.40/containers/2/json":
			_, _ = io.WriteString(w, `{"State":`)
		default:
			http.Error(w, "no", http.StatusNotFound)
		}
	})
	source := collectortest.Load(t, Definition(), "sources: [{name: s, socket: "+socket+"}]")[0]
	out, err := collectortest.Run(t, source, collectortest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	text := collectortest.Text(t, out)
	if err := has(text, "container_socket_up 1", "container_unreadable 1", "container_events_readable 0",
		`container_state{name="web",state="running"} 1`, `container_state{name="bad",state="running"} 0`,
		`container_state{name="0123456789ab",state="dead"} 1`, `container_restarts_total{name="web"} 2`,
		`container_finished_timestamp_seconds{name="web"} 1.7935272e+09`); err != nil {
		t.Error(err)
	}
	if strings.Contains(text, "container_exit_code") {
		t.Error("an exit code of a container that runs")
	}
}

// Counts survive, each event counts once, and one that is not JSON stops nothing that was counted.
func TestCount(t *testing.T) {
	line := func(name, code string, at int64) string {
		return fmt.Sprintf(`{"Action":"die","timeNano":%d,"Actor":{"Attributes":{"name":%q,"exitCode":%q}}}`+"\n", at, name, code)
	}
	m := memory{Names: metric.NewBounded(2)}
	text := line("a", "1", 10) + line("a", "0", 11) + line("b", "137", 12) + line("c", "1", 13) + line("old", "1", 5) +
		`{"Action":"start","timeNano":14,"Actor":{"Attributes":{"name":"a"}}}`
	if err := m.count(json.NewDecoder(strings.NewReader(text)), 5); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, result string
		want         float64
	}{{"a", resultFailure, 1}, {"a", resultSuccess, 1}, {"b", resultFailure, 1}, {metric.Other, resultFailure, 1}} {
		if got := m.Exits.Value(c.name, c.result); got != c.want {
			t.Errorf("%s %s: %v, want %v", c.name, c.result, got, c.want)
		}
	}
	if m.Cursor != 13 || m.Exits.Sum() != 4 {
		t.Errorf("cursor %d, sum %v", m.Cursor, m.Exits.Sum())
	}
	if err := m.count(json.NewDecoder(strings.NewReader("<html>")), 13); err == nil {
		t.Error("no error")
	}
}

func TestConfigErrors(t *testing.T) {
	for yaml, want := range map[string]string{
		"sources: [{name: s, socket: x}]":                      "container.sources[0].socket: expected an absolute path",
		"sources: [{name: s, socket: /x, user: u}]":            "container.sources[0].user: expected either",
		"sources: [{name: s, expected: [a, a]}]":               "container.sources[0].expected: expected different",
		"sources: [{name: s, quadlets: [containers/systemd]}]": "container.sources[0].quadlets: expected absolute",
	} {
		_, err := collector.Load("test.yml", []byte("container: {"+yaml+"}"), []*collector.Definition{Definition()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", yaml, err)
		}
	}
}

func TestSockets(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, systemSocket}, {Config{Socket: "/x"}, "/x"}, {Config{User: "root"}, "/run/user/0/podman/podman.sock"},
	} {
		if got, err := socketOf(c.cfg); got != c.want || err != nil {
			t.Errorf("%+v: %q, %v", c.cfg, got, err)
		}
	}
	if got, err := socketOf(Config{User: "no such user"}); err == nil {
		t.Errorf("%q", got)
	}
}

// A quadlet that cannot be read is an error, never one container less in silence.
func TestQuadletUnreadable(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/nonexistent", filepath.Join(dir, "x.container")); err != nil {
		t.Fatal(err)
	}
	if got, err := expected(Config{Expected: []string{"a"}, Quadlets: []string{dir}}); err == nil || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
}

// A oneshot quadlet is a job: it need not be there.
func TestQuadletJob(t *testing.T) {
	for text, want := range map[string]string{
		"[Container]\nImage=x\n[Service]\nRestart=always\n":         "systemd-u",
		"[Container]\nImage=x\n[Service]\nType=oneshot\n":           "",
		"[Service]\nType = oneshot\n[Container]\nContainerName=a\n": "",
		"[Container]\nType=oneshot\n":                               "systemd-u",
	} {
		if name, err := quadletName(strings.NewReader(text), "u"); err != nil || name != want {
			t.Errorf("%q: %q, %v, want %q", text, name, err, want)
		}
	}
	names, err := expected(Config{Quadlets: []string{quadletDir(t)}})
	if err != nil || slices.Contains(names, "systemd-job") || slices.Contains(names, "") || !slices.Contains(names, "systemd-plain") {
		t.Errorf("%q, %v", names, err)
	}
}

// Docker leaves "unhealthy" behind when it ends a container's check because the container is stopped
// or paused.
func TestHealthWhileItRuns(t *testing.T) {
	for state, shown := range map[string]bool{
		`"Running":true`:                 true,
		`"Running":true,"Paused":true`:   false,
		`"Running":false,"ExitCode":137`: false,
	} {
		var in inspected
		if err := json.Unmarshal([]byte(`{"State":{`+state+`,"Health":{"Status":"unhealthy"}}}`), &in); err != nil {
			t.Fatal(err)
		}
		out := collectortest.Load(t, Definition(), "sources: [{name: default}]")[0].Batch()
		in.emit("a", out)
		if text := collectortest.Text(t, out); strings.Contains(text, "container_health{") != shown {
			t.Errorf("%s:\n%s", state, text)
		}
	}
}

// A quadlet that cannot be read makes the run fail. The containers were listed all the same: without
// their states each one that is configured would be told to be down.
func TestStatesOfFailedRun(t *testing.T) {
	if !configured.Desc().Live || !lifeState.Desc().Live || !info.Desc().Live {
		t.Error("a failed run tells which containers should run, and not which do")
	}
}

func FuzzQuadlet(f *testing.F) {
	f.Add("[Container]\nContainerName=a\n", "u")
	f.Add("ContainerName=%p\n[Container]\nContainerName=%p-%i", "u@1")
	f.Fuzz(func(t *testing.T, text, unit string) {
		if name, err := quadletName(strings.NewReader(text), unit); err == nil && name == "" && unit != "" && !strings.Contains(text, "%") && !strings.Contains(text, "oneshot") {
			t.Error("no name")
		}
	})
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte(`{"Action":"die","timeNano":1,"Actor":{"Attributes":{"name":"a","exitCode":"1"}}}`))
	f.Add([]byte(`{"Action":"die"}{"Action":"die"`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m := memory{Names: metric.NewBounded(1)}
		_ = m.count(json.NewDecoder(strings.NewReader(string(text))), 0)
		if m.Cursor < 0 || m.Exits.Sum() < 0 {
			t.Errorf("%+v", m)
		}
	})
}

func FuzzInspect(f *testing.F) {
	f.Add([]byte(`{"RestartCount":2,"State":{"Running":true,"ExitCode":0,"StartedAt":"2026-11-01T11:00:00Z"}}`))
	f.Add([]byte(`{"RestartCount":-1,"State":{"ExitCode":1e300,"FinishedAt":"0001-01-01T00:00:00Z","Health":{"Status":"x"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var in inspected
		if json.Unmarshal(text, &in) != nil {
			return
		}
		out := metric.NewBatch(declared, "source", "s", 0)
		in.emit("n", out)
		if err := out.Err(); err != nil {
			t.Error(err)
		}
	})
}

func TestLint(t *testing.T) { collectortest.Lint(t, Definition()) }

package container

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func quadletDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"named.container":  "[Unit]\nContainerName=no\n[Container]\nImage=x\nContainerName = ok\n",
		"plain.container":  "[Container]\nImage=x\n",
		"many@.container":  "[Container]\nImage=x\n",
		"one@1.container":  "[Container]\nContainerName=%p-%i\n",
		"net.network":      "[Network]\n",
		"job.container":    "[Container]\nImage=x\n[Service]\nType=oneshot\n",
		"other.container~": "[Container]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// has checks that the text has each line, given without the source label.
func has(text string, lines ...string) error {
	for _, l := range lines {
		l = strings.Replace(l, "{", `{source="s",`, 1)
		if !strings.Contains(l, "{") {
			l = strings.Replace(l, " ", `{source="s"} `, 1)
		}
		if !strings.Contains(text, "\n"+l+"\n") {
			return fmt.Errorf("no %s in\n%s", l, text)
		}
	}
	return nil
}

func value(t *testing.T, text, series string) string {
	t.Helper()
	m := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(strings.Replace(series, "{", `{source="s",`, 1)) + " (.*)$").FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in\n%s", series, text)
	}
	return m[1]
}

func realEnv(t *testing.T) collector.Env {
	env := collectortest.Env(t)
	env.Now = time.Now
	return env
}

// A real Podman with containers in every state that the alerts are about.
func TestPodman(t *testing.T) {
	p := testenv.StartPodman(t)
	source := collectortest.Load(t, Definition(), fmt.Sprintf(
		"sources: [{name: s, socket: %s, expected: [gone, ok], quadlets: [%s, /nonexistent]}]", p.Socket, quadletDir(t)))[0]
	env := realEnv(t)
	run := func() string {
		out, err := collectortest.Run(t, source, env)
		if err != nil {
			t.Fatal(err)
		}
		return collectortest.Text(t, out)
	}
	run() // from now on ends are counted

	p.Run(t, "ok", []string{"/bin/sleep", "1000"}, nil)
	p.Run(t, "done", []string{"/bin/true"}, nil)
	p.Run(t, "failed", []string{"/bin/sh", "-c", "exit 3"}, nil)
	p.Run(t, "loop", []string{"/bin/false"}, map[string]any{"restart_policy": "always"})
	p.Run(t, "sick", []string{"/bin/sleep", "1000"}, map[string]any{"healthconfig": map[string]any{
		"Test": []string{"CMD", "/bin/false"}, "Retries": 1, "Interval": time.Hour, "Timeout": time.Minute,
	}})
	p.Call(t, http.MethodPost, "/containers/create", map[string]any{"image": "localhost/busybox:test", "name": "new", "command": []string{"/bin/true"}})
	// Its timer would need a systemd.
	p.Call(t, http.MethodGet, "/containers/sick/healthcheck", nil)

	begun := time.Now()
	testenv.Eventually(t, time.Minute, func() error {
		return has(run(),
			"container_socket_up 1", "container_events_readable 1", "container_unreadable 0",
			`container_configured{name="gone"} 1`, `container_configured{name="ok"} 1`,
			`container_configured{name="systemd-plain"} 1`, `container_configured{name="one-1"} 1`,
			`container_state{name="ok",state="running"} 1`, `container_state{name="ok",state="exited"} 0`,
			`container_state{name="done",state="exited"} 1`, `container_exit_code{name="done"} 0`,
			`container_state{name="failed",state="exited"} 1`, `container_exit_code{name="failed"} 3`,
			`container_state{name="new",state="created"} 1`,
			`container_health{name="sick",state="unhealthy"} 1`,
			`container_info{name="ok",image="localhost/busybox:test"} 1`,
			`container_exits_total{name="done",result="success"} 1`, `container_exits_total{name="done",result="failure"} 0`,
			`container_exits_total{name="failed",result="failure"} 1`, `container_exits_total{name="gone",result="failure"} 0`,
		)
	})
	text := run()
	for _, absent := range []string{`exit_code{source="s",name="ok"`, `exit_code{source="s",name="new"`, `health{source="s",name="ok"`,
		`started_timestamp_seconds{source="s",name="new"`, `name="systemd-many`, `state{source="s",name="gone"`} {
		if strings.Contains(text, absent) {
			t.Errorf("%s is shown:\n%s", absent, text)
		}
	}
	var at float64
	if _, err := fmt.Sscan(value(t, text, `container_started_timestamp_seconds{name="ok"}`), &at); err != nil || at < float64(begun.Unix()-600) || at > float64(time.Now().Unix()+1) {
		t.Errorf("started at %v, %v", at, err)
	}

	// Lives of some milliseconds: each is counted, once, also by collectors made anew.
	p.Call(t, http.MethodPost, "/containers/loop/stop", nil)
	testenv.Eventually(t, time.Minute, func() error {
		text := run()
		var restarted, ended int
		if _, err := fmt.Sscan(value(t, text, `container_restarts_total{name="loop"}`), &restarted); err != nil || restarted == 0 {
			return fmt.Errorf("restarted %d times, %w", restarted, err)
		}
		if _, err := fmt.Sscan(value(t, text, `container_exits_total{name="loop",result="failure"}`), &ended); err != nil || ended != restarted+1 {
			return fmt.Errorf("%d restarts, %d ends (%v)", restarted, ended, err == nil)
		}
		return nil
	})
	out, err := collectortest.Run(t, source, env)
	if err != nil {
		t.Fatal(err)
	}
	collectortest.Covered(t, Definition(), out, inspectedAs(t, groups(t), `"Pid":7`))
	p.Remove(t, "ok")
	if text := run(); strings.Contains(text, `container_state{source="s",name="ok"`) {
		t.Errorf("a removed container is shown:\n%s", text)
	}

	p.Stop(t)
	text = run()
	if err := has(text, "container_socket_up 0", `container_socket_error{reason="refused"} 1`, `container_configured{name="ok"} 1`); err != nil {
		t.Error(err)
	}
	if strings.Contains(text, "container_state") {
		t.Errorf("states of an engine that does not answer:\n%s", text)
	}
}

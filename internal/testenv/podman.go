package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Podman is the API of a real podman (https://docs.podman.io/en/latest/_static/api.html) on a
// socket, with an image localhost/busybox:test and no containers. Needs root.
type Podman struct {
	Socket string

	dir     string
	process *Process
	client  *http.Client
}

// StartPodman starts it and returns when it answers.
func StartPodman(t testing.TB) *Podman {
	t.Helper()
	Need(t, "podman", "crun", "/bin/busybox", "unshare")
	NeedRoot(t)
	dir, err := os.MkdirTemp("/tmp", "vpodman-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bin := filepath.Join(dir, "root", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sh", "sleep", "true", "false"} {
		if err := os.WriteFile(filepath.Join(bin, name), busybox, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p := &Podman{Socket: filepath.Join(dir, "podman.sock"), dir: dir}
	p.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", p.Socket)
	}}}
	p.Start(t)
	t.Cleanup(func() { p.Stop(t) })
	return p
}

// Start starts the service; after Stop it finds its containers as after a reboot, not running.
func (p *Podman) Start(t testing.TB) {
	t.Helper()
	script := filepath.Join(Root(t), "internal", "testenv", "podman.sh")
	p.process = Start(t, exec.Command(script, p.dir))
	Eventually(t, time.Minute, func() error {
		if err := p.process.Exited(); err != nil {
			t.Fatal(err)
		}
		resp, err := p.client.Get("http://localhost/_ping")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	})
}

// Run creates and starts a container of the image. More are further keys of libpod's
// ContainerCreate, such as restart_policy and healthconfig.
func (p *Podman) Run(t testing.TB, name string, command []string, more map[string]any) {
	t.Helper()
	spec := map[string]any{"image": "localhost/busybox:test", "name": name, "command": command}
	for key, value := range more {
		spec[key] = value
	}
	p.Call(t, http.MethodPost, "/containers/create", spec)
	p.Call(t, http.MethodPost, "/containers/"+name+"/start", nil)
}

// Remove kills and removes a container.
func (p *Podman) Remove(t testing.TB, name string) {
	t.Helper()
	p.Call(t, http.MethodDelete, "/containers/"+name+"?force=true", nil)
}

// Call is a request of libpod's API, which has to succeed.
func (p *Podman) Call(t testing.TB, method, path string, body any) []byte {
	t.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost/v4.0.0/libpod"+path, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, answer, err)
	}
	return answer
}

// Stop ends the service with all its containers.
func (p *Podman) Stop(t testing.TB) {
	t.Helper()
	p.client.CloseIdleConnections()
	endNamespace(t, p.process)
}

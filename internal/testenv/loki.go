package testenv

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// Loki is a single Loki (https://grafana.com/docs/loki/latest/) of its own: one process, store and
// write-ahead log in a temporary folder, on free ports of 127.0.0.1.
type Loki struct {
	Dir  string
	Port int
	// URL is its base.
	URL string

	options LokiOptions
	args    []string
	process *Process
}

// LokiOptions are what a test wants to be other than Loki's defaults.
type LokiOptions struct {
	// Limits and Ingester are settings of limits_config and ingester, as in the YAML file.
	Limits, Ingester map[string]any
	// Tenants makes each request name its tenant; the limits are those of each that differ. nil:
	// Loki has one tenant only.
	Tenants map[string]map[string]any
	// ConfigFile is used instead of all that; only its folder and ports are replaced.
	ConfigFile string
}

// StartLoki starts Loki and returns when it takes requests.
func StartLoki(t testing.TB, options LokiOptions) *Loki {
	t.Helper()
	Tool(t, "loki")
	l := &Loki{Port: FreePort(t), options: options}
	l.Dir, _ = serverDir(t, "vloki", "nobody")
	l.URL = fmt.Sprintf("http://127.0.0.1:%d", l.Port)
	l.SetTenants(t, options.Tenants)
	file := options.ConfigFile
	if file == "" {
		file = filepath.Join(l.Dir, "loki.yml")
		content, err := yaml.Marshal(l.config())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l.args = []string{
		"-config.file", file, "-log.level=warn",
		"-server.http-listen-address=127.0.0.1", "-server.http-listen-port", strconv.Itoa(l.Port),
		"-server.grpc-listen-address=127.0.0.1", "-server.grpc-listen-port", strconv.Itoa(FreePort(t)),
		"-common.path-prefix", l.Dir,
		"-common.storage.filesystem.chunk-directory", filepath.Join(l.Dir, "chunks"),
		"-common.storage.filesystem.rules-directory", filepath.Join(l.Dir, "rules"),
		// A lone Loki waits for no other, finds its own parts at once and tells nobody about itself.
		"-frontend.scheduler-dns-lookup-period=100ms", "-querier.dns-lookup-period=100ms",
		"-ingester.min-ready-duration=0s", "-ingester.final-sleep=0s", "-reporting.enabled=false",
	}
	l.Start(t)
	return l
}

// SetTenants replaces the limits of the tenants; a running Loki follows within the second.
func (l *Loki) SetTenants(t testing.TB, tenants map[string]map[string]any) {
	t.Helper()
	content, err := yaml.Marshal(map[string]any{"overrides": tenants})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.overrides(), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (l *Loki) overrides() string { return filepath.Join(l.Dir, "overrides.yml") }

func (l *Loki) config() map[string]any {
	limits := map[string]any{"allow_structured_metadata": true, "volume_enabled": false}
	maps.Copy(limits, l.options.Limits)
	return map[string]any{
		"auth_enabled":   l.options.Tenants != nil,
		"runtime_config": map[string]any{"file": l.overrides(), "period": "200ms"},
		"common": map[string]any{
			"replication_factor": 1, "instance_addr": "127.0.0.1",
			"ring": map[string]any{"kvstore": map[string]any{"store": "inmemory"}},
			"storage": map[string]any{"filesystem": map[string]any{
				"chunks_directory": filepath.Join(l.Dir, "chunks"), "rules_directory": filepath.Join(l.Dir, "rules"),
			}},
		},
		"schema_config": map[string]any{"configs": []any{map[string]any{
			"from": "2020-01-01", "store": "tsdb", "object_store": "filesystem", "schema": "v13",
			"index": map[string]any{"prefix": "index_", "period": "24h"},
		}}},
		"limits_config": limits,
		"ingester":      l.options.Ingester,
	}
}

// Start starts it again, on the same folder and ports.
func (l *Loki) Start(t testing.TB) {
	t.Helper()
	cmd := exec.Command(Tool(t, "loki"), l.args...)
	cmd.Dir = l.Dir
	l.process = Start(t, cmd)
	Eventually(t, 2*time.Minute, func() error {
		if err := l.process.Exited(); err != nil {
			t.Fatal(err)
		}
		return l.ready()
	})
}

func (l *Loki) ready() error {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(l.URL + "/ready")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", body)
	}
	return nil
}

// Stop ends it in order: what is in memory is flushed or in the write-ahead log.
func (l *Loki) Stop(t testing.TB) {
	t.Helper()
	if err := l.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = l.process.Wait(t, 2*time.Minute)
}

// Flush lets it write all chunks that are in memory to its store.
func (l *Loki) Flush(t testing.TB) {
	t.Helper()
	resp, err := http.Post(l.URL+"/flush", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("flush: status %d", resp.StatusCode)
	}
}

// Kill ends it as a crash does.
func (l *Loki) Kill() { l.process.Kill() }

// Process is the running server, for signals.
func (l *Loki) Process() *Process { return l.process }

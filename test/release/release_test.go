// Package release_test holds the binary to what the release promises.
package release_test

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// TestReproducible builds the sources here and a copy of them in another folder: the same bytes
// come out.
func TestReproducible(t *testing.T) {
	var sums []string
	for _, dir := range []string{testenv.Root(t), elsewhere(t)} {
		path := filepath.Join(t.TempDir(), "vulcan_exporter")
		build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "./cmd/vulcan_exporter")
		build.Dir = dir
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, fmt.Sprintf("%x", sha256.Sum256(content)))
	}
	t.Logf("sha256 %s", sums[0])
	if sums[0] != sums[1] {
		t.Errorf("two builds differ: %v", sums)
	}
}

// elsewhere copies the sources that the exporter is built from.
func elsewhere(t *testing.T) string {
	t.Helper()
	dir, root := t.TempDir(), testenv.Root(t)
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if .Main}}{{$.ImportPath}}{{end}}{{end}}", "./cmd/vulcan_exporter")
	list.Dir = root
	packages, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	tops := map[string]bool{}
	for path := range strings.FieldsSeq(string(packages)) {
		top, _, _ := strings.Cut(strings.TrimPrefix(path, "vulcan.lan/vulcan_exporter/"), "/")
		tops[top] = true
	}
	for name := range tops {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(root, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestBinary: static, and smaller than 40 MB.
func TestBinary(t *testing.T) {
	path := testenv.Exporter(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MB", float64(info.Size())/1e6)
	if info.Size() > 40e6 {
		t.Errorf("%d bytes, more than 40 MB", info.Size())
	}
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("dynamically linked: it has a segment %s", p.Type)
		}
	}
}

// TestSBOM: it names what is linked, the standard library among it, each with a version.
func TestSBOM(t *testing.T) {
	cmd := exec.Command("go", "run", "./test/release/sbom", testenv.Exporter(t))
	cmd.Dir = testenv.Root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(out, &bom); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, c := range bom.Components {
		found[c.Name] = true
		if c.Version == "" || c.PURL == "" {
			t.Errorf("%s has no version", c.Name)
		}
	}
	for _, want := range []string{"std", "github.com/prometheus/client_golang", "github.com/jackc/pgx/v5", "golang.org/x/crypto"} {
		if !found[want] {
			t.Errorf("%s is missing", want)
		}
	}
	if found["github.com/rogpeppe/go-internal"] {
		t.Error("a library of the tests is named; it is not in the binary")
	}
}

// BenchmarkStart measures from exec to the first answered /-/healthy, on the embedded default
// configuration.
func BenchmarkStart(b *testing.B) {
	exporter := testenv.Exporter(b)
	state := b.TempDir()
	var total, slowest time.Duration
	for b.Loop() {
		address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b))
		cmd := exec.Command(exporter, "run", "--storage.path="+state, "--web.listen-address="+address)
		begun := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		for {
			response, err := http.Get("http://" + address + "/-/healthy")
			if err == nil {
				_ = response.Body.Close()
				break
			}
			if time.Since(begun) > time.Minute {
				b.Fatal(err)
			}
			time.Sleep(500 * time.Microsecond)
		}
		took := time.Since(begun)
		total, slowest = total+took, max(slowest, took)
		b.StopTimer()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		b.StartTimer()
	}
	b.ReportMetric(float64(total.Milliseconds())/float64(b.N), "ms/start")
	b.ReportMetric(float64(slowest.Milliseconds()), "ms-slowest")
}

// TestArchive packs twice: the same bytes, with a man page, completions that bash accepts, and what
// a new user needs.
func TestArchive(t *testing.T) {
	binary := testenv.Exporter(t)
	var sums []string
	var archive string
	for range 2 {
		dir := t.TempDir()
		pack := exec.Command(filepath.Join(testenv.Root(t), "test", "release", "archive.sh"), binary, "amd64", "1.2.3", dir)
		pack.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1795000000")
		if out, err := pack.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		archive = filepath.Join(dir, "vulcan_exporter-1.2.3.linux-amd64.tar.gz")
		content, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, fmt.Sprintf("%x", sha256.Sum256(content)))
	}
	if sums[0] != sums[1] {
		t.Errorf("two archives differ: %v", sums)
	}
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-C", dir, "--strip-components=1", "-xf", archive).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for file, want := range map[string]string{
		"vulcan_exporter.1":                      ".SH",
		"completion/_vulcan_exporter":            "#compdef vulcan_exporter",
		"alerts/backup_alerts.yml":               "backup_alerts",
		"alerts/runbooks/BackupServiceFailed.md": "BackupServiceFailed",
		"dashboards/overview.json":               "panels",
		"deploy/systemd/vulcan-exporter.service": "ExecStart",
		"deploy/prometheus/prometheus.yml":       "scrape_configs",
		"docs/collectors/backup.md":              "# backup",
		"README.md":                              "vulcan_exporter",
		"completion/vulcan_exporter.bash":        "complete",
	} {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s has no %q (%v)", file, want, err)
		}
	}
	for word, want := range map[string]string{"che": "check", "": "help run check collect docs migrate version", "--sto": "--storage.path"} {
		shell := exec.Command("bash", "-c", "source completion/vulcan_exporter.bash && COMP_WORDS=(vulcan_exporter '"+word+"') COMP_CWORD=1 && PATH=.:$PATH && _vulcan_exporter_bash_autocomplete && echo ${COMPREPLY[*]}")
		shell.Dir = dir
		if out, err := shell.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("bash completes %q to %q (%v)", word, out, err)
		}
	}
}

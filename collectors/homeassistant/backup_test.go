package homeassistant

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const manifest = `{"slug":"a1b2c3d4","version":2,"name":"Automatic","date":%q,"type":"partial","protected":%t,"crypto":null,"compressed":true,
	"homeassistant":{"version":"2026.10.1","exclude_database":%t,"size":1.0},"addons":[],"folders":[],"extra":{"instance_id":"x"}}`

// pack makes a backup with the system's tar, as ./backup.json and ./homeassistant.tar.gz.
func pack(t testing.TB, dir, name, manifest string, inner []byte) string {
	t.Helper()
	testenv.Need(t, "tar")
	work := t.TempDir()
	for file, content := range map[string][]byte{"backup.json": []byte(manifest), "homeassistant.tar.gz": inner} {
		if err := os.WriteFile(filepath.Join(work, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, name)
	if out, err := exec.Command("tar", "-C", work, "-cf", path, "./backup.json", "./homeassistant.tar.gz").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func gzipped(t *testing.T, size int) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(bytes.Repeat([]byte("x"), size)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func cut(t *testing.T, path, to string, size int64) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content[:size], 0o600); err != nil {
		t.Fatal(err)
	}
}

func collect(t *testing.T, yaml string) (*metric.Batch, string) {
	t.Helper()
	out, err := collectortest.Run(t, collectortest.Load(t, Definition(), yaml)[0], collectortest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	return out, collectortest.Text(t, out)
}

func has(t testing.TB, text string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if strings.Contains(l, "{") {
			l = strings.Replace(l, "{", `{source="default",`, 1)
		} else {
			l = strings.Replace(l, " ", `{source="default"} `, 1)
		}
		if !strings.Contains(text, "\n"+l+"\n") {
			t.Errorf("no %s in\n%s", l, text)
		}
	}
}

// Real tar files: plain, compressed and encrypted inside, cut at every kind of place, empty, and
// none at all.
func TestBackups(t *testing.T) {
	dir := t.TempDir()
	first := pack(t, dir, "one.tar", fmt.Sprintf(manifest, "2026-10-29T04:45:00+01:00", false, false), []byte("plain"))
	pack(t, dir, "two.tar", fmt.Sprintf(manifest, "2026-10-30T04:45:00+01:00", false, true), gzipped(t, 1<<20))
	// SecureTar's encryption: to a reader without the key it is noise.
	last := pack(t, dir, "three.tar", fmt.Sprintf(manifest, "2026-10-31T04:45:00+01:00", true, false), bytes.Repeat([]byte("\xa7\x03"), 50_000))
	// The date is the one inside: copying changes the other.
	old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(last, old, old); err != nil {
		t.Fatal(err)
	}
	cut(t, last, filepath.Join(dir, "cut in the data.tar"), 50_000)
	cut(t, last, filepath.Join(dir, "cut in the manifest.tar"), 700)
	cut(t, first, filepath.Join(dir, "cut before the second.tar"), 1024)
	cut(t, first, filepath.Join(dir, "no end.tar"), 2048)
	cut(t, first, filepath.Join(dir, "empty.tar"), 0)
	pack(t, dir, "other.tar", "{}", []byte("x"))
	if err := os.WriteFile(filepath.Join(dir, "noise.tar"), bytes.Repeat([]byte("noise"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "three.tar.part"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	stat, err := os.Stat(last)
	if err != nil {
		t.Fatal(err)
	}
	_, text := collect(t, "backups: ["+dir+"]")
	has(t, text, `home_assistant_readable{part="backups"} 1`, "home_assistant_backups 3", "home_assistant_backups_unreadable 7",
		fmt.Sprintf("home_assistant_backup_newest_size_bytes %d", stat.Size()),
		"home_assistant_backup_newest_encrypted 1", "home_assistant_backup_newest_includes_database 1",
		"home_assistant_backup_median_size_bytes 10240",
		fmt.Sprintf("home_assistant_backups_size_bytes %d", stat.Size()+2*10240),
		"home_assistant_backup_newest_timestamp_seconds 1.7934183e+09", "home_assistant_backup_oldest_timestamp_seconds 1.7932455e+09")
}

// 20 GB, most of it a hole: only headers are read.
func TestHugeBackup(t *testing.T) {
	const inner = 20 << 30
	path := filepath.Join(t.TempDir(), "huge.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	text := fmt.Sprintf(manifest, "2026-10-31T04:45:00+01:00", false, false)
	if err := w.WriteHeader(&tar.Header{Name: "./backup.json", Size: int64(len(text)), Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteHeader(&tar.Header{Name: "./homeassistant.tar.gz", Size: inner, Mode: 0o600, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	at, err := f.Seek(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(at + inner + 1024); err != nil {
		t.Fatal(err)
	}
	counted := &counter{File: f}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	b, err := parseBackup(counted, at+inner+1024)
	if err != nil || !b.core || counted.read > 64<<10 {
		t.Errorf("%+v, %v, %d bytes read", b, err, counted.read)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

type counter struct {
	*os.File
	read int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.File.Read(p)
	c.read += n
	return n, err
}

// A folder that cannot be read is not an empty folder.
func TestBackupsUnseen(t *testing.T) {
	_, text := collect(t, "backups: [/nonexistent]")
	has(t, text, `home_assistant_readable{part="backups"} 0`)
	if strings.Contains(text, "home_assistant_backups") {
		t.Error(text)
	}
	_, text = collect(t, "backups: ["+t.TempDir()+"]")
	has(t, text, `home_assistant_readable{part="backups"} 1`, "home_assistant_backups 0")
	if strings.Contains(text, "newest") {
		t.Error(text)
	}
}

func TestManifest(t *testing.T) {
	for text, want := range map[string]string{
		`{"date":"2026-10-31T04:45:00Z"}`:                                                                            "2026-10-31T04:45:00Z false false",
		`{"date":"2026-10-31T04:45:00Z","homeassistant":{}}`:                                                         "2026-10-31T04:45:00Z false true",
		`{"date":"2026-10-31T04:45:00Z","crypto":"aes128","homeassistant":null}`:                                     "2026-10-31T04:45:00Z true false",
		`{"date":"x","extra":{"supervisor.backup_request_date":"2026-10-31T04:45:00.5+00:00"},"homeassistant":null}`: "2026-10-31T04:45:00Z false false",
		`{"date":""}`: "error", `[]`: "error", ``: "error", `{"date":1}`: "error",
	} {
		got := "error"
		if b, err := parseManifest(strings.NewReader(text)); err == nil {
			got = fmt.Sprint(b.date.UTC().Format(time.RFC3339), " ", b.encrypted, " ", b.database)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func FuzzBackup(f *testing.F) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	text := fmt.Sprintf(manifest, "2026-10-31T04:45:00+01:00", false, false)
	for name, content := range map[string]string{"./backup.json": text, "./homeassistant.tar.gz": "x"} {
		_ = w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o600})
		_, _ = w.Write([]byte(content))
	}
	_ = w.Close()
	f.Add(buf.Bytes())
	f.Add([]byte("noise"))
	f.Fuzz(func(t *testing.T, content []byte) {
		b, err := parseBackup(bytes.NewReader(content), int64(len(content)))
		if err == nil && len(content) < 3*block {
			t.Errorf("%+v from %d bytes", b, len(content))
		}
	})
}

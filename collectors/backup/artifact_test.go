package backup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// write makes a file of an age in hours before the tests' now.
func write(t *testing.T, path string, size, hours int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	at := collectortest.Now.Add(-time.Duration(hours) * time.Hour)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func artifactCollector(t *testing.T, yaml string) (collector.Source, collector.Collector) {
	t.Helper()
	s := collectortest.Load(t, Definition(), yaml)[0]
	c, err := s.New(collectortest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func pass(t *testing.T, s collector.Source, c collector.Collector) string {
	t.Helper()
	out, err := collectortest.Collect(t, s, c)
	if err != nil {
		t.Fatal(err)
	}
	return collectortest.Text(t, out)
}

func TestArtifacts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/glob/a-1.tar", 100, 48)
	write(t, dir+"/glob/a-2.tar", 200, 24)
	write(t, dir+"/glob/b.tar", 900, 1)
	if err := os.Mkdir(dir+"/glob/a-3.tar", 0o755); err != nil { // newest, and no file
		t.Fatal(err)
	}
	write(t, dir+"/tree/x/one", 10, 30)
	write(t, dir+"/tree/x/y/two", 20, 20)
	if err := os.Mkdir(dir+"/empty", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("tree", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	s, c := artifactCollector(t, strings.ReplaceAll(`
artifacts:
  - {name: glob, path: "$DIR/glob/a-*.tar", max_age: 26h}
  - {name: tree, path: $DIR/tree}
  - {name: link, path: $DIR/link}
  - {name: none, path: "$DIR/glob/c-*.tar"}
  - {name: file, path: $DIR/missing.tar}
  - {name: empty, path: $DIR/empty}
`, "$DIR", dir))
	collectortest.Want(t, pass(t, s, c), "testdata/artifacts/want.prom")
}

// A folder that this user may not read is not an empty one.
func TestNotReadable(t *testing.T) {
	if path := os.Getenv("SCAN_AS_NOBODY"); path != "" {
		_, err := scan(t.Context(), path)
		fmt.Printf("reason=%s\n", reasonOf(err))
		return
	}
	testenv.NeedRoot(t)
	dir := filepath.Join(t.TempDir(), "secret")
	write(t, dir+"/a.tar", 1, 1)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, parent := range []string{filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self := filepath.Join(filepath.Dir(dir), "self") // where nobody may run it
	content, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(self, content, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir + "/*.tar", dir + "/a.tar", dir} {
		cmd := exec.Command(self, "-test.run=^TestNotReadable$")
		cmd.Env = []string{"SCAN_AS_NOBODY=" + path}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "reason=permission") {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}

// The median is that of earlier backups, survives in the state, and needs
// three of them.
func TestMedian(t *testing.T) {
	dir := t.TempDir()
	s, c := artifactCollector(t, `artifacts: [{name: db, path: "`+dir+`/*.sql"}]`)
	var text string
	for day, size := range []int{100, 300, 200, 10} {
		write(t, fmt.Sprintf("%s/%d.sql", dir, day), size, 100-24*day)
		for range 2 { // new, then settled
			text = pass(t, s, c)
		}
		if has := strings.Contains(text, "backup_artifact_median_size_bytes"); has != (day == 3) {
			t.Errorf("day %d: median shown: %v", day, has)
		}
	}
	for _, want := range []string{`backup_artifact_median_size_bytes{source="default",backup="db"} 200`, `backup_artifact_size_bytes{source="default",backup="db"} 10`} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %s in\n%s", want, text)
		}
	}
}

package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Exporter builds vulcan_exporter and returns its path.
func Exporter(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vulcan_exporter")
	if err := BuildExporter(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// BuildExporter builds vulcan_exporter as it is released, static and trimmed.
func BuildExporter(path string) error {
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "vulcan.lan/vulcan_exporter/cmd/vulcan_exporter")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", build, err, out)
	}
	return nil
}

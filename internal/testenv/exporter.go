package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Exporter builds vulcan_exporter as it is released (static, trimmed) and returns its path.
func Exporter(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vulcan_exporter")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "./cmd/vulcan_exporter")
	build.Dir = Root(t)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	return path
}

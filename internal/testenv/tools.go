package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// Tool returns the path of a program that is pinned below tools/ (prometheus, promtool,
// alertmanager, amtool, loki), built by `make tools`. It skips or fails as Need does.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(t), ".tools", "bin", name)
	Need(t, path)
	return path
}

// Root returns the top folder of the work tree, found from the folder that the test runs in.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "tools", "prometheus", "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("not inside the work tree of vulcan_exporter")
		}
		dir = parent
	}
}

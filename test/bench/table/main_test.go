package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(path, []byte("# Performance\nwords\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	put := func(text string, at time.Time) (string, error) {
		var out strings.Builder
		err := run(strings.NewReader(text), &out, path, at)
		if out.String() != text {
			t.Errorf("not passed on: %q", out.String())
		}
		content, _ := os.ReadFile(path)
		return string(content), err
	}
	const head = "goos: linux\npkg: vulcan.lan/vulcan_exporter/collectors/container\ncpu: Some CPU\n"
	got, err := put(head+"BenchmarkPodman-2   \t 5\t 331330447 ns/op\t 22.52 inspect-loop/run\nBenchmarkOther \t 1\t 10 ns/op\nPASS\n", day)
	if err != nil || !strings.HasPrefix(got, "# Performance\nwords\n") ||
		!strings.Contains(got, "| `collectors/container` Podman | 331.29") && !strings.Contains(got, "| `collectors/container` Podman | 331.3") ||
		!strings.Contains(got, "an operation, 22.52 inspect-loop/run | 2026-11-25 |") || !strings.Contains(got, "Some CPU") {
		t.Errorf("%v\n%s", err, got)
	}
	// A later run of one benchmark replaces its row alone; a failure is told and loses nothing.
	got, err = put(head+"BenchmarkPodman-2 \t 5\t 100 ns/op\t 1.00 inspect-loop/run\n--- FAIL: BenchmarkOther\nFAIL\n", day.AddDate(0, 0, 1))
	if err == nil || strings.Count(got, "Podman") != 1 || !strings.Contains(got, "1.00 inspect-loop/run | 2026-11-26") ||
		!strings.Contains(got, "Other | 10ns an operation | 2026-11-25") || strings.Count(got, "## The last run") != 1 {
		t.Errorf("%v\n%s", err, got)
	}
}

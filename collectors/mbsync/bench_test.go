package mbsync

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkMaildir counts 500,000 messages: a folder that changed, one that did not, and what a
// script does.
func BenchmarkMaildir(b *testing.B) {
	const messages = 500_000
	path := maildir(b, b.TempDir(), "cur/first")
	for i := range messages - 1 { // links: one inode does for all
		name := fmt.Sprintf("cur/1795622827.29417_%d.vm,U=%d:2,%s", i, i, []string{"S", ""}[i%10/9])
		if i%60_000 == 0 { // ext4 allows 65,000 links
			if err := os.WriteFile(filepath.Join(path, name), nil, 0o644); err != nil {
				b.Fatal(err)
			}
			if err := os.Rename(filepath.Join(path, name), filepath.Join(path, "cur/first")); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.Link(filepath.Join(path, "cur/first"), filepath.Join(path, name)); err != nil {
			b.Fatal(err)
		}
	}
	count := func(b *testing.B, f folders) {
		b.Helper()
		c, err := f.count(context.Background(), path, time.Now().Add(time.Hour))
		if err != nil || c.messages != messages {
			b.Fatalf("%+v %v", c, err)
		}
	}
	start := time.Now()
	out, err := exec.Command("sh", "-c", "find "+path+"/cur "+path+"/new -type f | wc -l").Output()
	if n, bad := strconv.Atoi(strings.TrimSpace(string(out))); err != nil || bad != nil || n != messages {
		b.Fatalf("find: %d %v %v", n, err, bad)
	}
	find := time.Since(start)

	b.Run("changed", func(b *testing.B) {
		for b.Loop() {
			count(b, folders{})
		}
		b.ReportMetric(float64(find)/(float64(b.Elapsed())/float64(b.N)), "find/op")
	})
	b.Run("unchanged", func(b *testing.B) {
		known := folders{}
		count(b, known)
		for b.Loop() {
			count(b, known)
		}
		b.ReportMetric(float64(find)/(float64(b.Elapsed())/float64(b.N)), "find/op")
	})
}

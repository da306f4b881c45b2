package loki

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// A full disk costs no entry: what does not fit is not taken, what was taken stays, and once there
// is room all goes on. Acknowledging, which makes room, needs none.
func TestDiskFull(t *testing.T) {
	testenv.NeedRoot(t) // to mount a small tmpfs
	root := t.TempDir()
	if out, err := exec.Command("mount", "-n", "-t", "tmpfs", "-o", "size=128k", "tmpfs", root).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-n", "-l", root).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	q := openQueue(t, filepath.Join(root, "queue"), 1<<20)
	page := rows(30, epoch)
	var taken []Entry
	for {
		end, err := q.Append(page)
		if err != nil {
			if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		}
		q.Commit(end)
		taken = append(taken, page...)
	}
	if len(taken) < 90 {
		t.Fatalf("%d entries taken", len(taken))
	}
	same(t, all(t, q), taken)
	q, err := reopen(t, q, q.End())
	if err != nil {
		t.Fatal(err)
	}
	same(t, all(t, q), taken)
	// Not a byte is left.
	filler, err := os.Create(filepath.Join(root, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = filler.Write(make([]byte, 512))
	}
	some, next, err := q.Read(q.Acked(), 10_000)
	if err != nil || len(some) == 0 {
		t.Fatal(len(some), err)
	}
	if err := q.Ack(next); err != nil {
		t.Fatal(err)
	}
	if q, err = reopen(t, q, q.End()); err != nil {
		t.Fatal(err)
	}
	same(t, all(t, q), taken[len(some):])
	if err := errors.Join(q.Ack(q.End()), filler.Close(), os.Remove(filler.Name())); err != nil {
		t.Fatal(err)
	}
	add(t, q, page...)
	same(t, all(t, q), slices.Clone(page))
	if n := q.Totals(); n.Pushed != int64(len(taken)) || n.Lost != 0 {
		t.Errorf("totals %+v, %d taken", n, len(taken))
	}
}

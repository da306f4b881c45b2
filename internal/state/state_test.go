package state

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

type counts struct{ N int }

func open(t *testing.T, dir string) (*Dir, Store) {
	t.Helper()
	d := Open(dir, slog.New(slog.DiscardHandler))
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	s, unlock, err := d.Source("restic", "a/b ü")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	return d, s
}

func TestRoundTrip(t *testing.T) {
	root := filepath.Join(t.TempDir(), "state")
	_, s := open(t, root)
	var got counts
	if found, err := s.Load(&got); found || err != nil {
		t.Fatalf("empty store: %v, %v", found, err)
	}
	for n := range 3 {
		if err := s.Save(counts{n}); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := s.Load(&got); !found || err != nil || got.N != 2 {
		t.Errorf("loaded %+v, %v, %v", got, found, err)
	}
	info, err := os.Stat(root)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder mode %v, %v", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(root, "*.tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("litter %v, %v", left, err)
	}
}

// Garbage, truncation at every byte and another version's state are set
// aside, counted, and never loaded in part.
func TestCorrupt(t *testing.T) {
	root := t.TempDir()
	d, s := open(t, root)
	if err := s.Save(counts{42}); err != nil {
		t.Fatal(err)
	}
	file := s.(*file).path
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := [][]byte{[]byte("\x00\xff"), []byte(`{"version":2,"state":{"N":1}}`), []byte(`{"version":1,"state":{"N":"x"}}`)}
	for n := range len(whole) {
		bad = append(bad, whole[:n])
	}
	for i, content := range bad {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		got := counts{-1}
		found, err := s.Load(&got)
		if found || err != nil {
			t.Errorf("%q: found %v, %v", content, found, err)
		}
		if aside, err := os.ReadFile(file + ".corrupt"); err != nil || string(aside) != string(content) {
			t.Errorf("%q: set aside as %q, %v", content, aside, err)
		}
		if d.Corrupt() != int64(i+1) {
			t.Errorf("%q: counted %d", content, d.Corrupt())
		}
	}
}

// A second process must not write the same state.
func TestLock(t *testing.T) {
	root := t.TempDir()
	_, _ = open(t, root)
	if _, _, err := Open(root, slog.New(slog.DiscardHandler)).Source("restic", "a/b ü"); err == nil {
		t.Error("locked twice")
	}
	if _, unlock, err := Open(root, slog.New(slog.DiscardHandler)).Source("restic", "other"); err != nil {
		t.Errorf("another source: %v", err)
	} else {
		unlock()
	}
}

func TestNotWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := Open(filepath.Join(file, "below"), slog.New(slog.DiscardHandler))
	if d.Err() == nil {
		t.Fatal("a folder below a file")
	}
	s, unlock, err := d.Source("restic", "default")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if s.Persistent() {
		t.Error("claims to persist")
	}
	if err := s.Save(counts{1}); err != nil {
		t.Errorf("saving in memory: %v", err)
	}
}

// A full disk leaves the state of before.
func TestDiskFull(t *testing.T) {
	testenv.NeedRoot(t) // to mount a small tmpfs
	root := t.TempDir()
	if out, err := exec.Command("mount", "-n", "-t", "tmpfs", "-o", "size=64k", "tmpfs", root).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	defer func() {
		if out, err := exec.Command("umount", "-n", "-l", root).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	}()
	_, s := open(t, root)
	if err := s.Save(counts{1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(map[string]string{"N": string(make([]byte, 100<<10))}); err == nil {
		t.Fatal("saved 100 kB on a 64 kB disk")
	}
	var got counts
	if found, err := s.Load(&got); !found || err != nil || got.N != 1 {
		t.Errorf("after a full disk: %+v, %v, %v", got, found, err)
	}
}

func TestReadOnly(t *testing.T) {
	root := t.TempDir()
	_, s := open(t, root)
	if err := s.Save(counts{5}); err != nil {
		t.Fatal(err)
	}
	r, _, err := ReadOnly(root, slog.New(slog.DiscardHandler)).Source("restic", "a/b ü")
	if err != nil {
		t.Fatal(err)
	}
	var got counts
	if found, err := r.Load(&got); !found || err != nil || got.N != 5 {
		t.Errorf("%+v %v %v", got, found, err)
	}
	if err := r.Save(counts{6}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(&got); err != nil || got.N != 5 {
		t.Errorf("a read-only store wrote %+v, %v", got, err)
	}
}

// What is of the wrong type in one place is not loaded from the others.
func TestNotLoadedInPart(t *testing.T) {
	_, s := open(t, t.TempDir())
	if err := os.WriteFile(s.(*file).path, []byte(`{"version":1,"state":{"A":1,"B":"x","C":{"k":2}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var got struct {
		A, B int
		C    map[string]int
	}
	if found, err := s.Load(&got); found || err != nil || got.A != 0 || got.C != nil {
		t.Errorf("found %v, %v: %+v", found, err, got)
	}
}

// A folder that is lost after the start is told, for as long as it is lost; not for longer where a
// source that could not be opened meanwhile is gone.
func TestLostFolder(t *testing.T) {
	root := filepath.Join(t.TempDir(), "state")
	d, s := open(t, root)
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Source("zfs", "default"); err == nil || d.Err() == nil {
		t.Errorf("a source has a store in a folder that is not there: %v, Err: %v", err, d.Err())
	}
	if err := s.Save(counts{1}); err == nil || d.Err() == nil {
		t.Errorf("Save: %v, Err: %v", err, d.Err())
	}
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Save(counts{2}), d.Err()); err != nil {
		t.Error(err)
	}
	_, unlock, err := d.Source("zfs", "default")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// What one source cannot save is told though others can, until it is saved or the source is gone.
func TestOneCannotSave(t *testing.T) {
	d, s := open(t, t.TempDir())
	other, unlock, err := d.Source("zfs", "default")
	if err != nil {
		t.Fatal(err)
	}
	path := other.(*file).path
	fail := func() {
		t.Helper()
		if err := os.Mkdir(path, 0o700); err != nil { // no file takes a folder's place
			t.Fatal(err)
		}
		if err := other.Save(counts{1}); err == nil {
			t.Fatal("saved")
		}
		if err := s.Save(counts{1}); err != nil || d.Err() == nil {
			t.Errorf("the other source: %v, Err: %v", err, d.Err())
		}
	}
	fail()
	if err := errors.Join(os.Remove(path), other.Save(counts{1}), d.Err()); err != nil {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fail()
	unlock()
	if err := d.Err(); err != nil {
		t.Errorf("without the source: %v", err)
	}
}

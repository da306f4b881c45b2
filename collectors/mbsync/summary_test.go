package mbsync

import (
	"os"
	"path/filepath"
	"testing"
)

// The logs were written by isync 1.5.1 and 1.4.4.
func TestSummary(t *testing.T) {
	for file, want := range map[string]*summary{
		"all.log":    {far: changes{0, 2, 0, 1}, near: changes{1, 0, 0, 1}},
		"failed.log": nil,
		"old.log":    nil,
		"none":       nil,
		".":          nil, // no file
	} {
		path := filepath.Join("testdata/summary", file)
		got, ok := readSummary(path)
		if ok != (want != nil) {
			t.Errorf("%s: %v", file, ok)
		}
		if want == nil || !ok {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if want.at = info.ModTime(); got != *want {
			t.Errorf("%s: %+v, want %+v", file, got, *want)
		}
	}
}

func TestSummaryOfHugeLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	const line = "\nChannels: 1    Boxes: 1    Far: +0 *0 #0 -0    Near: +7 *0 #0 -0\n"
	if _, err := f.WriteAt([]byte(line), 20<<30); err != nil { // sparse
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if s, ok := readSummary(path); !ok || s.near.added != 7 {
		t.Errorf("%+v %v", s, ok)
	}
}

func FuzzSummary(f *testing.F) {
	for _, file := range []string{"all.log", "failed.log", "old.log"} {
		log, err := os.ReadFile(filepath.Join("testdata/summary", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(log)
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		s, ok := parseSummary(log)
		if !ok && s != (summary{}) || s.near.added < 0 || s.far.expunged < 0 {
			t.Errorf("%+v %v of %q", s, ok, log)
		}
	})
}

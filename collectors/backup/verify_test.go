package backup

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func gz(t *testing.T, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zst(t *testing.T, plain []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(plain, nil)
}

func check(t *testing.T, content []byte) (bool, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dump")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return verify(context.Background(), path)
}

// Real dumps of a real PostgreSQL are whole; cut off anywhere, in any
// packing, they are not.
func TestRealDumps(t *testing.T) {
	db := testenv.StartPostgres(t)
	db.Exec(t, "postgres", "CREATE TABLE words (n int, w text)", "INSERT INTO words SELECT n, md5(n::text) FROM generate_series(1, 2000) n")
	for name, plain := range map[string][]byte{
		"pg_dump":    db.Dump(t, "pg_dump"),
		"pg_dumpall": db.Dump(t, "pg_dumpall"),
	} {
		for packing, content := range map[string][]byte{"plain": plain, "gzip": gz(t, plain), "zstd": zst(t, plain), "gzip twice": append(gz(t, plain[:1000]), gz(t, plain[1000:])...)} {
			if complete, err := check(t, content); !complete || err != nil {
				t.Errorf("%s, %s: complete %v, %v", name, packing, complete, err)
			}
			cuts := []int{0, 1, 3, 5, 10, 20, 40, len(content) / 2, len(content) - 20, len(content) - 9}
			if packing == "plain" {
				cuts[len(cuts)-1] = bytes.LastIndex(content, []byte("dump complete"))
			}
			for _, n := range cuts {
				if complete, err := check(t, content[:n]); complete || err != nil {
					t.Errorf("%s, %s, cut at %d of %d: complete %v, %v", name, packing, n, len(content), complete, err)
				}
			}
			damaged := bytes.Clone(content)
			damaged[len(damaged)/2] ^= 0x55
			if complete, _ := check(t, damaged); complete && packing != "plain" {
				t.Errorf("%s, %s: a flipped byte passes", name, packing)
			}
		}
	}
	for _, format := range []string{"custom", "tar"} {
		if _, err := check(t, db.Dump(t, "pg_dump", "--format="+format)); err == nil {
			t.Errorf("an archive of format %s is judged as an SQL dump", format)
		}
	}
}

// Releases since August 2025 end with another line.
func TestUnrestrict(t *testing.T) {
	const text = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSELECT 1;\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n"
	if complete, err := check(t, []byte(text)); !complete || err != nil {
		t.Errorf("complete %v, %v", complete, err)
	}
	if complete, err := check(t, []byte(text[:len(text)-50])); complete || err != nil {
		t.Errorf("cut off: complete %v, %v", complete, err)
	}
}

// A dump is judged only after it stopped growing, once, beside the passes.
func TestBeingWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sql")
	const whole = "--\n-- PostgreSQL database dump\n--\n\nSELECT 1;\n--\n-- PostgreSQL database dump complete\n--\n"
	s, c := artifactCollector(t, `artifacts: [{name: db, path: `+path+`, format: pg_dump}]`)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- c.(collector.Runner).Run(ctx) }()
	defer func() { cancel(); <-ended }()
	series := `backup_artifact_complete{source="default",backup="db"} `
	for n := 10; n < len(whole); n += 10 { // grows between any two passes
		if err := os.WriteFile(path, []byte(whole[:n]), 0o600); err != nil {
			t.Fatal(err)
		}
		if text := pass(t, s, c); bytes.Contains([]byte(text), []byte(series)) {
			t.Fatalf("judged while it grows:\n%s", text)
		}
	}
	sees := func(value string) {
		t.Helper()
		testenv.Eventually(t, patience, func() error {
			if text := pass(t, s, c); !bytes.Contains([]byte(text), []byte(series+value)) {
				return os.ErrNotExist
			}
			return nil
		})
	}
	sees("0") // it stopped in the middle
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	sees("1")
	later := time.Now().Add(time.Hour)
	if err := os.WriteFile(path, []byte("no dump"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, func() error {
		if text := pass(t, s, c); !bytes.Contains([]byte(text), []byte(`backup_artifact_error{source="default",backup="db",reason="format"} 1`)) {
			return os.ErrNotExist
		}
		return nil
	})
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte("--\n-- PostgreSQL database dump\n--\n"))
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		complete, err := check(t, content)
		if complete && !bytes.Contains(content, []byte("dump complete")) && content[0] == '-' {
			t.Errorf("complete without an end, %v", err)
		}
	})
}

// What could not be read is read again, for its mode may change without a change of the file.
func TestReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sql")
	v := newVerifier(collectortest.Logger(t))
	v.retry = time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- v.run(ctx) }()
	defer func() { cancel(); <-ended }()
	a, l := Artifact{Name: "db", Format: formatPgDump}, look{path: path, newest: collectortest.Now, size: 1, files: 1}
	until := func(what string, want func(verdict) bool) {
		t.Helper()
		testenv.Eventually(t, patience, func() error {
			if got := v.look(a, l); !want(got) {
				return fmt.Errorf("not %s: %+v", what, got)
			}
			return nil
		})
	}
	until("unreadable", func(got verdict) bool { return errors.Is(got.err, os.ErrNotExist) })
	const whole = "--\n-- PostgreSQL database dump\n--\n\nSELECT 1;\n--\n-- PostgreSQL database dump complete\n--\n"
	if err := errors.Join(os.WriteFile(path+".new", []byte(whole), 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
	until("complete", func(got verdict) bool { return got.complete })
}

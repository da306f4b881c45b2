package loki

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func segments(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	return paths
}

func TestTornTail(t *testing.T) {
	noted := rows(5, epoch)
	for _, tail := range []string{"", "\x10", strings.Repeat("\x00", 5000), strings.Repeat("\xff", 20), "half"} {
		q := openQueue(t, t.TempDir(), 1<<20)
		end := add(t, q, noted...)
		path := segments(t, q.dir)[0]
		if _, err := q.Append(rows(1, epoch)); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if tail == "half" {
			content = content[:len(content)-3]
		} else {
			content = append(content[:end.Bytes], tail...)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if q, err = reopen(t, q, end); err != nil {
			t.Fatalf("%q: %v", tail, err)
		}
		same(t, all(t, q), noted)
		add(t, q, noted...)
		same(t, all(t, q), append(slices.Clone(noted), noted...))
	}
}

func TestDamage(t *testing.T) {
	build := func(t *testing.T) (*Queue, []Entry, Offset) {
		q := openQueue(t, t.TempDir(), 80_000) // segments of 10 kB
		want := rows(200, epoch)
		for part := range slices.Chunk(want, 5) {
			add(t, q, part...)
		}
		return q, want, q.End()
	}
	flip := func(t *testing.T, path string, at int64) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content[at] ^= 1
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settle := func(t *testing.T, q *Queue, got, total int) {
		entries := all(t, q)
		if len(entries) != got {
			t.Errorf("%d entries, want %d", len(entries), got)
		}
		if n, _ := q.Backlog(); n != int64(got) {
			t.Errorf("backlog of %d rows, want %d", n, got)
		}
		if err := q.Ack(q.End()); err != nil {
			t.Fatal(err)
		}
		if n := q.Totals(); n.Pushed != int64(got) || n.Lost != int64(total-got) {
			t.Errorf("totals %+v, want %d of %d", n, got, total)
		}
	}
	t.Run("found at start", func(t *testing.T) {
		q, want, end := build(t)
		second := q.segments[1]
		flip(t, q.path(second), 10)
		q, err := reopen(t, q, end)
		if err != nil {
			t.Fatal(err)
		}
		settle(t, q, len(want)-int(second.end.Rows-second.base.Rows), len(want))
	})
	t.Run("found when read", func(t *testing.T) {
		q, want, _ := build(t)
		second := q.segments[1]
		flip(t, q.path(second), 10)
		all(t, q)
		settle(t, q, len(want)-int(second.end.Rows-second.base.Rows), len(want))
	})
	t.Run("found when read, in the last", func(t *testing.T) {
		q, want, _ := build(t)
		last := q.segments[len(q.segments)-1]
		flip(t, q.path(last), 10)
		all(t, q)
		settle(t, q, int(last.base.Rows), len(want))
		add(t, q, want[0])
		same(t, all(t, q), want[:1])
	})
	t.Run("segment removed", func(t *testing.T) {
		q, want, end := build(t)
		second := q.segments[1]
		if err := os.Remove(q.path(second)); err != nil {
			t.Fatal(err)
		}
		q, err := reopen(t, q, end)
		if err != nil {
			t.Fatal(err)
		}
		settle(t, q, len(want)-int(second.end.Rows-second.base.Rows), len(want))
	})
	t.Run("last removed", func(t *testing.T) {
		q, want, end := build(t)
		last := q.segments[len(q.segments)-1]
		if err := os.Remove(q.path(last)); err != nil {
			t.Fatal(err)
		}
		q, err := reopen(t, q, end)
		if !errors.Is(err, ErrLost) || q.End() != end {
			t.Fatalf("%v, end %+v, want %+v", err, q.End(), end)
		}
		settle(t, q, int(last.base.Rows), len(want))
	})
	t.Run("half an ack", func(t *testing.T) {
		q, want, end := build(t)
		first, second := q.segments[1].base, q.segments[2].base
		if err := errors.Join(q.Ack(first), q.Ack(second)); err != nil {
			t.Fatal(err)
		}
		flip(t, filepath.Join(q.dir, ackFile), q.ack.sequence%2*slotSize+20) // as a crash leaves it
		q, err := reopen(t, q, end)
		if err != nil {
			t.Fatal(err)
		}
		if q.Acked() != first {
			t.Errorf("acknowledged %+v, want %+v", q.Acked(), first)
		}
		same(t, all(t, q), want[second.Rows:]) // a segment was removed after the ack that is lost
	})
	t.Run("ack unreadable", func(t *testing.T) {
		q, want, end := build(t)
		if err := q.Ack(q.segments[2].base); err != nil {
			t.Fatal(err)
		}
		first := q.segments[0].base.Rows
		if err := os.WriteFile(filepath.Join(q.dir, ackFile), bytes.Repeat([]byte("{"), 5000), 0o600); err != nil {
			t.Fatal(err)
		}
		q, err := reopen(t, q, end)
		if err != nil {
			t.Fatal(err)
		}
		same(t, all(t, q), want[first:]) // what is on disk is sent again
	})
}

func TestForeignState(t *testing.T) {
	q := openQueue(t, t.TempDir(), 1<<20)
	want := rows(20, epoch)
	early := add(t, q, want[:10]...)
	end := add(t, q, want[10:]...)
	far := Offset{end.Bytes * 3, end.Rows * 3}
	for _, to := range []Offset{far, {far.Bytes - 1, far.Rows}, {end.Bytes - 1, 7}} {
		var err error
		if q, err = reopen(t, q, to); !errors.Is(err, ErrLost) || q.End() != to {
			t.Fatalf("%+v: %v, end %+v", to, err, q.End())
		}
		before := len(all(t, q))
		next := add(t, q, want[0])
		if next.Rows != to.Rows+1 {
			t.Errorf("end %+v after %+v", next, to)
		}
		if got := all(t, q); len(got) != before+1 || !reflect.DeepEqual(got[before], want[0]) {
			t.Errorf("%d entries after %d", len(got), before)
		}
	}
	fresh := openQueue(t, t.TempDir(), 1<<20)
	if err := fresh.Truncate(end); !errors.Is(err, ErrLost) {
		t.Fatal(err)
	}
	add(t, fresh, want...)
	same(t, all(t, fresh), want)
	if err := fresh.Ack(fresh.End()); err != nil {
		t.Fatal(err)
	}
	fresh, err := reopen(t, fresh, early) // older than what is acknowledged: from a backup
	if err != nil && !errors.Is(err, ErrLost) {
		t.Fatal(err)
	}
	add(t, fresh, want...)
	same(t, all(t, fresh), want)
}

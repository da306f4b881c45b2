package loki

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var epoch = time.Unix(1_700_000_000, 0).UTC()

// all reads what is committed and not acknowledged.
func all(t *testing.T, q *Queue) []Entry {
	t.Helper()
	var entries []Entry
	for at := q.Acked(); ; {
		some, next, err := q.Read(at, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(some) == 0 {
			return entries
		}
		entries, at = append(entries, some...), next
	}
}

func same(t *testing.T, got, want []Entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("entry %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}

// reopen opens the queue as a process does that starts anew.
func reopen(t *testing.T, q *Queue, to Offset) (*Queue, error) {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = openQueue(t, q.dir, q.max)
	return q, q.Truncate(to)
}

func TestCommitAndTruncate(t *testing.T) {
	q := openQueue(t, t.TempDir(), 1<<20)
	want := rows(30, epoch)
	end, err := q.Append(want[:10])
	if err != nil {
		t.Fatal(err)
	}
	same(t, all(t, q), nil) // not committed
	q.Commit(end)
	same(t, all(t, q), want[:10])
	if _, err := q.Append(want[10:20]); err != nil {
		t.Fatal(err)
	}
	q, err = reopen(t, q, end)
	if err != nil {
		t.Fatal(err)
	}
	same(t, all(t, q), want[:10])
	if end.Rows != 10 || q.End() != end {
		t.Errorf("end %+v, want %+v", q.End(), end)
	}
	add(t, q, want[20:]...)
	same(t, all(t, q), append(slices.Clone(want[:10]), want[20:]...))
}

// The queue stays within its bound, tells that it is full and takes more once some is acknowledged.
func TestFull(t *testing.T) {
	q := openQueue(t, t.TempDir(), 40_000)
	batch := rows(20, epoch)
	taken := int64(0)
	for {
		if _, err := q.Append(batch); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		taken += 20
	}
	q.Commit(q.End())
	if rows, bytes := q.Backlog(); rows != taken || bytes > 40_000 || bytes < 30_000 {
		t.Errorf("%d rows, %d bytes, %d taken", rows, bytes, taken)
	}
	for range 20 { // half of it out, half of it in, many times
		entries, next, err := q.Read(q.Acked(), 20_000)
		if err != nil || len(entries) == 0 {
			t.Fatal(len(entries), err)
		}
		if err := q.Ack(next); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Append(batch); err != nil {
			t.Fatal(err)
		}
		taken += 20
		for {
			if _, err := q.Append(batch); err != nil {
				break
			}
			taken += 20
		}
		q.Commit(q.End())
		if _, bytes := q.Backlog(); bytes > 40_000 || diskUse(t, q.dir) > 40_000+2*slotSize {
			t.Fatalf("%d bytes, %d on disk", bytes, diskUse(t, q.dir))
		}
	}
	if err := q.Ack(q.End()); err != nil {
		t.Fatal(err)
	}
	if got := q.Totals().Pushed; got != taken {
		t.Errorf("%d pushed, %d taken", got, taken)
	}
	large := rows(1000, epoch) // larger than the bound: an empty queue takes it
	add(t, q, large...)
	same(t, all(t, q), large)
}

func diskUse(t *testing.T, dir string) int64 {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	return paths
}

// Whatever is left of the last entries after a crash, what the caller had noted is there.
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

// Damage in the middle costs the rest of that segment, which is counted, and nothing else.
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

// A state that is not of this queue: of a queue that was removed, of another one, an older one.
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

// Random appends, commits, reads, acknowledgements and crashes against a model: every committed
// entry is read once between acknowledgements, in order, and the sum is exact.
func TestQueueModel(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 7))
		q := openQueue(t, t.TempDir(), 60_000)
		source := rows(4000, epoch)
		made, committed, acked := 0, 0, 0 // rows
		end := Offset{}
		for range 150 {
			switch r.IntN(6) {
			case 0, 1, 2:
				n := min(1+r.IntN(40), len(source)-made)
				next, err := q.Append(source[made : made+n])
				if errors.Is(err, ErrFull) {
					continue
				} else if err != nil {
					t.Fatal(err)
				}
				if made += n; r.IntN(4) > 0 {
					q.Commit(next)
					committed, end = made, next
				}
			case 3, 4:
				entries, next, err := q.Read(q.Acked(), 1+r.IntN(9000))
				if err != nil {
					t.Fatal(err)
				}
				same(t, entries, source[acked:acked+len(entries)])
				if committed > acked && len(entries) == 0 {
					t.Fatalf("seed %d: nothing read of %d rows", seed, committed-acked)
				}
				if r.IntN(2) == 0 {
					if err := q.Ack(next); err != nil {
						t.Fatal(err)
					}
					acked += len(entries)
				}
			case 5:
				var err error
				if q, err = reopen(t, q, end); err != nil {
					t.Fatal(err)
				}
				made = committed
			}
			if n, bytes := q.Backlog(); n != int64(made-acked) || bytes > 75_000 {
				t.Fatalf("seed %d: backlog %d rows, %d bytes; made %d acked %d", seed, n, bytes, made, acked)
			}
		}
		if got := q.Totals(); got.Pushed != int64(acked) || got.Lost != 0 {
			t.Fatalf("seed %d: %+v, acked %d", seed, got, acked)
		}
	}
}

func TestAppendErrors(t *testing.T) {
	q := openQueue(t, t.TempDir(), 1<<20)
	if _, err := q.Append([]Entry{{Line: strings.Repeat("x", maxPayload)}}); err == nil || errors.Is(err, ErrFull) {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenQueue(filepath.Join(file, "dir"), 1<<20, quiet()); err == nil {
		t.Error("a queue below a file")
	}
	// The file cannot be written any more: nothing is taken, and nothing is there later.
	want := rows(3, epoch)
	end := add(t, q, want...)
	reading, err := os.Open(segments(t, q.dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	writing := q.active
	q.active = reading
	if _, err := q.Append(want); err == nil {
		t.Fatal("written to a file that is open for reading")
	}
	q.active, q.broken = writing, nil
	_ = reading.Close()
	if q, err = reopen(t, q, end); err != nil {
		t.Fatal(err)
	}
	same(t, all(t, q), want)
}

func FuzzRecord(f *testing.F) {
	b, err := appendRecord(nil, rows(1, epoch)[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[recordHeader:])
	f.Add([]byte{recordVersion, 0, 0, 0, 0})
	f.Add([]byte{recordVersion, 2, 3, 'a', 'b', 'c', 1, 1, 'x', 1, 'y', 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := parseEntry(string(payload))
		if err != nil {
			return
		}
		again, err := appendRecord(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		body, size, err := record(again)
		if err != nil || size != len(again) {
			t.Fatal(size, err)
		}
		back, err := parseEntry(string(body))
		if err != nil {
			t.Fatal(err)
		}
		back.Labels, e.Labels = sorted(back.Labels), sorted(e.Labels)
		back.Metadata, e.Metadata = sorted(back.Metadata), sorted(e.Metadata)
		if !reflect.DeepEqual(back, e) {
			t.Fatalf("%+v became %+v", e, back)
		}
	})
}

package loki

import (
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

// Whatever is left of the last entries after a crash, what the caller had noted is there.

// Damage in the middle costs the rest of that segment, which is counted, and nothing else.

// A state that is not of this queue: of a queue that was removed, of another one, an older one.

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

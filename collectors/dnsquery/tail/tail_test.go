package tail

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
)

// start is when the tests begin.
var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func row(at time.Time, name string) technitium.Row {
	return technitium.Row{Time: at, Client: "192.0.2.1", QName: name}
}

// drain reads until nothing is left.
func drain(t *testing.T, r *Reader, p *Position) (rows []technitium.Row, gaps int) {
	t.Helper()
	for more := true; more; {
		s, next, err := r.Next(t.Context(), *p)
		if err != nil {
			t.Fatal(err)
		}
		*p, rows, more = next, append(rows, s.Rows...), s.More
		if s.Gap {
			gaps++
		}
	}
	return rows, gaps
}

// Whatever arrives, is deleted, fails or crashes in between: each row is read once, or it was
// deleted before it was read and a gap was said. The clock is set back and forth, the app may keep
// whole seconds, and few names make many rows look alike.
func TestEachRowOnce(t *testing.T) {
	const schedules = 60
	read, lost, gaps, steps := 0, 0, 0, 0
	for seed := range uint64(schedules) {
		s := newSchedule(t, seed)
		for range 100 {
			if s.step(t); t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		s.finish(t)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		read, lost, gaps, steps = read+s.count, lost+s.lost, gaps+s.gaps, steps+s.clockSteps
	}
	t.Logf("%d rows read once, %d deleted unread in %d gaps, %d steps of the clock", read, lost, gaps, steps)
	if read == 0 || lost == 0 || gaps == 0 || steps == 0 {
		t.Error("the schedules do not cover all that may happen")
	}
}

// schedule is one course of events. The rows that were read are compared with those that were
// inserted one after the other: they are the same but for those that were deleted unread.
type schedule struct {
	world
	reader                        Reader
	p                             Position
	expected                      []technitium.Row // inserted and not read, deleted ones too
	deleted                       []bool           // of expected
	seen                          int              // inserted rows that are in expected, or were
	count, lost, gaps, clockSteps int
}

func newSchedule(t *testing.T, seed uint64) *schedule {
	rng := rand.New(rand.NewPCG(seed, 7))
	ticks := []time.Duration{100, time.Second / 300, time.Second, time.Second}
	s := &schedule{world: world{rng: rng, now: start, tick: ticks[rng.IntN(len(ticks))], names: 1 + rng.IntN(50)*rng.IntN(50), overlap: time.Minute * time.Duration(1+rng.IntN(10))}}
	s.reader = Reader{Source: &s.log, Now: func() time.Time { return s.now }, Overlap: s.overlap, PerPage: 256 + rng.IntN(300)}
	s.p = Begin(start.Add(-s.overlap))
	// Before anything was read, nobody can know that something was deleted.
	for s.arrive(1); len(s.expected) > 0; {
		s.poll(t)
	}
	s.meanwhile = func() {
		if rng.IntN(10) == 0 {
			s.arrive(rng.IntN(20))
		}
		if rng.IntN(40) == 0 {
			s.trimSome()
		}
	}
	return s
}

func (s *schedule) arrive(n int) {
	for range n {
		s.add()
		s.expected, s.deleted = append(s.expected, s.rows[len(s.rows)-1]), append(s.deleted, false)
		s.seen++
	}
}

// trimSome deletes old rows, mostly ones that were read.
func (s *schedule) trimSome() {
	n := s.rng.IntN(len(s.rows) + 1)
	if unread := len(s.expected); s.rng.IntN(8) > 0 {
		n = s.rng.IntN(max(1, len(s.rows)-unread))
	}
	for _, id := range s.trim(n) {
		if i := id - (s.seen - len(s.expected)); i >= 0 {
			s.deleted[i] = true
		}
	}
}

func (s *schedule) step(t *testing.T) {
	t.Helper()
	s.now = s.now.Add(time.Duration(s.rng.Int64N(int64(s.overlap))) / 8)
	switch s.rng.IntN(12) {
	case 0:
		s.arrive(s.rng.IntN(1500))
	case 1:
		s.trimSome()
	case 2:
		if s.rng.IntN(4) == 0 {
			s.stepClock(t)
		}
	default:
		s.arrive(s.rng.IntN(60))
	}
	if s.rng.IntN(3) > 0 {
		s.poll(t)
	}
}

// stepClock sets the server's clock by up to some overlaps, when nothing unread is in the log.
// Rows late by more than the overlap are seen if they come last, so no row of the old time may
// follow before somebody looks.
func (s *schedule) stepClock(t *testing.T) {
	s.poll(t)
	s.poll(t)
	if len(s.expected) > 0 {
		return
	}
	s.wrong += time.Duration(s.rng.Int64N(int64(5*s.overlap))) - 5*s.overlap/2
	s.clockSteps++
	meanwhile := s.meanwhile
	s.meanwhile = nil
	s.now = s.now.Add(time.Second)
	for range 70 {
		s.insert(technitium.Row{Time: s.now.Add(s.wrong).Truncate(s.tick), QName: fmt.Sprint("step", s.rng.IntN(9))})
		s.expected, s.deleted = append(s.expected, s.rows[len(s.rows)-1]), append(s.deleted, false)
		s.seen++
	}
	var err error
	if _, s.p, err = s.reader.Probe(t.Context(), s.p); err != nil {
		t.Error(err)
	}
	s.poll(t)
	s.meanwhile = meanwhile
}

// poll reads; now and then it fails, or what was read is forgotten, as in a crash, and now and then
// the position goes to disk and back.
func (s *schedule) poll(t *testing.T) {
	t.Helper()
	s.fail = func() bool { return s.rng.IntN(30) == 0 }
	defer func() { s.fail = nil }()
	for range 40 {
		step, next, err := s.reader.Next(t.Context(), s.p)
		if err != nil || s.rng.IntN(10) == 0 {
			return
		}
		s.p = next
		s.account(t, step)
		if s.rng.IntN(10) == 0 {
			var kept Position
			b, _ := json.Marshal(s.p)
			if err := json.Unmarshal(b, &kept); err != nil {
				t.Error(err)
			}
			s.p = kept
		}
		if !step.More {
			return
		}
	}
}

// account compares new rows with the expected ones.
func (s *schedule) account(t *testing.T, step Step) {
	t.Helper()
	if step.Gap {
		s.gaps++
		// Of rows that look alike, those that are left and those that are gone cannot be told apart.
		for alike := 0; len(s.expected) > 0 && (s.deleted[0] || s.tick > time.Microsecond && alike < minAnchor) && (len(step.Rows) == 0 || s.expected[0].RTT != step.Rows[0].RTT); {
			if !s.deleted[0] {
				alike++
			}
			s.pop()
			s.lost++
		}
	}
	for i := range step.Rows {
		if len(s.expected) == 0 {
			t.Errorf("read %d rows of %d that were not there or were read before", len(step.Rows)-i, len(step.Rows))
			return
		}
		if got, want := step.Rows[i], s.expected[0]; hash(&got) != hash(&want) || step.Hashes[i] != hash(&got) {
			t.Errorf("read %s %s, want %s %s (deleted %v, gap %v); %s", got.Time, got.QName, want.Time, want.QName, s.deleted[0], step.Gap, s.describe())
			return
		}
		s.pop()
		s.count++
	}
}

func (s *schedule) pop() { s.expected, s.deleted = s.expected[1:], s.deleted[1:] }

// finish reads all that is left.
func (s *schedule) finish(t *testing.T) {
	t.Helper()
	s.meanwhile = nil
	for range 20 {
		s.poll(t)
	}
	rows, _ := drain(t, &s.reader, &s.p)
	if len(rows) > 0 {
		s.account(t, Step{Rows: rows, Hashes: s.p.view(rows).hashes})
	}
	if len(s.expected) > 0 {
		t.Errorf("%d of %d rows were not read", len(s.expected), s.inserted)
	}
}

func (s *schedule) describe() string {
	return fmt.Sprintf("overlap %s, tick %s, start %s, floor %s, newest %s, now %s, wrong by %s, anchor of %d", s.overlap, s.tick,
		s.p.Start.Format(time.TimeOnly), s.p.Floor.Format(time.TimeOnly), s.p.Newest.Format(time.TimeOnly), s.now.Format(time.TimeOnly), s.wrong, len(s.p.inInterval()))
}

// In the steady state a request brings the new rows and little else, however many the overlap has.
func TestSteadyCost(t *testing.T) {
	w := &world{rng: rand.New(rand.NewPCG(1, 1)), now: start, tick: 100, names: 1000, overlap: 10 * time.Minute}
	r := Reader{Source: &w.log, Now: func() time.Time { return w.now }, Overlap: w.overlap, PerPage: 10_000}
	p := Begin(start.Add(-time.Minute))
	add := func(n int) {
		for range n {
			w.now = w.now.Add(time.Millisecond)
			w.insert(row(w.now, fmt.Sprint(w.rng.IntN(1000))))
		}
	}
	add(50_000)
	if rows, _ := drain(t, &r, &p); len(rows) != 50_000 {
		t.Fatalf("%d rows", len(rows))
	}
	w.requests, w.sent = 0, 0
	const polls, each = 100, 20
	for range polls {
		add(each)
		if rows, _ := drain(t, &r, &p); len(rows) != each {
			t.Fatalf("%d rows, want %d", len(rows), each)
		}
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d new rows of 50000 known ones: %d requests, %d rows sent; position of %d bytes", polls*each, w.requests, w.sent, len(b))
	if w.requests > polls+polls/10 || w.sent > polls*(each+minAnchor+20) || len(b) > 8<<10 {
		t.Error("polling costs too much")
	}
}

// Deleted rows of the interval shift the others: nothing is lost or read twice, at the cost of a
// search.
func TestShift(t *testing.T) {
	w := &world{rng: rand.New(rand.NewPCG(1, 1)), now: start, tick: time.Second, names: 1, overlap: 10 * time.Minute}
	r := Reader{Source: &w.log, Now: func() time.Time { return w.now }, Overlap: w.overlap, PerPage: 500}
	p := Begin(start.Add(-time.Minute))
	for i := range 20 {
		for range 300 {
			w.now = w.now.Add(20 * time.Millisecond) // 50 rows a second that look alike
			w.insert(row(w.now.Truncate(w.tick), "x"))
		}
		if i > 0 {
			w.trim(100 + 17*i%200)
		}
		if rows, gaps := drain(t, &r, &p); len(rows) != 300 || gaps > 0 {
			t.Fatalf("round %d: %d rows, %d gaps", i, len(rows), gaps)
		}
	}
	w.trim(len(w.rows))
	if _, gaps := drain(t, &r, &p); gaps != 1 {
		t.Errorf("%d gaps after all was deleted", gaps)
	}
	if _, gaps := drain(t, &r, &p); gaps != 0 {
		t.Error("the same gap is said twice")
	}
}

// A log whose rows are all older than the start is not counted; what comes after is, even if it is
// deleted before it was read, which is said.
func TestBegin(t *testing.T) {
	w := &world{rng: rand.New(rand.NewPCG(1, 1)), now: start}
	r := Reader{Source: &w.log, Now: func() time.Time { return w.now }, Overlap: time.Minute, PerPage: 500}
	for range 100 {
		w.insert(row(start.Add(-time.Hour), "old"))
	}
	p := Begin(start.Add(-time.Minute))
	if rows, gaps := drain(t, &r, &p); len(rows) > 0 || gaps > 0 {
		t.Fatalf("%d rows, %d gaps", len(rows), gaps)
	}
	for range 10 {
		w.insert(row(start, "new"))
	}
	q := p
	if rows, gaps := drain(t, &r, &q); len(rows) != 10 || gaps > 0 {
		t.Errorf("%d rows, %d gaps, want 10 rows", len(rows), gaps)
	}
	w.trim(105)
	if rows, gaps := drain(t, &r, &p); len(rows) != 5 || gaps != 1 {
		t.Errorf("%d rows, %d gaps, want 5 rows after a gap", len(rows), gaps)
	}
}

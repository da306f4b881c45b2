package metric

import (
	"encoding/json"
	"strings"
	"testing"
)

var (
	tallied  = NewCounter("test_tallied_total", "Things.", Labels("kind"))
	plain    = NewCounter("test_plain_total", "Things without labels.")
	bucketed = NewHistogram("test_bucketed_seconds", "Seconds.", []float64{1, 2}, Labels("kind"))
)

// through gives what a value is after a stay in the state.
func through[T any](t *testing.T, v, into *T) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func expose(t *testing.T, emit func(*Batch)) string {
	t.Helper()
	b := NewBatch([]Metric{tallied, plain, bucketed}, "", "", 0)
	emit(b)
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := WriteText(&text, b.Families()); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestTally(t *testing.T) {
	var counts, none Tally
	counts.Add(0, "never")
	counts.Add(2, "a")
	counts.Add(3, "a")
	none.Add(7)
	copied := counts.Clone()
	copied.Add(1, "a")
	if counts.Value("a") != 5 || copied.Value("a") != 6 || counts.Sum() != 5 {
		t.Errorf("%v, copy %v", counts, copied)
	}
	var kept, keptNone Tally
	through(t, &counts, &kept)
	through(t, &none, &keptNone)
	const want = `# HELP test_plain_total Things without labels.
# TYPE test_plain_total counter
test_plain_total 7
# HELP test_tallied_total Things.
# TYPE test_tallied_total counter
test_tallied_total{kind="a"} 5
test_tallied_total{kind="never"} 0
`
	if got := expose(t, func(b *Batch) { kept.Emit(b, tallied); keptNone.Emit(b, plain) }); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestBucketer(t *testing.T) {
	counts := NewBucketer(bucketed)
	for _, v := range []float64{0, 1, 1.5, 2, 9} { // a bound belongs to the bucket below it
		counts.Observe(v, "a")
	}
	counts.Observe(0, "b")
	zero := 0.0
	counts.Observe(zero/zero, "b")
	copied := counts.Clone()
	copied.Observe(1, "a")
	kept := NewBucketer(bucketed)
	through(t, counts, kept)
	kept.Observe(2, "b")
	const want = `# HELP test_bucketed_seconds Seconds.
# TYPE test_bucketed_seconds histogram
test_bucketed_seconds_bucket{kind="a",le="1"} 2
test_bucketed_seconds_bucket{kind="a",le="2"} 4
test_bucketed_seconds_bucket{kind="a",le="+Inf"} 5
test_bucketed_seconds_sum{kind="a"} 13.5
test_bucketed_seconds_count{kind="a"} 5
test_bucketed_seconds_bucket{kind="b",le="1"} 1
test_bucketed_seconds_bucket{kind="b",le="2"} 2
test_bucketed_seconds_bucket{kind="b",le="+Inf"} 2
test_bucketed_seconds_sum{kind="b"} 2
test_bucketed_seconds_count{kind="b"} 2
`
	if got := expose(t, func(b *Batch) { kept.Emit(b, bucketed) }); got != want {
		t.Errorf("got\n%s", got)
	}
	if counts.Count() != 6 || copied.Count() != 7 {
		t.Errorf("%d, copy %d", counts.Count(), copied.Count())
	}
	other := NewBucketer(NewHistogram("test_other_seconds", "Seconds.", []float64{1, 3}))
	through(t, counts, other)
	if other.Count() != 0 {
		t.Error("counts of other buckets were taken over")
	}
}

func TestBounded(t *testing.T) {
	b := NewBounded(2)
	got := []string{b.Admit("x"), b.Admit("y"), b.Admit("z"), b.Admit("x"), b.Admit("other")}
	if want := "x y other x other"; strings.Join(got, " ") != want || !b.Full() {
		t.Errorf("got %q", got)
	}
	// A lower limit does not take a series away, a higher one admits more.
	for limit, want := range map[int]string{1: "x y other", 3: "x y z"} {
		kept := NewBounded(limit)
		through(t, b, kept)
		if got := strings.Join([]string{kept.Admit("x"), kept.Admit("y"), kept.Admit("z")}, " "); got != want {
			t.Errorf("limit %d: %q, want %q", limit, got, want)
		}
	}
	listed := NewBounded(1, "p", "q")
	if got := strings.Join([]string{listed.Admit("x"), listed.Admit("q"), listed.Admit("p")}, " "); got != "other q p" {
		t.Errorf("listed: %q", got)
	}
	held := struct{ B *Bounded }{NewBounded(1)}
	kept := struct{ B *Bounded }{NewBounded(1)}
	through(t, &held, &kept)
	if kept.B == nil || kept.B.Admit("x") != "x" {
		t.Error("an empty one does not come back from the state")
	}
	copied := NewBounded(9)
	copied.Admit("a")
	copied.Clone().Admit("b")
	if len(copied.admitted) != 1 {
		t.Error("a copy admits for the original")
	}
}

func TestLabelValue(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                         "plain",
		"bad\xff":                       "bad\uFFFD",
		strings.Repeat("x", 201):        strings.Repeat("x", 200),
		strings.Repeat("x", 199) + "é!": strings.Repeat("x", 199),
	} {
		if got := LabelValue(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

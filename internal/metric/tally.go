package metric

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
)

// separator joins label values to a map key; no UTF-8 text holds this byte.
const separator = "\xff"

// Tally counts what a collector itself observes, by label values in the declared order. Its JSON
// form is its whole content, to be kept in the collector's state: what must be exact through a
// crash is saved before it is emitted. The zero Tally is empty and ready; it is not safe for
// concurrent use.
type Tally struct{ counts map[string]float64 }

// Add adds n, which is not negative, to a series. Adding 0 makes it appear at 0.
func (t *Tally) Add(n float64, labels ...string) {
	if t.counts == nil {
		t.counts = make(map[string]float64)
	}
	t.counts[strings.Join(labels, separator)] += n
}

// Value is the count of a series, 0 where there is none.
func (t *Tally) Value(labels ...string) float64 { return t.counts[strings.Join(labels, separator)] }

// Sum is the sum of all series.
func (t *Tally) Sum() float64 {
	sum := 0.0
	for _, n := range t.counts {
		sum += n
	}
	return sum
}

// Clone gives a copy that counts on its own.
func (t *Tally) Clone() Tally { return Tally{maps.Clone(t.counts)} }

// Emit emits all series.
func (t *Tally) Emit(out *Batch, c Counter) {
	for key, n := range t.counts {
		out.Counter(c, n, valuesOf(key, len(c.desc.Labels))...)
	}
}

// valuesOf parts a key into label values; a series without labels has the empty key.
func valuesOf(key string, labels int) []string {
	if labels == 0 && key == "" {
		return nil
	}
	return strings.Split(key, separator)
}

type tallyJSON struct {
	Labels []string `json:"l"`
	Value  float64  `json:"v"`
}

// MarshalJSON gives the content, in a fixed order.
func (t Tally) MarshalJSON() ([]byte, error) {
	series := make([]tallyJSON, 0, len(t.counts))
	for _, key := range slices.Sorted(maps.Keys(t.counts)) {
		series = append(series, tallyJSON{strings.Split(key, separator), t.counts[key]})
	}
	return json.Marshal(series)
}

// UnmarshalJSON replaces the content.
func (t *Tally) UnmarshalJSON(data []byte) error {
	var series []tallyJSON
	if err := json.Unmarshal(data, &series); err != nil {
		return err
	}
	t.counts = make(map[string]float64, len(series))
	for _, s := range series {
		t.Add(s.Value, s.Labels...)
	}
	return nil
}

// Bucketer is a Tally of observations: the accumulator for a Histogram. Like a Tally it is kept
// as JSON in the state and is not safe for concurrent use.
type Bucketer struct {
	bounds []float64
	series map[string]*buckets
}

// buckets count observations up to each bound and above the last, not cumulatively.
type buckets struct {
	Labels []string `json:"l"`
	Counts []uint64 `json:"c"`
	Sum    float64  `json:"s"`
}

// NewBucketer makes an empty accumulator with the histogram's buckets.
func NewBucketer(h Histogram) *Bucketer {
	return &Bucketer{bounds: h.desc.Buckets, series: make(map[string]*buckets)}
}

// Observe counts a value; one that is not a number is none.
func (b *Bucketer) Observe(value float64, labels ...string) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	s := b.at(labels)
	i, _ := slices.BinarySearch(b.bounds, value) // le: the first bound that is not below value
	s.Counts[i]++
	s.Sum += value
}

// at gives the place of a series, which appears with no observation if it is new.
func (b *Bucketer) at(labels []string) *buckets {
	key := strings.Join(labels, separator)
	s := b.series[key]
	if s == nil {
		s = &buckets{Labels: slices.Clone(labels), Counts: make([]uint64, len(b.bounds)+1)}
		b.series[key] = s
	}
	return s
}

// Count is the number of observations of all series.
func (b *Bucketer) Count() uint64 {
	n := uint64(0)
	for _, s := range b.series {
		n += s.count()
	}
	return n
}

func (s *buckets) count() uint64 {
	n := uint64(0)
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Clone gives a copy that counts on its own.
func (b *Bucketer) Clone() *Bucketer {
	c := &Bucketer{bounds: b.bounds, series: make(map[string]*buckets, len(b.series))}
	for key, s := range b.series {
		c.series[key] = &buckets{Labels: s.Labels, Counts: slices.Clone(s.Counts), Sum: s.Sum}
	}
	return c
}

// Emit emits all series.
func (b *Bucketer) Emit(out *Batch, h Histogram) {
	for _, s := range b.series {
		cumulative := make([]uint64, len(b.bounds))
		n := uint64(0)
		for i := range cumulative {
			n += s.Counts[i]
			cumulative[i] = n
		}
		out.Histogram(h, s.count(), s.Sum, cumulative, s.Labels...)
	}
}

type bucketerJSON struct {
	Bounds []float64  `json:"bounds"`
	Series []*buckets `json:"series"`
}

// MarshalJSON gives the content, in a fixed order.
func (b *Bucketer) MarshalJSON() ([]byte, error) {
	out := bucketerJSON{Bounds: b.bounds, Series: make([]*buckets, 0, len(b.series))}
	for _, key := range slices.Sorted(maps.Keys(b.series)) {
		out.Series = append(out.Series, b.series[key])
	}
	return json.Marshal(out)
}

// UnmarshalJSON replaces the content of a Bucketer that NewBucketer made. Content with other
// buckets, of another version of the program, cannot be carried over: the histogram then starts
// at 0, which queries take for the reset that it is.
func (b *Bucketer) UnmarshalJSON(data []byte) error {
	var in bucketerJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	if b.bounds == nil {
		b.bounds = in.Bounds
	}
	b.series = make(map[string]*buckets, len(in.Series))
	if !slices.Equal(b.bounds, in.Bounds) {
		return nil
	}
	for _, s := range in.Series {
		if s != nil && len(s.Counts) == len(b.bounds)+1 {
			b.series[strings.Join(s.Labels, separator)] = s
		}
	}
	return nil
}

package metric

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

// Batch receives the samples of one run. It is not safe for concurrent use and
// belongs to its run: the runner publishes it only after the run returned, so
// a run that hangs or panics cannot change what is shown.
//
// A wrong emission (undeclared metric or value, wrong number of labels, the
// same series twice) does not stop the run; it is reported by Err, and the
// runner then counts the whole run as invalid.
type Batch struct {
	constant []*dto.LabelPair
	declared map[*Desc]struct{}
	families map[*Desc]*family
	errs     []error
	budget   int
	series   int
	dropped  int
}

type family struct {
	series []series
	sorted bool
}

// series is one sample, a fifth of the size of its client_model form.
type series struct {
	labels    []string // values, in the declared order
	value     float64
	histogram *dto.Histogram
}

// NewBatch makes a batch for the declared metrics. Each series gets the
// constant label (for example source="default"); at most budget series are
// kept (0: no limit) and the rest are counted.
func NewBatch(declared []Metric, label, value string, budget int) *Batch {
	b := &Batch{
		declared: make(map[*Desc]struct{}, len(declared)),
		families: make(map[*Desc]*family, len(declared)),
		budget:   budget,
	}
	if label != "" {
		b.constant = []*dto.LabelPair{{Name: &label, Value: &value}}
	}
	for _, m := range declared {
		b.declared[m.Desc()] = struct{}{}
	}
	return b
}

// Gauge emits the value of a gauge in its base unit. Label values follow in
// the declared order.
func (b *Batch) Gauge(g Gauge, value float64, labels ...string) {
	if math.IsNaN(value) {
		b.fail(g.desc, "NaN is not a measurement; omit the series")
		return
	}
	b.add(g.desc, value, nil, labels)
}

// Bool emits 1 for true and 0 for false.
func (b *Batch) Bool(g Gauge, value bool, labels ...string) {
	v := 0.0
	if value {
		v = 1
	}
	b.Gauge(g, v, labels...)
}

// Time emits a moment as Unix seconds. The zero time is unknown and emits
// nothing: no series is ever 1970.
func (b *Batch) Time(g Gauge, t time.Time, labels ...string) {
	if !t.IsZero() {
		b.Gauge(g, float64(t.UnixMilli())/1e3, labels...)
	}
}

// Counter emits the absolute value of a counter; a negative one is invalid.
func (b *Batch) Counter(c Counter, value float64, labels ...string) {
	if value < 0 || math.IsNaN(value) {
		b.fail(c.desc, "counter value %v", value)
		return
	}
	b.add(c.desc, value, nil, labels)
}

// Info emits an info series.
func (b *Batch) Info(i Info, labels ...string) {
	b.add(i.desc, 1, nil, labels)
}

// State emits one series for each declared state, 1 for current and 0 for the
// others. A state that was not declared is one that this version does not
// know: all series are 0, which claims nothing.
func (b *Batch) State(s State, current string, labels ...string) {
	states := s.desc.Labels[len(s.desc.Labels)-1].Values
	for _, state := range states {
		value := 0.0
		if state == current {
			value = 1
		}
		b.add(s.desc, value, nil, append(slices.Clip(labels), state))
	}
}

// Histogram emits a count, a sum and the cumulative counts of the declared
// buckets.
func (b *Batch) Histogram(h Histogram, count uint64, sum float64, cumulative []uint64, labels ...string) {
	if len(cumulative) != len(h.desc.Buckets) {
		b.fail(h.desc, "%d bucket counts for %d buckets", len(cumulative), len(h.desc.Buckets))
		return
	}
	buckets := make([]*dto.Bucket, len(cumulative))
	for i, c := range cumulative {
		if c > count || (i > 0 && c < cumulative[i-1]) {
			b.fail(h.desc, "bucket counts %v are not cumulative up to %d", cumulative, count)
			return
		}
		buckets[i] = &dto.Bucket{UpperBound: proto.Float64(h.desc.Buckets[i]), CumulativeCount: &c}
	}
	b.add(h.desc, 0, &dto.Histogram{SampleCount: &count, SampleSum: &sum, Bucket: buckets}, labels)
}

// Err joins what was wrong with the emissions, nil if nothing was.
func (b *Batch) Err() error {
	errs := slices.Clone(b.errs)
	for _, d := range b.descs() {
		all := b.families[d].order()
		for i := 1; i < len(all) && len(errs) < enoughErrors; i++ {
			if slices.Equal(all[i-1].labels, all[i].labels) {
				errs = append(errs, fmt.Errorf("%s: the series %q was emitted twice", d.Name, all[i].labels))
			}
		}
	}
	return errors.Join(errs...)
}

// Series is the number of kept series, a histogram counting its buckets, sum
// and count.
func (b *Batch) Series() int { return b.series }

// Dropped is the number of series beyond the budget.
func (b *Batch) Dropped() int { return b.dropped }

// enoughErrors name the fault; a million would be the fault.
const enoughErrors = 10

func (b *Batch) fail(d *Desc, format string, args ...any) {
	if len(b.errs) < enoughErrors {
		b.errs = append(b.errs, fmt.Errorf("%s: %s", d.Name, fmt.Sprintf(format, args...)))
	}
}

func (b *Batch) add(d *Desc, value float64, histogram *dto.Histogram, labels []string) {
	cost := 1
	if d.Kind == KindHistogram {
		cost = len(d.Buckets) + 3
	}
	if b.budget > 0 && b.series+cost > b.budget {
		b.dropped += cost
		return
	}
	f, err := b.family(d, labels)
	if err != nil {
		b.fail(d, "%v", err)
		return
	}
	// A copy: the caller may reuse its slice.
	f.series, f.sorted = append(f.series, series{slices.Clone(labels), value, histogram}), false
	b.series += cost
}

// family returns the place for a new series, or why it may not exist.
func (b *Batch) family(d *Desc, labels []string) (*family, error) {
	f := b.families[d]
	if f == nil {
		if _, ok := b.declared[d]; !ok {
			return nil, errors.New("not among the collector's declared metrics")
		}
		f = new(family)
		b.families[d] = f
	}
	if len(labels) != len(d.Labels) {
		return nil, fmt.Errorf("%d label values for %d labels", len(labels), len(d.Labels))
	}
	for i, v := range labels {
		if set := d.Labels[i].Values; set != nil && !slices.Contains(set, v) {
			return nil, fmt.Errorf("label %s: %q is not one of %q", d.Labels[i].Name, v, set)
		}
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("label %s: %q is not UTF-8", d.Labels[i].Name, v)
		}
	}
	return f, nil
}

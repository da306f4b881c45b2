package metric

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Family is the series of one metric from one run, ordered by labels. It is
// encoded once for each format that somebody scrapes, not once a scrape.
type Family struct {
	Desc        *Desc
	text        func() (Encoded, error)
	openMetrics func() (Encoded, error)
}

// Encoded is a metric family in one exposition format. Families of the same
// metric from several sources share one Header.
type Encoded struct {
	Header  []byte // HELP and TYPE lines
	Samples []byte
}

// Text gives the family in the Prometheus text format.
func (f Family) Text() (Encoded, error) { return f.text() }

// OpenMetrics gives the family in the OpenMetrics 1.0 text format.
func (f Family) OpenMetrics() (Encoded, error) { return f.openMetrics() }

// Families gives what the batch holds, ordered by name.
func (b *Batch) Families() []Family {
	families := make([]Family, 0, len(b.families))
	for _, d := range b.descs() {
		sorted := b.families[d].order()
		families = append(families, Family{
			Desc:        d,
			text:        encoder(d, b.constant, sorted, expfmt.MetricFamilyToText),
			openMetrics: encoder(d, b.constant, sorted, toOpenMetrics),
		})
	}
	return families
}

// MetricFamilies returns the batch as client_model values, for checks that
// work on them.
func (b *Batch) MetricFamilies() []*dto.MetricFamily {
	var out []*dto.MetricFamily
	for _, d := range b.descs() {
		out = append(out, d.family(b.constant, b.families[d].order()))
	}
	return out
}

// descs are the declarations that have series, by name.
func (b *Batch) descs() []*Desc {
	descs := make([]*Desc, 0, len(b.families))
	for d, f := range b.families {
		if len(f.series) > 0 {
			descs = append(descs, d)
		}
	}
	slices.SortFunc(descs, func(x, y *Desc) int { return strings.Compare(x.Name, y.Name) })
	return descs
}

// Type is the metric's exposed type.
func (d *Desc) Type() dto.MetricType {
	switch d.Kind {
	case KindCounter:
		return dto.MetricType_COUNTER
	case KindHistogram:
		return dto.MetricType_HISTOGRAM
	default:
		return dto.MetricType_GAUGE
	}
}

// order sorts the series by their labels.
func (f *family) order() []series {
	if !f.sorted {
		slices.SortFunc(f.series, func(x, y series) int { return slices.Compare(x.labels, y.labels) })
		f.sorted = true
	}
	return f.series
}

// family gives series in client_model's form.
func (d *Desc) family(constant []*dto.LabelPair, all []series) *dto.MetricFamily {
	mf := &dto.MetricFamily{Name: &d.Name, Help: &d.Help, Type: d.Type().Enum()}
	for i := range all {
		mf.Metric = append(mf.Metric, d.metric(constant, &all[i]))
	}
	return mf
}

func (d *Desc) metric(constant []*dto.LabelPair, s *series) *dto.Metric {
	values := make([]dto.LabelPair, len(s.labels))
	m := &dto.Metric{Label: append(make([]*dto.LabelPair, 0, len(s.labels)+len(constant)), constant...)}
	for i := range s.labels {
		values[i].Name, values[i].Value = &d.Labels[i].Name, &s.labels[i]
		m.Label = append(m.Label, &values[i])
	}
	switch d.Kind {
	case KindCounter:
		m.Counter = &dto.Counter{Value: &s.value}
	case KindHistogram:
		m.Histogram = s.histogram
	default:
		m.Gauge = &dto.Gauge{Value: &s.value}
	}
	return m
}

func toOpenMetrics(w io.Writer, mf *dto.MetricFamily) (int, error) {
	return expfmt.MetricFamilyToOpenMetrics(w, mf)
}

// encodeAtOnce bounds the series that are in client_model's form at the same time.
const encodeAtOnce = 1000

// encoder encodes the family when it is first asked for.
func encoder(d *Desc, constant []*dto.LabelPair, all []series, encode func(io.Writer, *dto.MetricFamily) (int, error)) func() (Encoded, error) {
	return sync.OnceValues(func() (Encoded, error) {
		var whole Encoded
		var samples, buf bytes.Buffer
		for part := range slices.Chunk(all, encodeAtOnce) {
			buf.Reset()
			if _, err := encode(&buf, d.family(constant, part)); err != nil {
				return Encoded{}, err
			}
			one := split(buf.Bytes())
			if whole.Header == nil {
				whole.Header = bytes.Clone(one.Header)
			}
			samples.Write(one.Samples)
		}
		whole.Samples = bytes.Clone(samples.Bytes()) // without the room to grow
		return whole, nil
	})
}

// split parts the comment lines at the start from the samples.
func split(encoded []byte) Encoded {
	n := 0
	for n < len(encoded) && encoded[n] == '#' {
		n += bytes.IndexByte(encoded[n:], '\n') + 1
	}
	return Encoded{Header: encoded[:n], Samples: encoded[n:]}
}

// WriteText writes families in the text format.
func WriteText(w io.Writer, families []Family) error {
	for _, f := range families {
		encoded, err := f.Text()
		if err != nil {
			return err
		}
		for _, part := range [][]byte{encoded.Header, encoded.Samples} {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
	}
	return nil
}

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
		mf := d.family(b.families[d].metrics)
		families = append(families, Family{
			Desc:        d,
			text:        encoder(mf, expfmt.MetricFamilyToText),
			openMetrics: encoder(mf, toOpenMetrics),
		})
	}
	return families
}

// MetricFamilies returns the batch as client_model values, for checks that
// work on them.
func (b *Batch) MetricFamilies() []*dto.MetricFamily {
	var out []*dto.MetricFamily
	for _, d := range b.descs() {
		out = append(out, d.family(b.families[d].metrics))
	}
	return out
}

// descs are the declarations that have series, by name.
func (b *Batch) descs() []*Desc {
	descs := make([]*Desc, 0, len(b.families))
	for d, f := range b.families {
		if len(f.metrics) > 0 {
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

func (d *Desc) family(metrics []*dto.Metric) *dto.MetricFamily {
	slices.SortFunc(metrics, func(x, y *dto.Metric) int {
		for i := range x.Label {
			if c := strings.Compare(x.Label[i].GetValue(), y.Label[i].GetValue()); c != 0 {
				return c
			}
		}
		return 0
	})
	return &dto.MetricFamily{Name: &d.Name, Help: &d.Help, Type: d.Type().Enum(), Metric: metrics}
}

func toOpenMetrics(w io.Writer, mf *dto.MetricFamily) (int, error) {
	return expfmt.MetricFamilyToOpenMetrics(w, mf)
}

// encoder encodes the family when it is first asked for.
func encoder(mf *dto.MetricFamily, encode func(io.Writer, *dto.MetricFamily) (int, error)) func() (Encoded, error) {
	return sync.OnceValues(func() (Encoded, error) {
		var buf bytes.Buffer
		if _, err := encode(&buf, mf); err != nil {
			return Encoded{}, err
		}
		return split(buf.Bytes()), nil
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

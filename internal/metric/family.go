package metric

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Family is the encoded form of the series of one metric from one run: what a
// scrape writes without working on it again.
type Family struct {
	Desc        *Desc
	Text        Encoded
	OpenMetrics Encoded
}

// Encoded is a metric family in one exposition format. Families of the same
// metric from several sources share one Header.
type Encoded struct {
	Header  []byte // HELP and TYPE lines
	Samples []byte
}

// Families encodes the batch, ordered by name, series ordered by labels.
func (b *Batch) Families() ([]Family, error) {
	descs := make([]*Desc, 0, len(b.families))
	for d, f := range b.families {
		if len(f.metrics) > 0 {
			descs = append(descs, d)
		}
	}
	slices.SortFunc(descs, func(x, y *Desc) int { return strings.Compare(x.Name, y.Name) })
	families := make([]Family, 0, len(descs))
	for _, d := range descs {
		f, err := encode(d, b.families[d].metrics)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Name, err)
		}
		families = append(families, f)
	}
	return families, nil
}

// MetricFamilies returns the batch as client_model values, for checks that
// work on them.
func (b *Batch) MetricFamilies() []*dto.MetricFamily {
	var out []*dto.MetricFamily
	for d, f := range b.families {
		if len(f.metrics) > 0 {
			out = append(out, d.family(f.metrics))
		}
	}
	slices.SortFunc(out, func(x, y *dto.MetricFamily) int { return strings.Compare(x.GetName(), y.GetName()) })
	return out
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

func encode(d *Desc, metrics []*dto.Metric) (Family, error) {
	mf := d.family(metrics)
	var text, om bytes.Buffer
	if _, err := expfmt.MetricFamilyToText(&text, mf); err != nil {
		return Family{}, err
	}
	if _, err := expfmt.MetricFamilyToOpenMetrics(&om, mf); err != nil {
		return Family{}, err
	}
	return Family{Desc: d, Text: split(text.Bytes()), OpenMetrics: split(om.Bytes())}, nil
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
		for _, part := range [][]byte{f.Text.Header, f.Text.Samples} {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
	}
	return nil
}

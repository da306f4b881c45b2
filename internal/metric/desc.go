// Package metric declares what a collector may publish and collects one run's
// samples.
//
// A collector declares each metric once as a typed package-level value
// (Gauge, Counter, State, Info, Histogram) and emits through a Batch, which
// refuses what was not declared: another label count, a value outside of a
// closed set, the same series twice. The exposition format is
// https://prometheus.io/docs/instrumenting/exposition_formats/.
package metric

import "slices"

// Kind is what a metric's samples mean; it fixes the exposed TYPE.
type Kind string

// The kinds of metric. State and Info are gauges on the wire.
const (
	KindGauge     Kind = "gauge"
	KindCounter   Kind = "counter"
	KindState     Kind = "state"
	KindInfo      Kind = "info"
	KindHistogram Kind = "histogram"
)

// StateLabel is the label that tells the states of a State metric apart.
const StateLabel = "state"

// Desc is the declaration of one metric. It is made by the New functions and
// never changes afterwards.
type Desc struct {
	Name   string
	Help   string
	Kind   Kind
	Labels []Label
	// Buckets are a histogram's upper bounds, ascending, without +Inf.
	Buckets []float64
	// Live metrics are published from a failed run too and never from an
	// older snapshot: what is configured, whether it is up, the collector's
	// own counters.
	Live bool
	// Compat names the exporter whose metric of the same name this one equals
	// in type, unit, labels and meaning. It exempts the name from lint.
	Compat string
}

// Label is a declared label. Values, where not nil, is the closed set of its
// values.
type Label struct {
	Name   string
	Values []string
}

// Metric is any declared metric.
type Metric interface{ Desc() *Desc }

type base struct{ desc *Desc }

// Desc returns the metric's declaration.
func (b base) Desc() *Desc { return b.desc }

// Typed declarations: each is accepted by the Batch method of its kind only.
type (
	// Gauge is a value that goes up and down.
	Gauge struct{ base }
	// Counter is a value that only grows; Batch takes its absolute value.
	Counter struct{ base }
	// State is one 0/1 series for each known state, at most one of them 1.
	State struct{ base }
	// Info is a series of constant value 1 that carries facts in its labels.
	Info struct{ base }
	// Histogram is a count, a sum and cumulative classic buckets.
	Histogram struct{ base }
)

// Option refines a declaration.
type Option func(*Desc)

// Labels declares labels with open sets of values, in the order of the values
// given to Batch.
func Labels(names ...string) Option {
	return func(d *Desc) {
		for _, name := range names {
			d.Labels = append(d.Labels, Label{Name: name})
		}
	}
}

// Closed declares a label whose values are all known.
func Closed(name string, values ...string) Option {
	return func(d *Desc) {
		d.Labels = append(d.Labels, Label{Name: name, Values: slices.Clone(values)})
	}
}

// Live marks a metric as true of the latest attempt only; see Desc.Live.
func Live() Option { return func(d *Desc) { d.Live = true } }

// Compat marks a metric as equal to the one of the named exporter.
func Compat(exporter string) Option { return func(d *Desc) { d.Compat = exporter } }

func newDesc(kind Kind, name, help string, opts []Option) base {
	d := &Desc{Name: name, Help: help, Kind: kind}
	for _, opt := range opts {
		opt(d)
	}
	return base{d}
}

// NewGauge declares a gauge. help is one sentence that names the unit or the
// meaning of 1.
func NewGauge(name, help string, opts ...Option) Gauge {
	return Gauge{newDesc(KindGauge, name, help, opts)}
}

// NewCounter declares a counter; its name ends in _total.
func NewCounter(name, help string, opts ...Option) Counter {
	return Counter{newDesc(KindCounter, name, help, opts)}
}

// NewInfo declares an info metric; its name ends in _info.
func NewInfo(name, help string, opts ...Option) Info {
	return Info{newDesc(KindInfo, name, help, opts)}
}

// NewState declares a state metric over a closed set of states. The state
// label comes last.
func NewState(name, help string, states []string, opts ...Option) State {
	s := State{newDesc(KindState, name, help, opts)}
	Closed(StateLabel, states...)(s.desc)
	return s
}

// NewHistogram declares a histogram over ascending upper bounds.
func NewHistogram(name, help string, buckets []float64, opts ...Option) Histogram {
	h := Histogram{newDesc(KindHistogram, name, help, opts)}
	h.desc.Buckets = slices.Clone(buckets)
	return h
}

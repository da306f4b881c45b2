package collectortest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/state"
	"vulcan.lan/vulcan_exporter/internal/systemd"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// patience is how long an Observer waits for what must come.
const patience = 20 * time.Second

// Observer is a collector on a real system bus, run again and again, with the
// real clock and with state that outlives it.
type Observer struct {
	// Last is what the last run emitted.
	Last *metric.Batch

	t      testing.TB
	source collector.Source
	dir    string
	c      collector.Collector
	stop   func()
}

// Observe makes the collector of the one source that the YAML configures.
func Observe(t testing.TB, d *collector.Definition, yaml string) *Observer {
	t.Helper()
	o := &Observer{t: t, source: Load(t, d, yaml)[0], dir: t.TempDir()}
	o.Start()
	t.Cleanup(o.Stop)
	return o
}

// Start is a start of the exporter.
func (o *Observer) Start() {
	o.t.Helper()
	env := Env(o.t)
	env.Now = time.Now
	store, unlock, err := state.Open(o.dir, env.Logger).Source(o.source.Definition.Name, "default")
	if err != nil {
		o.t.Fatal(err)
	}
	hub := systemd.NewHub(env.Logger)
	env.State, env.Systemd = store, hub
	if o.c, err = o.source.New(env); err != nil {
		o.t.Fatal(err)
	}
	o.stop = func() {
		if closer, ok := o.c.(collector.Closer); ok {
			if err := closer.Close(); err != nil {
				o.t.Error(err)
			}
		}
		if err := hub.Close(); err != nil {
			o.t.Error(err)
		}
		unlock()
	}
}

// Stop is an end of the exporter.
func (o *Observer) Stop() {
	if o.stop != nil {
		o.stop()
		o.stop = nil
	}
}

// Restart is a restart of the exporter.
func (o *Observer) Restart() { o.Stop(); o.Start() }

// Text runs the collector and gives what it emits.
func (o *Observer) Text() string {
	o.t.Helper()
	out, err := Collect(o.t, o.source, o.c)
	if err != nil {
		o.t.Fatal(err)
	}
	o.Last = out
	return Text(o.t, out)
}

// Sees waits until one run emits all of the given texts; one that begins with
// ! must be absent.
func (o *Observer) Sees(texts ...string) {
	o.t.Helper()
	testenv.Eventually(o.t, patience, func() error {
		exposition := o.Text()
		for _, text := range texts {
			want, unwanted := strings.CutPrefix(text, "!")
			if strings.Contains(exposition, want) == unwanted {
				return fmt.Errorf("%s in\n%s", text, exposition)
			}
		}
		return nil
	})
}

// Value reads one series.
func (o *Observer) Value(series string) float64 {
	o.t.Helper()
	exposition := o.Text()
	for line := range strings.Lines(exposition) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			var v float64
			if _, err := fmt.Sscan(rest, &v); err != nil {
				o.t.Fatal(err)
			}
			return v
		}
	}
	o.t.Fatalf("no %s in\n%s", series, exposition)
	return 0
}

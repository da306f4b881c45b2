package soak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vulcan.lan/vulcan_exporter/collectors"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// patience is how long a recovery may take on a machine that does other things. The slowest source
// has an interval of 5 s; after a failure it tries again within that.
const patience = 2 * time.Minute

// watcher scrapes all the time and holds each answer against what must be so.
type watcher struct {
	t        testing.TB
	s        *subject
	declared map[string]*metric.Desc
	source   map[string]string // metric -> the label that names its source
	owner    map[string]string // metric -> collector

	seen map[string]bool // pages that were searched for secrets

	done, ended chan struct{}

	mu       sync.Mutex
	life     int
	counters map[string]float64         // of this life
	fault    string                     // of now, or the last one
	times    map[string][]time.Duration // of scrapes, by the fault
	failed   int                        // scrapes
}

func watch(t testing.TB, s *subject) *watcher {
	w := &watcher{t: t, s: s, declared: map[string]*metric.Desc{}, source: map[string]string{}, owner: map[string]string{},
		seen: map[string]bool{}, counters: map[string]float64{}, times: map[string][]time.Duration{}, done: make(chan struct{}), ended: make(chan struct{})}
	for _, d := range collectors.All() {
		for _, m := range d.Metrics {
			desc := m.Desc()
			w.declared[desc.Name], w.source[desc.Name], w.owner[desc.Name] = desc, d.SourceLabel, d.Name
		}
	}
	go func() {
		defer close(w.ended)
		for {
			select {
			case <-w.done:
				return
			case <-time.After(200 * time.Millisecond):
				w.look()
			}
		}
	}()
	t.Cleanup(w.stop)
	return w
}

func (w *watcher) stop() {
	select {
	case <-w.done:
	default:
		close(w.done)
	}
	<-w.ended
}

func (w *watcher) newLife() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.life++
	clear(w.counters)
}

var client = &http.Client{Timeout: 20 * time.Second}

func (w *watcher) scrape() (map[string]*dto.MetricFamily, time.Duration, error) {
	begun := time.Now()
	response, err := client.Get(w.s.url + "/metrics")
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%s", response.Status)
	}
	body, err := io.ReadAll(response.Body)
	took := time.Since(begun) // parsing is the scraper's work
	if err != nil {
		return nil, 0, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	return families, took, err
}

// look is one scrape. That it fails while the exporter is killed, stopped or out of descriptors
// is no finding; what it answers must be right.
func (w *watcher) look() {
	w.mu.Lock()
	life, fault := w.life, w.fault
	w.mu.Unlock()
	families, took, err := w.scrape()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failed++
		return
	}
	w.times[fault] = append(w.times[fault], took)
	if life == w.life {
		w.monotonic(families)
	}
	w.fresh(families)
}

// monotonic: counters do not fall within a life of the process, nor what a histogram counts.
func (w *watcher) monotonic(families map[string]*dto.MetricFamily) {
	for name, f := range families {
		for _, m := range f.Metric {
			value, ok := 0., true
			switch {
			case m.Counter != nil:
				value = m.Counter.GetValue()
			case m.Histogram != nil:
				value = float64(m.Histogram.GetSampleCount())
			default:
				ok = false
			}
			if !ok || w.foreign(name) {
				continue
			}
			key := name + fmt.Sprint(m.Label)
			if before := w.counters[key]; value < before {
				w.t.Errorf("%s fell from %v to %v", key, before, value)
			}
			w.counters[key] = value
		}
	}
}

// foreign counters are others': they begin anew with the server or container that counts.
func (w *watcher) foreign(name string) bool {
	return slices.Contains([]string{"postgres", "redis", "container", "zfs", "opnsense"}, w.owner[name]) && !strings.HasSuffix(name, "_exits_total") ||
		name == "home_assistant_recorder_states_written_total" || name == "systemd_unit_restarts_total"
}

// fresh: a source whose last success is older than three of its intervals shows nothing that was
// measured. What is Live is said by each run anew.
func (w *watcher) fresh(families map[string]*dto.MetricFamily) {
	now := float64(time.Now().UnixMilli()) / 1000
	interval := bySource(families["vulcan_collector_interval_seconds"], "source")
	success := bySource(families["vulcan_collector_last_success_timestamp_seconds"], "source")
	for name, f := range families {
		desc := w.declared[name]
		if desc == nil || desc.Live {
			continue
		}
		for _, m := range f.Metric {
			key := w.owner[name] + "/" + label(m, w.source[name])
			every, ok := interval[key]
			if !ok {
				continue // collected at scrape
			}
			// Three more seconds: a loaded machine takes a while to answer.
			if age := now - success[key]; age > 3*every+3 {
				w.t.Errorf("%s of %s is served %.1f s after the last success, every %v s", name, key, age, every)
				return
			}
		}
	}
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.Label {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func bySource(f *dto.MetricFamily, name string) map[string]float64 {
	values := map[string]float64{}
	for _, m := range f.GetMetric() {
		values[label(m, "collector")+"/"+label(m, name)] = m.GetGauge().GetValue()
	}
	return values
}

// recovered returns when every source works again, with a success after the fault.
func (w *watcher) recovered(after string) {
	w.t.Helper()
	mended := float64(time.Now().Unix())
	testenv.Eventually(w.t, patience, func() error {
		if err := w.s.process.Exited(); err != nil {
			w.t.Fatalf("after %s: %v", after, err)
		}
		families, _, err := w.scrape()
		if err != nil {
			return fmt.Errorf("after %s: %w", after, err)
		}
		up := bySource(families["vulcan_collector_up"], "source")
		success := bySource(families["vulcan_collector_last_success_timestamp_seconds"], "source")
		interval := bySource(families["vulcan_collector_interval_seconds"], "source")
		for key := range interval {
			if up[key] != 1 || success[key] < mended {
				return fmt.Errorf("after %s: %s is not up again (up %v, last success %.0f s after the mending)", after, key, up[key], success[key]-mended)
			}
		}
		if len(up) < len(collectors.All()) {
			return fmt.Errorf("after %s: %d sources: %v", after, len(up), slices.Sorted(maps.Keys(up)))
		}
		return nil
	})
}

// stateValid: every state file is whole at any moment.
func (w *watcher) stateValid() {
	w.t.Helper()
	err := filepath.WalkDir(w.s.state, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil && !json.Valid(content) {
			err = fmt.Errorf("%s is no JSON", path)
		}
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
}

type resources struct{ goroutines, files, memory float64 }

func (r resources) String() string {
	return fmt.Sprintf("%.0f goroutines, %.0f files, %.1f MB", r.goroutines, r.files, r.memory/1e6)
}

func (w *watcher) resources() resources {
	w.t.Helper()
	families, _, err := w.scrape()
	if err != nil {
		w.t.Fatal(err)
	}
	value := func(name string) float64 { return families[name].GetMetric()[0].GetGauge().GetValue() }
	return resources{value("go_goroutines"), value("process_open_fds"), value("process_resident_memory_bytes")}
}

// during names the fault that the next scrapes belong to.
func (w *watcher) during(fault string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = fault
}

// hung is 20 times the 50 ms that a scrape may take at p99: no measure, but a scrape that waits for
// what it watches takes longer.
const hung = time.Second

// able are the times of the scrapes, sorted, without those while the exporter could not answer: it
// was stopped or had no descriptor left.
func (w *watcher) able() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var able []time.Duration
	for fault, times := range w.times {
		if fault != stopped && fault != noDescriptors {
			able = append(able, times...)
		}
	}
	slices.Sort(able)
	return able
}

// summary tells how long scrapes took, all and those that were able.
func (w *watcher) summary() string {
	able := w.able()
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []time.Duration
	var slowest []string
	for fault, times := range w.times {
		slices.Sort(times)
		all = append(all, times...)
		slowest = append(slowest, fmt.Sprintf("%6d ms of %4d: %s", quantile(times, 1).Milliseconds(), len(times), fault))
	}
	slices.Sort(all)
	if len(able) == 0 {
		return "no scrape was answered"
	}
	slices.Sort(slowest)
	slices.Reverse(slowest)
	return fmt.Sprintf("%d scrapes answered and %d not, median %s, p99 %s; while it was able to answer p99 %s; the longest:\n%s",
		len(all), w.failed, quantile(all, 0.5), quantile(all, 0.99), quantile(able, 0.99), strings.Join(slowest[:min(12, len(slowest))], "\n"))
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))].Round(time.Microsecond)
}

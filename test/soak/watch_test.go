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

const (
	// patience is for the start of everything, and for the rows of an outage to reach Loki.
	patience = 2 * time.Minute
	// slack is what a source may need beyond its interval to work again: 20 s is the longest timeout,
	// of a run that hangs since before the mending, and as much for a machine that does other things.
	slack = 40 * time.Second
)

// watcher scrapes all the time and holds each answer against what must be so.
type watcher struct {
	t        testing.TB
	s        *subject
	declared map[string]*metric.Desc
	source   map[string]string // metric -> the label that names its source
	owner    map[string]string // metric -> collector

	pages []string        // all that there are, once they are known
	seen  map[string]bool // those that were searched for secrets

	recoveries []recovery

	done, ended chan struct{}

	mu       sync.Mutex
	life     int
	counters map[string]float64         // of this life; those that are kept, of all lives
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
	maps.DeleteFunc(w.counters, func(key string, _ float64) bool {
		name, _, _ := strings.Cut(key, "[")
		return !w.committed(name)
	})
}

// kept are the counters that are saved before they are shown, by the beginnings of their names:
// they do not fall over a kill -9 either. What the exporter counts of itself, of connections and
// of what it passes on begins anew.
var kept = []string{
	"dns_query_total", "dns_query_by_", "dns_query_response_seconds", "dns_query_rows_", "dns_query_gap", "dns_query_late_rows_total",
	"dns_query_state_resets_total", "dns_query_loki_dropped_total",
	"litellm_spend_usd_total", "litellm_tokens_total", "litellm_requests_total", "litellm_ledger_", "litellm_logged_requests_total",
	"litellm_errors_total", "litellm_request_duration_seconds", "litellm_time_to_first_token_seconds",
	"backup_failures_total", "mbsync_failures_total", "restic_integrity_check_skipped_total", "restic_restore_drill_skipped_total",
	"container_exits_total",
}

func (w *watcher) committed(name string) bool {
	return slices.ContainsFunc(kept, func(k string) bool { return strings.HasPrefix(name, k) })
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
			key := name + fmt.Sprint(m.Label) // name[labels]
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

// recovery is how long a source that a fault had broken took to work again.
type recovery struct {
	fault, source  string
	took, interval float64
}

// recovered returns when every source works again, with a success after the fault, and notes how
// long each took. They have their interval for that and some slack.
func (w *watcher) recovered(after string, slack time.Duration) {
	w.t.Helper()
	mended := time.Now()
	sources := map[string]progress{}
	limit := slack
	testenv.Eventually(w.t, 10*time.Minute, func() error {
		if err := w.s.process.Exited(); err != nil {
			w.t.Fatalf("after %s: %v", after, err)
		}
		err := w.again(after, mended, sources, &limit)
		if err != nil && time.Since(mended) > limit {
			w.t.Fatalf("%v, %s after the mending", err, time.Since(mended).Round(time.Second))
		}
		return err
	})
}

// progress of a source after the mending.
type progress struct{ broken, well bool }

// again says which source does not work yet. The limit becomes that of the last one.
func (w *watcher) again(after string, mended time.Time, sources map[string]progress, limit *time.Duration) error {
	families, _, err := w.scrape()
	if err != nil {
		return fmt.Errorf("after %s: %w", after, err)
	}
	up := bySource(families["vulcan_collector_up"], "source")
	success := bySource(families["vulcan_collector_last_success_timestamp_seconds"], "source")
	interval := bySource(families["vulcan_collector_interval_seconds"], "source")
	var waiting []string
	longest := 0.
	for key, every := range interval {
		p := sources[key]
		if p.well {
			continue
		}
		p.broken = p.broken || up[key] != 1
		p.well = up[key] == 1 && success[key] >= float64(mended.Unix())
		sources[key] = p
		if !p.well {
			waiting = append(waiting, fmt.Sprintf("%s (up %v, every %v s)", key, up[key], every))
			longest = max(longest, every)
			continue
		}
		if p.broken {
			w.recoveries = append(w.recoveries, recovery{after, key, max(0, success[key]-float64(mended.UnixMilli())/1000), every})
		}
	}
	*limit = time.Duration(longest*float64(time.Second)) + slack
	if len(waiting) > 0 {
		slices.Sort(waiting)
		return fmt.Errorf("after %s not up again: %s", after, strings.Join(waiting, ", "))
	}
	if after == killed {
		w.carried(families)
	}
	if len(up) < len(collectors.All()) {
		return fmt.Errorf("after %s: %d sources: %v", after, len(up), slices.Sorted(maps.Keys(up)))
	}
	return nil
}

// carried: what is kept over a kill -9 is there again. That it has not fallen is seen by each scrape.
func (w *watcher) carried(families map[string]*dto.MetricFamily) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := map[string]bool{}
	for name, f := range families {
		for _, m := range f.Metric {
			now[name+fmt.Sprint(m.Label)] = true
		}
	}
	for key := range w.counters {
		name, _, _ := strings.Cut(key, "[")
		if w.committed(name) && !now[key] {
			w.t.Errorf("%s has gone with the process", key)
		}
	}
}

// recoverySummary tells how long broken sources took from the mending to their next success.
func (w *watcher) recoverySummary() string {
	if len(w.recoveries) == 0 {
		return "no source was broken when a fault was mended"
	}
	var took []float64
	late := map[string]string{}
	within := 0
	worst := map[string]float64{}
	for _, r := range w.recoveries {
		took = append(took, r.took)
		switch {
		case r.took <= r.interval+1: // a second for the run itself
			within++
		case r.took > worst[r.fault]:
			worst[r.fault] = r.took
			late[r.fault] = fmt.Sprintf("%6.1f s: %s, every %v s, after %s", r.took, r.source, r.interval, r.fault)
		}
	}
	slices.Sort(took)
	lines := slices.Sorted(maps.Values(late))
	slices.Reverse(lines)
	return fmt.Sprintf("%d of %d recoveries of a broken source within its interval (and a second for the run); median %.1f s, p99 %.1f s, longest %.1f s; the later ones:\n%s",
		within, len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1], strings.Join(lines[:min(12, len(lines))], "\n"))
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
	return resources{value("go_goroutines"), value("process_open_fds"), w.resident()}
}

// resident is VmRSS of the exporter, which is built as it is released, without the race detector.
func (w *watcher) resident() float64 {
	w.t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.s.process.PID))
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "VmRSS:")
	var kilobytes float64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		w.t.Fatalf("no VmRSS of %d: %v", w.s.process.PID, err)
	}
	return kilobytes * 1024
}

// during names the fault that the next scrapes belong to.
func (w *watcher) during(fault string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = fault
}

const (
	// quick is what a scrape may take at p99 on a machine that does nothing else, and hung 20 times
	// that: no measure, but a scrape that waits for what it watches takes longer.
	quick = 50 * time.Millisecond
	hung  = time.Second
	// small is what the exporter may hold with all collectors, in bytes.
	small = 60e6
)

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

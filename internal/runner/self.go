package runner

import (
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// The exporter's own metrics: what an alert needs to tell "all is well" from
// "nobody looked".
var (
	identity = metric.Labels("collector", "source")

	intervalSeconds = metric.NewGauge("vulcan_collector_interval_seconds",
		"Configured seconds between two runs of the source; absent where it runs at scrape.", identity)
	sinceTimestamp = metric.NewGauge("vulcan_collector_since_timestamp_seconds",
		"Unix time since when this process watches the source.", identity)
	failuresTotal = metric.NewCounter("vulcan_collector_failures_total",
		"Runs that failed, by reason.", identity,
		metric.Closed("reason", string(ReasonError), string(ReasonTimeout), string(ReasonPanic), string(ReasonInvalid)))
	inFlight = metric.NewGauge("vulcan_collector_in_flight",
		"1 while a run of the source is going on.", identity)
	up = metric.NewGauge("vulcan_collector_up",
		"1 if the last run of the source succeeded, 0 if it failed.", identity)
	lastAttempt = metric.NewGauge("vulcan_collector_last_attempt_timestamp_seconds",
		"Unix time at which the last run ended, whatever came of it.", identity)
	lastSuccess = metric.NewGauge("vulcan_collector_last_success_timestamp_seconds",
		"Unix time at which the last successful run ended.", identity)
	durationSeconds = metric.NewGauge("vulcan_collector_duration_seconds",
		"Seconds that the last run took.", identity)
	series = metric.NewGauge("vulcan_collector_series",
		"Series that the last run emitted.", identity)
	seriesDropped = metric.NewCounter("vulcan_collector_series_dropped_total",
		"Series beyond the collector's budget that were not published.", identity)

	reloadSuccessful = metric.NewGauge("vulcan_config_last_reload_successful",
		"1 if the configuration file was accepted when it was last read.")
	reloadTimestamp = metric.NewGauge("vulcan_config_last_reload_success_timestamp_seconds",
		"Unix time at which a configuration was last accepted.")
	statePersistent = metric.NewGauge("vulcan_state_persistent",
		"1 if the storage folder could be written when something was last, 0 if state does not survive a restart.")
	stateCorrupt = metric.NewCounter("vulcan_state_corrupt_total",
		"State files that could not be read and were set aside.")
)

// Declared are the metrics that the runner publishes about sources and itself.
func Declared() []metric.Metric {
	return []metric.Metric{
		intervalSeconds, sinceTimestamp, failuresTotal, inFlight, up, lastAttempt, lastSuccess,
		durationSeconds, series, seriesDropped,
		reloadSuccessful, reloadTimestamp, statePersistent, stateCorrupt,
	}
}

// self reports on the given sources and the process.
func (m *Manager) self(sources []Status) []metric.Family {
	out := metric.NewBatch(Declared(), "", "", 0)
	for _, s := range sources {
		s.emit(out)
	}
	m.mu.Lock()
	config := m.config
	m.mu.Unlock()
	out.Bool(reloadSuccessful, config.ok)
	out.Time(reloadTimestamp, config.loaded)
	out.Bool(statePersistent, m.deps.State.Err() == nil)
	out.Counter(stateCorrupt, float64(m.deps.State.Corrupt()))
	return out.Families()
}

func (s Status) emit(out *metric.Batch) {
	id := []string{s.Collector, s.Source}
	if s.Interval > 0 {
		out.Gauge(intervalSeconds, s.Interval.Seconds(), id...)
	}
	out.Time(sinceTimestamp, s.Since, id...)
	for reason, n := range s.Failures {
		out.Counter(failuresTotal, float64(n), s.Collector, s.Source, string(reason))
	}
	out.Bool(inFlight, s.InFlight, id...)
	if s.LastAttempt.IsZero() {
		return // nothing is known yet
	}
	out.Bool(up, s.Up, id...)
	out.Time(lastAttempt, s.LastAttempt, id...)
	out.Time(lastSuccess, s.LastSuccess, id...)
	out.Gauge(durationSeconds, s.LastDuration.Seconds(), id...)
	out.Gauge(series, float64(s.Series), id...)
	out.Counter(seriesDropped, float64(s.SeriesDropped), id...)
}

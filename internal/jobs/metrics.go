package jobs

import (
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Metrics are what every collector of jobs tells of each of them: whether it
// is there, when it ran, when it succeeded, when it should.
type Metrics struct {
	configured, loaded, matched, failed, running, timerActive, next metric.Gauge
	lastStart, lastExit, lastSuccess, lastOK, duration              metric.Gauge
	never, since, interval                                          metric.Gauge
	failures                                                        metric.Counter
}

// Declare makes the declarations of a collector that calls its jobs by noun
// (backup_job_configured, mbsync_account_configured). Their labels are name,
// the unit, and label, what the collector calls it.
func Declare(prefix, noun, label string) *Metrics {
	job := metric.Labels("name", label)
	gauge := func(name, help string) metric.Gauge { return metric.NewGauge(prefix+name, help, job) }
	return &Metrics{
		configured: gauge(noun+"_configured",
			"1 for each unit that the configuration names or whose name matches one of its globs."),
		loaded: gauge(noun+"_loaded",
			"1 if systemd could load the unit, 0 if it is missing, masked or wrong."),
		matched: metric.NewGauge(prefix+noun+"s_matched",
			"Units that a configured name or glob matches.", metric.Labels("units")),
		failed:      gauge("service_failed", "1 if the unit is in the failed state now."),
		running:     gauge("running", "1 while a run is going on, its ExecStartPre included."),
		timerActive: gauge("timer_active", "1 if the job's timer is active; absent where the job has none."),
		next: gauge("next_run_timestamp_seconds",
			"Unix time at which the job's timer elapses next; absent while it runs or is not scheduled."),
		lastStart: gauge("last_start_timestamp_seconds",
			"Unix time at which the last run that is known to have ended began."),
		lastExit: gauge("last_exit_timestamp_seconds",
			"Unix time at which the last run ended, whatever came of it."),
		lastSuccess: gauge("last_success_timestamp_seconds",
			"Unix time at which the last successful run ended; a failed run does not renew it."),
		lastOK: gauge("last_run_success",
			"1 if the last run succeeded, 0 if it failed; absent where none is known."),
		duration: gauge("duration_seconds", "Seconds that the last run took."),
		failures: metric.NewCounter(prefix+"failures_total",
			"Runs that failed, each once, since the job is watched.", job),
		never: gauge("never_succeeded", "1 if no successful run is known since the job is watched."),
		since: gauge("watched_since_timestamp_seconds",
			"Unix time at which the job was first seen, by this process or, with state, an earlier one."),
		interval: gauge("expected_interval_seconds",
			"Seconds between two runs, as configured or as the job's timer is set."),
	}
}

// All lists the declarations.
func (m *Metrics) All() []metric.Metric {
	return []metric.Metric{
		m.configured, m.loaded, m.matched, m.failed, m.running, m.timerActive, m.next,
		m.lastStart, m.lastExit, m.lastSuccess, m.lastOK, m.duration, m.failures,
		m.never, m.since, m.interval,
	}
}

// EmitMatched tells how many units one name or glob of the configuration finds.
func (m *Metrics) EmitMatched(out *metric.Batch, units string, n int) {
	out.Gauge(m.matched, float64(n), units)
}

// Emit tells one job. expected is the configured interval, 0 to take that of
// the job's timer.
func (m *Metrics) Emit(out *metric.Batch, j Job, expected time.Duration, label string) {
	labels := []string{j.Unit.Name, label}
	out.Gauge(m.configured, 1, labels...)
	out.Bool(m.loaded, j.Unit.LoadState == "loaded", labels...)
	out.Bool(m.failed, j.Unit.ActiveState == "failed", labels...)
	out.Bool(m.running, Running(j.Unit), labels...)
	if j.Timer != nil {
		out.Bool(m.timerActive, j.Timer.Active(), labels...)
		out.Time(m.next, j.Next, labels...)
	}
	if expected <= 0 {
		expected = j.Past.Interval
	}
	if expected > 0 {
		out.Gauge(m.interval, expected.Seconds(), labels...)
	}
	m.emitPast(out, j.Past, labels)
}

func (m *Metrics) emitPast(out *metric.Batch, r *Record, labels []string) {
	out.Time(m.since, r.Since, labels...)
	out.Time(m.lastStart, r.Start, labels...)
	out.Time(m.lastExit, r.Exit, labels...)
	out.Time(m.lastSuccess, r.Success, labels...)
	out.Bool(m.never, r.Success.IsZero(), labels...)
	out.Counter(m.failures, float64(r.Failures), labels...)
	if r.Exit.IsZero() {
		return
	}
	out.Bool(m.lastOK, r.OK, labels...)
	if !r.Start.IsZero() {
		out.Gauge(m.duration, max(0, r.Exit.Sub(r.Start).Seconds()), labels...)
	}
}

package redis

import (
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

func (s *server) emit(in info, out *metric.Batch) {
	out.Info(serverInfo, in["redis_version"], in["role"], in["redis_mode"], in["maxmemory_policy"])
	out.Time(startTime, s.startOf(in))
	for _, f := range fields {
		value, ok := in.number(f.name)
		if f.status {
			_, ok = in[f.name]
			value = 0
			if in[f.name] == "ok" {
				value = 1
			}
		}
		switch {
		case !ok: // this version does not tell
		case f.isCounter():
			out.Counter(f.counter, max(0, value))
		default:
			out.Gauge(f.gauge, value)
		}
	}
	for name, pairs := range in.numbered("db") {
		gauge(out, keys, pairs["keys"], name)
		gauge(out, keysExpiring, pairs["expires"], name)
	}
	emitErrors(in, out)
	emitReplication(in, out)
}

// startOf is the server's start, computed once for each server process: from a clock and an
// uptime in whole seconds it would jump to and fro.
func (s *server) startOf(in info) time.Time {
	uptime, ok := in.number("uptime_in_seconds")
	if !ok {
		return time.Time{}
	}
	if in["run_id"] != s.runID || s.runID == "" {
		now := s.now()
		if usec, ok := in.number("server_time_usec"); ok {
			now = time.UnixMicro(int64(usec))
		}
		s.runID = in["run_id"]
		s.start = now.Add(-time.Duration(uptime) * time.Second).Truncate(time.Second)
	}
	return s.start
}

// faults are the first words of error answers that tell of more than a client's mistyped command.
var faults = []string{"BUSY", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOPERM", "NOREPLICAS", "OOM", "READONLY", "WRONGPASS"}

// emitErrors shows INFO's errorstat_OOM:count=3 (since Redis 6.2). All faults are shown, at 0
// too, where the server tells errors apart. One whose scripts made up too many kinds does no
// longer, until CONFIG RESETSTAT: https://redis.io/docs/latest/commands/info/ (Errorstats).
func emitErrors(in info, out *metric.Batch) {
	if _, ok := in.number("total_error_replies"); !ok {
		return
	}
	_, off := in["errorstat_ERRORSTATS_DISABLED"]
	if out.Bool(errorsKnown, !off); off {
		return
	}
	for _, word := range faults {
		count, _ := number(parts(in["errorstat_"+word])["count"])
		out.Counter(errorsTotal, max(0, count), word)
	}
}

func emitReplication(in info, out *metric.Batch) {
	if in["role"] == "slave" {
		at := []string{in["master_host"], in["master_port"]}
		out.Bool(linkUp, in["master_link_status"] == "up", at...)
		gauge(out, syncing, in["master_sync_in_progress"], at...)
		gauge(out, replicaOffset, in["slave_repl_offset"], at...)
	}
	seen := map[string]bool{}
	for _, pairs := range in.numbered("slave") {
		at := []string{pairs["ip"], pairs["port"], pairs["state"]}
		if key := strings.Join(at, " "); seen[key] {
			continue // behind one address translator, several look alike
		} else {
			seen[key] = true
		}
		gauge(out, slaveLag, pairs["lag"], at...)
		gauge(out, slaveOffset, pairs["offset"], at...)
	}
}

func gauge(out *metric.Batch, g metric.Gauge, text string, labels ...string) {
	if value, ok := number(text); ok {
		out.Gauge(g, value, labels...)
	}
}

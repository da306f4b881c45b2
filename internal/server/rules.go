package server

import (
	"maps"
	"slices"
	"time"
)

// What the page makes of the sources' metrics. The tables below are data: a
// domain joins by its metrics' names and labels, and the package knows no
// collector. A test holds them against what the collectors declare.

// kind is how a rule reads values.
type kind int

const (
	// flagged: the value bad is trouble, any other is well; only trouble is listed.
	flagged kind = iota
	// since: a moment in the past; trouble when longer ago than allowed.
	since
	// until: a moment to come; trouble when nearer than margin.
	until
	// lacking: trouble when no series of needs has the same labels and the value 1, while the
	// source's given is 1, without which nothing is known.
	lacking
)

// rule makes rows of one metric.
type rule struct {
	section   string
	collector string
	metric    string
	where     map[string]string // only series with these label values
	except    map[string]string // and without any of these
	labels    []string          // that identify a row; the first is its subject
	kind      kind
	bad       float64 // flagged
	// says is what trouble means, after the subject; moment is what happened
	// or will happen at the time of since and until, over what of until when
	// it is past.
	says, moment, over string
	// allowed is, for since, a metric with the same labels whose value in
	// seconds, times factor, is the allowed age.
	allowed string
	factor  float64
	margin  time.Duration // until
	needs   selector      // lacking
	given   string        // lacking: a metric with one series a source
	// mending are commands; {label} stands for a label's value.
	mending []string
}

// selector selects series by some of their label values.
type selector struct {
	metric string
	where  map[string]string
}

const (
	units        = "Units"
	containers   = "Containers"
	backups      = "Backups"
	mail         = "Mail synchronisation"
	servers      = "Servers"
	pools        = "Storage pools"
	firewalls    = "Firewalls"
	resolvers    = "DNS servers"
	gateways     = "LLM gateways"
	homes        = "Home Assistant"
	certificates = "Certificates"
)

var unitMending = []string{"systemctl status -- {name}", "journalctl --no-pager -n 50 --unit={name}"}

var containerMending = []string{"podman ps --all --filter name={name}", "podman logs --tail 50 {name}"}

var (
	certificateLabels  = []string{"name", "path", "endpoint"}
	certificateMending = []string{"openssl x509 -noout -subject -dates -in {path}", "openssl s_client -connect {endpoint} </dev/null"}
	// authority certificates are many and stay in stores beyond their end;
	// where one is missed, chains become invalid.
	authority = map[string]string{"type": "ca"}
)

// unit reports whether a row is a systemd unit, whose trouble is told in one
// section only.
func (r rule) unit() bool { return len(r.mending) > 0 && r.mending[0] == unitMending[0] }

// rules are in the order of sections and, within one, of urgency; where two
// speak of the same thing, the first one's trouble is told.
var rules = []rule{
	{section: units, collector: "criticalservice", metric: "critical_service_active", labels: []string{"name"},
		bad: 0, says: "is required and not active", mending: unitMending},
	{section: backups, collector: "backup", metric: "backup_service_failed", labels: []string{"name", "backup"},
		bad: 1, says: "failed", mending: unitMending},
	{section: backups, collector: "backup", metric: "backup_last_success_timestamp_seconds", labels: []string{"name", "backup"},
		kind: since, moment: "last succeeded", allowed: "backup_expected_interval_seconds", factor: 1.5, says: "has not succeeded for longer than 1.5 intervals", mending: unitMending},
	{section: backups, collector: "backup", metric: "backup_never_succeeded", labels: []string{"name", "backup"},
		bad: 1, says: "has never succeeded", mending: unitMending},
	{section: backups, collector: "backup", metric: "backup_timer_active", labels: []string{"name", "backup"},
		bad: 0, says: "will not run: its timer is not active", mending: []string{"systemctl list-timers --all"}},
	{section: backups, collector: "backup", metric: "backup_artifact_newest_timestamp_seconds", labels: []string{"backup"},
		kind: since, moment: "written", allowed: "backup_artifact_max_age_seconds", factor: 1, says: "was not written for too long"},
	{section: backups, collector: "backup", metric: "backup_artifact_complete", labels: []string{"backup"},
		bad: 0, says: "is cut off: the dump's end is missing"},
	{section: backups, collector: "restic", metric: "restic_listing_success", labels: []string{"repository"},
		bad: 0, says: "is a repository that cannot be listed", mending: []string{"restic --no-lock snapshots"}},
	{section: backups, collector: "restic", metric: "restic_expected_last_snapshot_timestamp_seconds", labels: []string{"repository", "host", "tags", "paths"},
		kind: since, moment: "newest snapshot", allowed: "restic_expected_max_age_seconds", factor: 1, says: "has no recent snapshot", mending: []string{"restic --no-lock snapshots"}},
	{section: backups, collector: "restic", metric: "restic_integrity_check_success", labels: []string{"repository"},
		bad: 0, says: "failed its integrity check", mending: []string{"restic --no-lock check --read-data-subset=1/52"}},
	{section: backups, collector: "restic", metric: "restic_restore_drill_success", labels: []string{"repository"},
		bad: 0, says: "failed its restore drill"},
	{section: pools, collector: "zfs", metric: "zfs_pool_imported", labels: []string{"pool"},
		bad: 0, says: "is expected and not imported", mending: []string{"zpool import"}},
	{section: pools, collector: "zfs", metric: "zfs_pool_clean", labels: []string{"pool"},
		bad: 0, says: "is not clean: a device, an error or a resilver", mending: []string{"zpool status -v {pool}"}},
	{section: pools, collector: "zfs", metric: "zfs_pool_scrub_due_timestamp_seconds", labels: []string{"pool"},
		kind: until, moment: "scrub due", over: "scrub was due", says: "needs a scrub", mending: []string{"zpool scrub {pool}"}},
	{section: mail, collector: "mbsync", metric: "mbsync_service_failed", labels: []string{"name", "account"},
		bad: 1, says: "failed", mending: unitMending},
	{section: mail, collector: "mbsync", metric: "mbsync_last_success_timestamp_seconds", labels: []string{"name", "account"},
		kind: since, moment: "last succeeded", allowed: "mbsync_expected_interval_seconds", factor: 3, says: "has not succeeded for longer than 3 intervals", mending: unitMending},
	{section: mail, collector: "mbsync", metric: "mbsync_never_succeeded", labels: []string{"name", "account"},
		bad: 1, says: "has never succeeded", mending: unitMending},
	{section: containers, collector: "container", metric: "container_configured", labels: []string{"name", "source"},
		kind: lacking, needs: selector{"container_state", map[string]string{"state": "running"}}, given: "container_socket_up",
		says: "should run and does not", mending: containerMending},
	{section: containers, collector: "container", metric: "container_health", where: map[string]string{"state": "unhealthy"}, labels: []string{"name", "source"},
		bad: 1, says: "is unhealthy: its own check fails", mending: containerMending},
	{section: units, collector: "systemd", metric: "systemd_unit_state", where: map[string]string{"state": "failed"}, labels: []string{"name"},
		bad: 1, says: "failed", mending: unitMending},
	{section: servers, collector: "postgres", metric: "pg_up", labels: []string{"source"},
		bad: 0, says: "does not answer as PostgreSQL", mending: []string{"pg_lsclusters"}},
	{section: servers, collector: "redis", metric: "redis_up", labels: []string{"source"},
		bad: 0, says: "does not answer as Redis"},
	{section: servers, collector: "redis", metric: "redis_rdb_last_bgsave_status", labels: []string{"source"},
		bad: 0, says: "could not write its last dump"},
	{section: servers, collector: "redis", metric: "redis_aof_last_write_status", labels: []string{"source"},
		bad: 0, says: "cannot write its append-only file"},
	{section: gateways, collector: "litellm", metric: "litellm_gateway_up", labels: []string{"source"},
		bad: 0, says: "does not answer"},
	{section: gateways, collector: "litellm", metric: "litellm_canary_success", labels: []string{"model_group", "source"},
		bad: 0, says: "gave no completion when it was asked for one"},
	{section: gateways, collector: "litellm", metric: "litellm_redis_up", labels: []string{"source"},
		bad: 0, says: "has a Redis that does not answer: spend waits there"},
	{section: homes, collector: "homeassistant", metric: "home_assistant_api_up", labels: []string{"source"},
		bad: 0, says: "does not answer"},
	{section: firewalls, collector: "opnsense", metric: "opnsense_upstream_up", labels: []string{"source"},
		bad: 0, says: "does not answer"},
	{section: firewalls, collector: "opnsense", metric: "opnsense_api_key_accepted", labels: []string{"source"},
		bad: 0, says: "refuses the API key"},
	{section: firewalls, collector: "opnsense", metric: "opnsense_gateway_state", where: map[string]string{"state": "offline"}, labels: []string{"name", "source"},
		bad: 1, says: "is a gateway that is down"},
	{section: firewalls, collector: "opnsense", metric: "opnsense_upstream_insecure", labels: []string{"source"},
		bad: 1, says: "is read without checking its certificate: insecure_skip_verify is set"},
	{section: resolvers, collector: "dnsquery", metric: "dns_query_api_up", labels: []string{"source"},
		bad: 0, says: "does not give its query log"},
	{section: resolvers, collector: "dnsquery", metric: "dns_query_loki_up", labels: []string{"source"},
		bad: 0, says: "is logged on disk only: Loki does not take its rows"},
	{section: resolvers, collector: "dnsquery", metric: "dns_query_server_blocking_enabled", labels: []string{"source"},
		bad: 0, says: "does not block: blocking is off"},
	{section: certificates, collector: "certificate", metric: "certificate_not_after_timestamp_seconds", except: authority, labels: certificateLabels,
		kind: until, moment: "expires", over: "expired", margin: 24 * time.Hour, says: "is at its end", mending: certificateMending},
	{section: certificates, collector: "certificate", metric: "certificate_served_matches_file", labels: certificateLabels,
		bad: 0, says: "is not what the file holds: reload the service"},
	{section: certificates, collector: "certificate", metric: "certificate_key_matches", except: authority, labels: []string{"name", "path"},
		bad: 0, says: "has a private key of another certificate"},
	{section: certificates, collector: "certificate", metric: "certificate_chain_valid", except: authority, labels: certificateLabels,
		bad: 0, says: "has no valid chain to a trusted root", mending: certificateMending},
}

// Use is a metric that the page reads.
type Use struct {
	Collector, Metric string
	Labels            []string
}

// Uses lists what the page reads of collectors, for a check that they declare
// it.
func Uses() []Use {
	var out []Use
	for _, r := range rules {
		labels := slices.Concat(r.labels, slices.Collect(maps.Keys(r.where)), slices.Collect(maps.Keys(r.except)))
		out = append(out, Use{r.collector, r.metric, labels})
		if r.allowed != "" {
			out = append(out, Use{r.collector, r.allowed, r.labels})
		}
		if r.kind == lacking {
			needed := slices.Concat(r.labels, slices.Collect(maps.Keys(r.needs.where)))
			out = append(out, Use{r.collector, r.needs.metric, needed}, Use{r.collector, r.given, nil})
		}
	}
	return out
}

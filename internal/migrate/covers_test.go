package migrate

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/httpjson"
)

// sources are configured ones, each as "collector/source" and its effective configuration.
func sources(pairs ...string) []collector.Source {
	var all []collector.Source
	for i := 0; i < len(pairs); i += 2 {
		name, source, _ := strings.Cut(pairs[i], "/")
		all = append(all, collector.Source{Definition: &collector.Definition{Name: name}, Name: source, Canonical: pairs[i+1]})
	}
	return all
}

// TestCovers: covered is what the configuration names, not what has a collector.
func TestCovers(t *testing.T) {
	for name, c := range map[string]struct {
		sources []collector.Source
		series  string
		want    string
		open    bool
	}{
		"a job by its glob": {
			sources("backup/default", `jobs: [{units: "restic-backups-*.service"}]`),
			`backup_last_run_success{backup="Audio"} 1`,
			"covered    old.prom: backup_last_run_success -> backup_last_run_success\n", false,
		},
		"an artifact is no job": {
			sources("backup/default", `artifacts: [{name: Audio, path: /srv/a}]`),
			`backup_last_run_success{backup="Audio"} 1`,
			"missing    old.prom: not covered: backup \"Audio\": backup.jobs[].units has no restic-backups-Audio.service\n", true,
		},
		"a glob of others, told once": {
			sources("backup/default", `jobs: [{units: "postgresql-*.service"}, {units: restic-backups-Home.service}]`),
			"backup_service_failed{backup=\"Audio\"} 1\nbackup_timer_active{backup=\"Audio\"} 1\nbackup_timer_active{backup=\"Home\"} 1",
			"missing    old.prom: not covered: backup \"Audio\": backup.jobs[].units has no restic-backups-Audio.service\n" +
				"partly     old.prom: backup_timer_active -> backup_timer_active\n" +
				"relabelled old.prom: backup=\"Home\" is now backup=\"restic-backups-Home\"\n", true,
		},
		"accounts": {
			sources("mbsync/default", `accounts: [{units: mbsync-johnw.service}, {units: "mail-*.service"}]`),
			"mbsync_last_sync_status{account=\"johnw\"} 1\nmbsync_last_sync_status{account=\"bia\"} 1",
			"missing    old.prom: not covered: account \"bia\": mbsync.accounts[].units has no mbsync-bia.service\n" +
				"partly     old.prom: mbsync_last_sync_status -> mbsync_last_run_success\n", true,
		},
		"certificates": {
			sources("certificate/default", `
roots: [/etc/root_ca.crt]
files: [{type: nginx, paths: ["/var/lib/nginx-certs/*.crt"], exclude: ["old-*"]}]
endpoints: [{name: smtp, serves: /var/lib/postfix-certs/smtp.crt}]`),
			`certificate_file_exists{path="/var/lib/nginx-certs/a.crt"} 1
certificate_file_exists{path="/var/lib/nginx-certs/old-a.crt"} 1
certificate_file_exists{path="/etc/root_ca.crt"} 1
certificate_file_exists{path="/var/lib/postfix-certs/smtp.crt"} 1
certificate_exporter_last_run_timestamp_seconds 1`,
			"covered    old.prom: certificate_exporter_last_run_timestamp_seconds -> vulcan_collector_last_success_timestamp_seconds\n" +
				"missing    old.prom: not covered: path \"/var/lib/nginx-certs/old-a.crt\": certificate.files[].paths has it not\n" +
				"partly     old.prom: certificate_file_exists -> certificate_file_exists\n", true,
		},
		"no canary": {
			sources("litellm/main", `{url: "http://x", canary: {models: []}}`),
			`litellm_availability 1`,
			"missing    old.prom: not covered: completion: litellm.canary.models is empty\n", true,
		},
		"a canary of another model": {
			sources("litellm/main", `canary: {models: [chat]}`),
			"litellm_response_time_seconds{model=\"hera/gpt-oss-120b\"} 0\nlitellm_availability{model=\"chat\"} 1",
			"covered    old.prom: litellm_availability -> litellm_canary_success, litellm_gateway_up\n" +
				"missing    old.prom: not covered: model \"hera/gpt-oss-120b\": litellm.canary.models has it not\n", true,
		},
		"a canary": {
			sources("litellm/main", `canary: {models: [chat]}`), `litellm_availability 1`,
			"covered    old.prom: litellm_availability -> litellm_canary_success, litellm_gateway_up\n", false,
		},
		"Home Assistant without backups": {
			sources("homeassistant/default", `{url: "http://x", backups: []}`),
			"home_assistant_backup_count 3\nhome_assistant_backup_age_seconds{backup=\"a.tar\"} 3",
			"missing    old.prom: not covered: backups of Home Assistant: homeassistant.backups is empty\n", true,
		},
		"Home Assistant's backups": {
			sources("homeassistant/default", `backups: [/var/lib/hass/backups]`), "home_assistant_backup_count 3",
			"covered    old.prom: home_assistant_backup_count -> home_assistant_backups\n", false,
		},
		"integrity of repositories": {
			sources("restic/Audio", `check: {interval: 7d}`, "restic/Home", `check: {unit: restic-check.service}`, "restic/Photos", `check: {interval: 0s, parts: 52}`),
			"restic_integrity_check_success 1\nrestic_snapshots_total{repository=\"doc\"} 1",
			"missing    old.prom: not covered: check of repository \"Photos\": restic.sources[].check has no interval, unit or result_file\n" +
				"partly     old.prom: restic_integrity_check_success -> restic_integrity_check_success\n" +
				"missing    old.prom: not covered: repository \"doc\": restic.sources[].name has it not\n", true,
		},
		"services": {
			sources("criticalservice/default", `units: [nginx.service, "redis-*.service"]`),
			"critical_service_active{service=\"nginx\"} 1\ncritical_service_active{service=\"redis-litellm\"} 1\ncritical_service_active{service=\"loki\"} 1",
			"missing    old.prom: not covered: service \"loki\": criticalservice.units has no loki.service\n" +
				"partly     old.prom: critical_service_active -> critical_service_active\n", true,
		},
		"rows to Loki": {
			sources("dnsquery/main", `{url: "http://x", loki: {url: ""}}`), `dns_queries_total{rcode="NOERROR"} 3`,
			"missing    old.prom: not covered: rows to Loki: dnsquery.loki.url is empty\n", true,
		},
		"a series without its label": {
			sources("backup/default", `jobs: [{units: "restic-backups-*.service"}]`), `backup_timer_active 1`,
			"unknown    old.prom: backup_timer_active has no label backup: check with vulcan_exporter collect backup\n", false,
		},
		"no collector": {
			sources(), `backup_timer_active{backup="Audio"} 1`,
			"missing    old.prom: backup_timer_active: collector backup is not configured\n", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "old.prom"), []byte(c.series+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			r := NewReport(&b, c.sources)
			r.Textfiles(dir)
			if b.String() != c.want {
				t.Errorf("said\n%swant\n%s", b.String(), c.want)
			}
			if err := r.End(); (err != nil) != c.open {
				t.Errorf("ends with %v", err)
			}
		})
	}
}

// TestFolder: a folder without textfiles says nothing of what is covered.
func TestFolder(t *testing.T) {
	for dir, want := range map[string]string{
		t.TempDir():                           "no *.prom file",
		filepath.Join(t.TempDir(), "nowhere"): "no such file or directory",
	} {
		var b strings.Builder
		r := NewReport(&b, nil)
		r.Textfiles(dir)
		if !strings.HasPrefix(b.String(), "empty      "+dir+": ") || !strings.Contains(b.String(), want) {
			t.Errorf("said %q", b.String())
		}
		if err := r.End(); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("ends with %v", err)
		}
	}
}

// server answers as Prometheus with series and no rules. It fails requests for anything else.
func server(t *testing.T, series ...map[string]string) *httpjson.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		result := []any{}
		switch req.URL.Path {
		case "/api/v1/rules":
		case "/api/v1/query":
			if q := req.URL.Query().Get("query"); !strings.Contains(q, "|critical_service_active|") {
				t.Errorf("asked for %s", q)
			}
			for _, labels := range series {
				result = append(result, map[string]any{"metric": labels, "value": []any{1, "1"}})
			}
		default:
			t.Errorf("asked for %s", req.URL)
		}
		if err := json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"groups": []any{}, "result": result}}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	client, err := httpjson.New(httpjson.Config{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// TestScripts: what has no textfile is found where Prometheus scrapes it.
func TestScripts(t *testing.T) {
	old := []map[string]string{
		{"__name__": "critical_service_active", "job": "critical-services-health", "service": "nginx"},
		{"__name__": "dns_queries_total", "job": "dns_query_logs"},
		{"__name__": "opnsense_up", "job": "opnsense"},
		{"__name__": "critical_service_active", "job": "ours"}, // by the exporter itself
		{"__name__": "vulcan_collector_up", "job": "ours"},
		{"__name__": "dns_query_log_last_row", "job": "vulcan_exporter"}, // recorded
	}
	complete := sources("criticalservice/default", `units: [nginx.service]`, "dnsquery/a", `loki: {url: "http://l"}`, "opnsense/a", `listen: 127.0.0.1:8444`)
	for name, c := range map[string]struct {
		sources []collector.Source
		want    string
		open    bool
	}{
		"nothing": {nil, "missing    job critical-services-health: critical_service_active: collector criticalservice is not configured\n" +
			"missing    job dns_query_logs: dns_queries_total: collector dnsquery is not configured\n" +
			"missing    job opnsense: opnsense-api-transformer (port 8444), if it reads through that: opnsense.listen is not configured\n", true},
		"no proxy": {append(sources("opnsense/a", `listen: ""`), complete[:2]...), "covered    job critical-services-health: critical_service_active -> critical_service_active\n" +
			"covered    job dns_query_logs: dns_queries_total -> dns_query_total\n" +
			"missing    job opnsense: opnsense-api-transformer (port 8444), if it reads through that: opnsense.listen is not configured\n", true},
		"all": {complete, "covered    job critical-services-health: critical_service_active -> critical_service_active\n" +
			"covered    job dns_query_logs: dns_queries_total -> dns_query_total\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			r := NewReport(&b, c.sources)
			if err := r.Prometheus(t.Context(), server(t, old...)); err != nil {
				t.Fatal(err)
			}
			if b.String() != c.want {
				t.Errorf("said\n%swant\n%s", b.String(), c.want)
			}
			if err := r.End(); (err != nil) != c.open {
				t.Errorf("ends with %v", err)
			}
		})
	}
	var b strings.Builder
	r := NewReport(&b, complete)
	err := r.Prometheus(t.Context(), server(t))
	if want := "empty      prometheus: it had no vulcan_collector_up in the last hour"; err != nil || !strings.HasPrefix(b.String(), want) || r.End() == nil {
		t.Errorf("of a server without the exporter it said %v\n%s", err, b.String())
	}
	b.Reset()
	r = NewReport(&b, nil)
	r.NotAsked()
	want := "unknown    critical-services-exporter: it has no textfile; --prometheus tells whether it runs, collector criticalservice is not configured\n"
	if !strings.HasPrefix(b.String(), want) || strings.Count(b.String(), "\n") != 3 || r.End() == nil {
		t.Errorf("without Prometheus it said\n%s", b.String())
	}
	b.Reset()
	r = NewReport(&b, complete)
	if r.NotAsked(); !strings.Contains(b.String(), "unknown    dns-query-log-exporter: it has no textfile; --prometheus tells what of it is not covered\n") || r.End() != nil {
		t.Errorf("without Prometheus, configured, it said\n%s", b.String())
	}
}

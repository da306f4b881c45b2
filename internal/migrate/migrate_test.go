package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// gone is what is said of the label service of a critical_service_ metric.
func gone(metric string) string {
	return "critical_service_" + metric + `: label service; service="nginx" is name="nginx.service".`
}

// TestStale: what an expression selects that only the scripts publish.
func TestStale(t *testing.T) {
	for expr, want := range map[string]string{
		`restic_snapshots_total{repository="Audio"} == 0`:                                                          "restic_snapshots_total -> restic_snapshots",
		`sum(rate(dns_queries_total[5m])) by (rcode)`:                                                              "dns_queries_total -> dns_query_total",
		`{__name__=~"certificate_valid|up", job="node"} == 0`:                                                      "certificate_valid -> certificate_not_after_timestamp_seconds, certificate_file_error",
		`critical_service_active{service="nginx"} == 0`:                                                            `critical_service_active: label service; service="nginx" is name="nginx.service".`,
		`restic_repo_size_bytes{job="node"} > 1e12`:                                                                `restic_repo_size_bytes: job="node" -> job="vulcan_exporter"`,
		`critical_service_active{name="nginx.service"} == 0`:                                                       "",
		`restic_snapshots == 0`:                                                                                    "",
		`up{job="restic_snapshots_total"}`:                                                                         "", // a string that is no name
		`label_replace(up, "api_errors_total", "", "", "")`:                                                        "",
		`my_restic_snapshots_total + restic_snapshots_total_sum`:                                                   "", // other names
		`sum by (certificate_valid) (up{consecutive_failures="1"})`:                                                "certificate_valid -> certificate_not_after_timestamp_seconds, certificate_file_error",
		"backup_last_run_success == 0 and on (backup) backup_last_run_timestamp_seconds":                           "backup_last_run_timestamp_seconds -> backup_last_exit_timestamp_seconds",
		`sum by (service) (critical_service_active == 0)`:                                                          gone("active"),
		`critical_service_failed * ON (host, service) GROUP_LEFT () up`:                                            gone("failed"),
		`up * on () group_left (service) critical_service_active`:                                                  gone("active"),
		`max without (service) (critical_service_active)`:                                                          gone("active"),
		`critical_service_active{service=~"redis-.{3}"} == 0`:                                                      gone("active"),
		`{__name__="critical_service_active", service="nginx"}`:                                                    gone("active"),
		`label_values(critical_service_active{job="vulcan_exporter"}, service)`:                                    gone("active"),
		`sum by (name) (critical_service_active{name!="service"})`:                                                 "",
		`sum by (service) (up)`:                                                                                    "",
		`label_replace(critical_service_active, "service", "$1", "name", "(.*).service") == 0 and on (service) up`: "",
		`restic_repo_size_bytes{instance="localhost:9100"} > 1e12`:                                                 `restic_repo_size_bytes: instance="localhost:9100" -> the instance of vulcan_exporter`,
		`critical_service_failed{instance=~'127.0.0.1:9221'}`:                                                      `critical_service_failed: instance=~'127.0.0.1:9221' -> the instance of vulcan_exporter`,
		`restic_repo_size_bytes{instance="localhost:9847"}`:                                                        "",
		`node_load1{instance="localhost:9100"} and on () restic_repo_size_bytes`:                                   "",
	} {
		if got := strings.Join(Stale(expr), "; "); got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range Names() {
		if seen[n.Old] {
			t.Errorf("%s is there twice", n.Old)
		}
		seen[n.Old] = true
		if len(n.New) == 0 || n.Collector == "" {
			t.Errorf("%s leads nowhere", n.Old)
		}
		if n.Kept() && n.Expr != "" {
			t.Errorf("%s stayed and is recorded: two meanings under one name", n.Old)
		}
	}
}

func TestReadTextfiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("restic.prom", "# TYPE restic_snapshots_total gauge\nrestic_snapshots_total{repository=\"b\"} 1\nrestic_snapshots_total{repository=\"a\"} 2\n")
	write("restic.prom.123", "garbage that node_exporter does not read either\n")
	write("broken.prom", "restic_snapshots_total{repository=\n")
	if err := os.Mkdir(filepath.Join(dir, "folder.prom"), 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := ReadTextfiles(dir)
	if err != nil || len(files) != 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if wrong := filepath.Base(f.Path) != "restic.prom"; wrong != (f.Err != nil) {
			t.Errorf("%s: %v", f.Path, f.Err)
		}
	}
	if got := series(files[2].Families["restic_snapshots_total"]); len(got) != 2 || got[0]["repository"] != "b" || got[1]["repository"] != "a" {
		t.Errorf("series %v", got)
	}
	if _, err := ReadTextfiles(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a folder that does not exist is no error")
	}
}

func FuzzParseTextfile(f *testing.F) {
	f.Add([]byte("# TYPE a gauge\na{b=\"c\"} 1\n"))
	f.Add([]byte("a{b=\"c\n"))
	f.Add([]byte("a 1 2\n# HELP a \\n\na{} NaN\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		families, err := parseTextfile(content)
		if err == nil && families == nil {
			t.Error("neither families nor an error")
		}
	})
}

func FuzzStale(f *testing.F) {
	f.Add(`sum(rate(dns_queries_total{a="b"}[5m]))`)
	f.Add(`{__name__=~"certificate_valid`)
	f.Fuzz(func(t *testing.T, expr string) {
		for _, s := range Stale(expr) {
			if s == "" {
				t.Error("says nothing")
			}
		}
	})
}

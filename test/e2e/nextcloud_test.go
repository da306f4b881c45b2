package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// fakeNextcloud answers what the exporter and a probe ask of a Nextcloud 29: the page status.php
// and, to the right token, the server information of the app serverinfo
// (https://github.com/nextcloud/serverinfo, GET /ocs/v2.php/apps/serverinfo/api/v1/info).
type fakeNextcloud struct {
	*httptest.Server
	// maintenance is the answer 503 to everything; refused is a token that is not known.
	maintenance, refused atomic.Bool
	// slow is the time that the page takes.
	slow atomic.Int64
}

const serverInfo = `{"ocs": {"meta": {"status": "ok", "statuscode": 200, "message": "OK"}, "data": {
	"nextcloud": {
		"system": {"version": "29.0.4.1", "freespace": 50000000000, "apps": {"num_installed": 40, "num_updates_available": 1}},
		"storage": {"num_users": 3, "num_files": 120000},
		"shares": {"num_shares_user": 4, "num_shares_groups": 0, "num_shares_link": 2}},
	"server": {"webserver": "nginx", "php": {"version": "8.2.20", "memory_limit": 536870912, "upload_max_filesize": 536870912},
		"database": {"type": "pgsql", "version": "15.7", "size": 123456789}},
	"activeUsers": {"last5minutes": 1, "last1hour": 2, "last24hours": 3}}}}`

func newFakeNextcloud(t *testing.T) *fakeNextcloud {
	t.Helper()
	f := &fakeNextcloud{}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeNextcloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	info := r.URL.Path == "/ocs/v2.php/apps/serverinfo/api/v1/info"
	switch {
	case f.maintenance.Load():
		http.Error(w, "maintenance", http.StatusServiceUnavailable)
	case info && (f.refused.Load() || r.Header.Get("NC-Token") != "token"):
		http.Error(w, "", http.StatusUnauthorized)
	case info:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, serverInfo)
	default:
		time.Sleep(time.Duration(f.slow.Load()))
		_, _ = io.WriteString(w, `{"installed":true,"maintenance":false,"needsDbUpgrade":false,"version":"29.0.4.1"}`)
	}
}

// TestNextcloud: the exporter refused, Nextcloud in maintenance, slow, the exporter gone. Each is
// one alert, and the probe's and the exporter's view of one fault are not two.
func TestNextcloud(t *testing.T) {
	t.Parallel()
	cloud := newFakeNextcloud(t)
	page := cloud.URL + "/status.php"
	address := freeAddress(t)
	exporter := startDaemon(t, address, "/", "prometheus-nextcloud-exporter", "--addr", address, "--server", cloud.URL, "--auth-token", "token")
	h := New(t, Options{
		Rules:         []string{"nextcloud_alerts", "blackbox_alerts"},
		Targets:       map[string]string{"nextcloud": exporter.Address},
		Instances:     map[string]string{"nextcloud": page},
		Blackbox:      startBlackbox(t, nil).Address,
		Probes:        []Probe{{Job: "blackbox_http", Target: page, Service: "nextcloud"}},
		ProbeInterval: "4s", // slow is more than 2 s
		Fakes:         map[string]string{"Nextcloud": "Nextcloud"},
	})
	h.waitValue(`sum(probe_success) + sum(nextcloud_up)`, 2)
	h.ExactlyFiring()
	of := map[string]string{"instance": page}
	down, latency := Alert{"NextcloudDown", of}, Alert{"NextcloudHighLatency", of}
	unobserved := Alert{"NextcloudNotObserved", of}
	through := func(alert Alert, fault, mend func()) {
		t.Helper()
		fault()
		h.WaitFiring(alert.Name, alert.Labels)
		h.ExactlyFiring(alert)
		mend()
		h.WaitResolved(alert.Name, alert.Labels)
		h.ExactlyFiring()
	}

	through(unobserved, func() { cloud.refused.Store(true) }, func() { cloud.refused.Store(false) })
	through(down, func() { cloud.maintenance.Store(true) }, func() { cloud.maintenance.Store(false) })
	through(latency, func() { cloud.slow.Store(int64(3 * time.Second)) }, func() { cloud.slow.Store(0) })
	h.catalogued(t, "nextcloud", "nextcloud_exporter")
	exporter.Kill()
	h.WaitFiring(unobserved.Name, unobserved.Labels)
	h.ExactlyFired(down, latency, unobserved)
}

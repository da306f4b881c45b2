package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// learnedEndpoint is asked for by clients of the proxy only, so that a test says when.
const learnedEndpoint = "wireguard/service/show"

// firewalls are the sources of a configuration, all with the key that the fake accepts.
type firewalls struct{ key, secret string }

func (f firewalls) source(name string, fw *testenv.OPNsense, listen, trust string) string {
	return fmt.Sprintf("    - {name: %s, url: %q, key_file: %q, secret_file: %q, listen: %q, %s}\n", name, fw.URL, f.key, f.secret, listen, trust)
}

func trusts(fw *testenv.OPNsense) string { return fmt.Sprintf("ca_file: %q", fw.CAFile) }

// startFirewall is one without a fault of its own.
func startFirewall(t *testing.T, options testenv.OPNsenseOptions) *testenv.OPNsense {
	t.Helper()
	fw := testenv.StartOPNsense(t, "25.7.8", options)
	fw.Answer("routing/settings/searchGateway", gateway("Online", "success", "0.0 %"))
	return fw
}

// TestOPNsenseProxyAndTrust: an API whose types change while the exporter is down, a proxy without its address, an endpoint
// that breaks off, a certificate that ends soon and one that nobody looks at.
func TestOPNsenseProxyAndTrust(t *testing.T) {
	t.Parallel()
	home, office, lab := startFirewall(t, testenv.OPNsenseOptions{}), startFirewall(t, testenv.OPNsenseOptions{}), startFirewall(t, testenv.OPNsenseOptions{})
	old := startFirewall(t, testenv.OPNsenseOptions{NotAfter: time.Now().AddDate(0, 0, 10)})
	with := firewalls{writeSecret(t, "key", testenv.OPNsenseKey), writeSecret(t, "secret", testenv.OPNsenseSecret)}
	proxy := freeAddress(t)
	base := "opnsense:\n  interval: 1s\n  sources:\n" + with.source("home", home, proxy, trusts(home))
	h := New(t, Options{
		Fakes:  map[string]string{"OPNsense": "OPNsense API"},
		Rules:  []string{"opnsense_alerts"},
		Scale:  120, // an hour takes 30 s, and 5 minutes still hold two scrapes
		Config: base,
	})
	alert := func(name, source string) Alert { return Alert{name, map[string]string{"source": source}} }
	changed, failing := alert("OPNsenseAPIChanged", "home"), alert("OPNsenseProxyFailing", "home")
	changed.Labels["endpoint"] = learnedEndpoint
	deaf := alert("OPNsenseProxyNotListening", "office")
	unverified, expiring := alert("OPNsenseCertificateNotVerified", "lab"), alert("OPNsenseCertificateExpiring", "branch")
	h.ExactlyFiring()

	h.learned(t, proxy, func() {
		home.Answer(learnedEndpoint, text(`{"total":"2","rowCount":2,"current":1,"rows":[]}`))
	})
	h.askProxy(t, proxy, http.StatusOK)
	h.WaitFiring(changed.Name, changed.Labels)
	h.ExactlyFiring(changed)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	base += with.source("office", office, taken.Addr().String(), trusts(office))
	h.Reload(base + with.source("lab", lab, "", "insecure_skip_verify: true") + with.source("branch", old, "", trusts(old)))
	h.WaitFiring(deaf.Name, deaf.Labels)
	h.ExactlyFiring(changed, deaf)
	_ = taken.Close()
	h.WaitResolved(deaf.Name, deaf.Labels)

	home.Answer(learnedEndpoint, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	ended := h.keepAsking(t, proxy)
	h.WaitFiring(failing.Name, failing.Labels)
	h.WaitPending(expiring.Name, expiring.Labels)
	home.Answer(learnedEndpoint, nil)
	h.WaitResolved(failing.Name, failing.Labels)
	ended()

	h.WaitFiring(unverified.Name, unverified.Labels)
	h.WaitFiring(expiring.Name, expiring.Labels)
	h.WaitResolved(changed.Name, changed.Labels)
	h.ExactlyFiring(unverified, expiring)
	renewed := startFirewall(t, testenv.OPNsenseOptions{})
	h.Reload(base + with.source("lab", lab, "", trusts(lab)) + with.source("branch", renewed, "", trusts(renewed)))
	h.WaitResolved(unverified.Name, unverified.Labels)
	h.WaitResolved(expiring.Name, expiring.Labels)
	h.waitValue(`sum(opnsense_upstream_up)`, 4)
	h.ExactlyFired(changed, deaf, failing, unverified, expiring)
}

// learned has the exporter learn an endpoint from one answer. That takes it ten, a minute apart:
// the other nine are written into what it keeps, between a stop and a start. Something else may
// be done meanwhile.
func (h *Harness) learned(t *testing.T, proxy string, meanwhile func()) {
	t.Helper()
	h.askProxy(t, proxy, http.StatusOK)
	file := filepath.Join(h.dir, "state", "opnsense.home.json")
	var kept struct {
		Version int                       `json:"version"`
		State   map[string]map[string]any `json:"state"`
	}
	testenv.Eventually(t, Limit, func() error {
		content, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(content, &kept)
		}
		if err == nil && kept.State[learnedEndpoint]["samples"] == nil {
			err = fmt.Errorf("%s: nothing learned of %s", content, learnedEndpoint)
		}
		return err
	})
	kept.State[learnedEndpoint]["samples"] = 10
	content, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	h.restart(t, func() {
		writeFile(t, file, string(content))
		meanwhile()
	})
	h.waitValue(fmt.Sprintf(`opnsense_shape_fields{endpoint=%q} > bool 0`, learnedEndpoint), 1)
	h.waitValue(`up{job="vulcan_exporter"}`, 1)
}

// askProxy asks as opnsense-exporter does, until the status is this one.
func (h *Harness) askProxy(t *testing.T, address string, status int) {
	t.Helper()
	testenv.Eventually(t, Limit, func() error {
		res, err := http.Get("http://" + address + "/api/" + learnedEndpoint)
		if err != nil {
			return err
		}
		if err := res.Body.Close(); err != nil {
			return err
		}
		if res.StatusCode != status {
			return fmt.Errorf("proxy: %s", res.Status)
		}
		return nil
	})
}

// keepAsking asks all the time, whatever the answer, until the function that it returns is called.
func (h *Harness) keepAsking(t *testing.T, address string) func() {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				if res, err := http.Get("http://" + address + "/api/" + learnedEndpoint); err == nil {
					_ = res.Body.Close()
				}
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

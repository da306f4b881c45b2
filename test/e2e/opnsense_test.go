package e2e

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// TestOPNsense follows two firewalls through their faults: each raises its own alert, the other
// firewall's stay quiet, and the proxy serves what opnsense-exporter needs beside them.
func TestOPNsense(t *testing.T) {
	t.Parallel()
	healthy := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	failing := testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	for _, fw := range []*testenv.OPNsense{healthy, failing} {
		fw.Answer("routing/settings/searchGateway", gateway("Online", "success", "0.0 %"))
	}
	key, secret := writeSecret(t, "key", testenv.OPNsenseKey), writeSecret(t, "secret", testenv.OPNsenseSecret)
	proxy := freeAddress(t)
	source := func(name string, fw *testenv.OPNsense, listen string) string {
		return fmt.Sprintf("    - {name: %s, url: %q, ca_file: %q, key_file: %q, secret_file: %q, listen: %q}\n", name, fw.URL, fw.CAFile, key, secret, listen)
	}
	config := func(home *testenv.OPNsense) string {
		return "opnsense:\n  interval: 1s\n  sources:\n" + source("home", home, proxy) + source("office", healthy, "")
	}
	h := New(t, Options{
		Fakes:  map[string]string{"OPNsense": "OPNsense API"},
		Rules:  []string{"opnsense_alerts"},
		Config: config(failing),
	})
	home := map[string]string{"source": "home"}
	wan := map[string]string{"source": "home", "name": "WAN"}
	h.ExactlyFiring()
	proxied(t, proxy)

	failing.Answer("routing/settings/searchGateway", gateway("Offline", "danger", "100.0 %"))
	h.WaitFiring("OPNsenseGatewayDown", wan)
	failing.Answer("routing/settings/searchGateway", gateway("Packetloss", "warning", "15.0 %"))
	h.WaitResolved("OPNsenseGatewayDown", wan)
	h.WaitFiring("OPNsenseGatewayDegraded", wan)
	h.ExactlyFiring(Alert{"OPNsenseGatewayDegraded", wan})
	failing.Answer("routing/settings/searchGateway", gateway("Online", "success", "0.0 %"))
	h.WaitResolved("OPNsenseGatewayDegraded", wan)

	failing.Answer("diagnostics/activity/getActivity", text(`{"headers":["CPU: 90.0% user,  0.0% nice,  8.0% system,  1.0% interrupt,  1.0% idle"]}`))
	h.WaitFiring("OPNsenseHighCPU", home)
	failing.Answer("diagnostics/activity/getActivity", nil)
	h.WaitResolved("OPNsenseHighCPU", home)

	failing.Revoke()
	h.WaitFiring("OPNsenseAPIKeyRejected", home)
	h.ExactlyFiring(Alert{"OPNsenseAPIKeyRejected", home})
	failing.Stop()
	h.WaitFiring("OPNsenseDown", home)
	h.WaitResolved("OPNsenseAPIKeyRejected", home)
	h.ExactlyFiring(Alert{"OPNsenseDown", home})

	renewed := testenv.StartOPNsense(t, "26.1", testenv.OPNsenseOptions{NotAfter: time.Now().Add(-time.Hour)})
	renewed.Answer("routing/settings/searchGateway", gateway("Online", "success", "0.0 %"))
	h.Reload(config(renewed))
	h.WaitFiring("OPNsenseCertificateRejected", home)
	h.WaitResolved("OPNsenseDown", home)
	h.ExactlyFiring(Alert{"OPNsenseCertificateRejected", home})
	if asked := renewed.Requests(); len(asked) > 0 {
		t.Errorf("the firewall with an expired certificate was sent %s", asked[0].URL)
	}
	mended := testenv.StartOPNsense(t, "26.1", testenv.OPNsenseOptions{})
	mended.Answer("routing/settings/searchGateway", gateway("Online", "success", "0.0 %"))
	h.Reload(config(mended))
	h.WaitResolved("OPNsenseCertificateRejected", home)
	h.ExactlyFiring()
	h.ExactlyFired(Alert{"OPNsenseGatewayDown", wan}, Alert{"OPNsenseGatewayDegraded", wan}, Alert{"OPNsenseHighCPU", home},
		Alert{"OPNsenseAPIKeyRejected", home}, Alert{"OPNsenseDown", home}, Alert{"OPNsenseCertificateRejected", home})
}

// proxied asks the proxy as opnsense-exporter does, without a key of its own.
func proxied(t *testing.T, address string) {
	t.Helper()
	testenv.Eventually(t, Limit, func() error {
		res, err := http.Get("http://" + address + "/api/core/system/status")
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err == nil && (res.StatusCode != http.StatusOK || !strings.Contains(string(body), `"status": 2`)) {
			err = fmt.Errorf("%s: %s", res.Status, body)
		}
		return err
	})
}

func gateway(status, colour, loss string) http.HandlerFunc {
	return text(fmt.Sprintf(`{"total":1,"rows":[{"name":"WAN","disabled":false,"monitor_disable":"0","status":%q,"delay":"9.0 ms","stddev":"0.1 ms","loss":%q,"label_class":"fa fa-plug text-%s"}]}`, status, loss, colour))
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func writeSecret(t *testing.T, name, value string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	writeFile(t, path, value+"\n")
	return path
}

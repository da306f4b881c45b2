package certificate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"vulcan.lan/vulcan_exporter/collectors/certificate/zoo"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// TestEndpointFaults: one endpoint of each kind, none of which holds up the others.
func TestEndpointFaults(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	closed := testenv.FreePort(t)
	now := time.Now()
	w := newWeb(t, zoo.SelfSigned(t, "web.test", zoo.Lifetime(now.Add(-2*time.Hour), now.Add(-time.Hour))))
	config := fmt.Sprintf(`
endpoints:
  - {name: silent, address: "%s", timeout: 300ms}
  - {name: closed, address: "127.0.0.1:%d"}
  - {name: expired, address: "%s", server_name: web.test}`, silent.Addr(), closed, w.address)
	begun := time.Now()
	text := collectortest.Text(t, run(t, config, realTime(t)))
	if took := time.Since(begun); took > patience {
		t.Errorf("took %s", took)
	}
	for name, want := range map[string]string{
		"silent": "up 0, timeout", "closed": "up 0, refused", "expired": "up 1, ",
	} {
		if got := endpoint(text, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	has(t, text, fmt.Sprintf(`certificate_chain_error{source="default",name="expired",type="endpoint",path="",endpoint="%s",reason="expired"} 1`, w.address),
		fmt.Sprintf(`certificate_endpoint_hostname_matches{source="default",name="expired",endpoint="%s"} 1`, w.address))
	if strings.Contains(text, `certificate_not_after_timestamp_seconds{source="default",name="silent"`) {
		t.Error("a silent endpoint has a certificate")
	}
}

// endpoint is what an exposition says of an endpoint's state.
func endpoint(text, name string) string {
	state, reason := "?", ""
	for line := range strings.Lines(text) {
		if !strings.Contains(line, fmt.Sprintf(`,name=%q,`, name)) {
			continue
		}
		if strings.HasPrefix(line, "certificate_endpoint_up{") {
			state = strings.TrimSpace(line[strings.LastIndex(line, " "):])
		}
		if strings.HasPrefix(line, "certificate_endpoint_error{") {
			_, rest, _ := strings.Cut(line, `reason="`)
			reason, _, _ = strings.Cut(rest, `"`)
		}
	}
	return "up " + state + ", " + reason
}

// TestStaple takes each kind of OCSP response from a real nginx.
func TestStaple(t *testing.T) {
	root, other := zoo.Root(t, "Root"), zoo.Root(t, "Other")
	now := time.Now().Truncate(time.Minute)
	leaf := root.Issue(t, "web.test")
	w := newWeb(t, leaf, root)
	response := func(status int, signer *zoo.Cert) []byte {
		r := ocsp.Response{Status: status, SerialNumber: leaf.SerialNumber, ThisUpdate: now, NextUpdate: now.Add(time.Hour), RevokedAt: now}
		der, err := ocsp.CreateResponse(signer.Certificate, signer.Certificate, r, signer.Key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	w.nginx.Stop()
	conf := fmt.Sprintf("ssl_certificate %[1]s/web.crt; ssl_certificate_key %[1]s/web.key; ssl_stapling on; ", w.dir)
	var servers, endpoints string
	kinds := map[string][]byte{
		"good": response(ocsp.Good, root), "revoked": response(ocsp.Revoked, root), "unknown": response(ocsp.Unknown, root), "invalid": response(ocsp.Good, other),
	}
	for kind, der := range kinds {
		address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
		servers += fmt.Sprintf("server { listen %s ssl; %s ssl_stapling_file %s; return 204; }\n", address, conf, zoo.Write(t, w.dir, kind, der))
		endpoints += fmt.Sprintf("  - {name: %s, address: %q, server_name: web.test}\n", kind, address)
	}
	testenv.StartNginx(t, servers)
	text := collectortest.Text(t, run(t, "endpoints:\n"+endpoints, realTime(t)))
	for kind := range kinds {
		for _, state := range []string{"good", "revoked", "unknown", "invalid"} {
			want := "0"
			if state == kind {
				want = "1"
			}
			if !strings.Contains(text, fmt.Sprintf(`state=%q} %s`, state, want)) || !containsLine(text, "certificate_ocsp_status{", fmt.Sprintf("name=%q", kind), fmt.Sprintf("state=%q} %s\n", state, want)) {
				t.Errorf("%s: state %s is not %s\n%s", kind, state, want, text)
			}
		}
		if got := containsLine(text, "certificate_ocsp_next_update_timestamp_seconds{", fmt.Sprintf("name=%q", kind), seconds(now.Add(time.Hour))+"\n"); got != (kind != "invalid") {
			t.Errorf("%s: next update shown: %v", kind, got)
		}
	}
}

func containsLine(text string, parts ...string) bool {
	for line := range strings.Lines(text) {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}

// TestCovered: every declared metric is emitted by some test.
func TestCovered(t *testing.T) {
	root := zoo.Root(t, "Root")
	leaf := root.Issue(t, "web.test")
	w := newWeb(t, leaf, root)
	w.nginx.Stop()
	now := time.Now()
	der, err := ocsp.CreateResponse(root.Certificate, root.Certificate, ocsp.Response{SerialNumber: leaf.SerialNumber, ThisUpdate: now, NextUpdate: now.Add(time.Hour)}, root.Key)
	if err != nil {
		t.Fatal(err)
	}
	testenv.StartNginx(t, fmt.Sprintf("server { listen %s ssl; ssl_certificate %[2]s/web.crt; ssl_certificate_key %[2]s/web.key; ssl_stapling on; ssl_stapling_file %[3]s; return 204; }",
		w.address, w.dir, zoo.Write(t, w.dir, "staple", der)))
	wire := run(t, fmt.Sprintf("endpoints: [{name: web, address: %q, serves: %s}, {name: closed, address: '127.0.0.1:1'}]", w.address, w.crt), realTime(t))
	collectortest.Covered(t, Definition(), runFiles(t), wire)
}

// TestUnchanged: a pass publishes anew if and only if something changed, the clock included.
func TestUnchanged(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	root := zoo.Root(t, "Root")
	leaf := root.Issue(t, "a", zoo.Lifetime(now.Add(-time.Hour), now.Add(3*time.Hour)))
	zoo.Write(t, dir, "a.crt", zoo.PEM(leaf, root))
	zoo.Write(t, dir, "a.crl", root.Revoke(t, now.Add(-time.Hour), now.Add(time.Hour)))
	at := now
	env := realTime(t)
	env.Now = func() time.Time { return at }
	source := collectortest.Load(t, Definition(), fmt.Sprintf("files: [{type: x, paths: ['%s/*.cr?']}]\nroots: [%[1]s/a.crt]", dir))[0]
	c, err := source.New(env)
	if err != nil {
		t.Fatal(err)
	}
	collect := func(what string, unchanged bool) string {
		t.Helper()
		out := source.Batch()
		err := c.Collect(t.Context(), out)
		if errors.Is(err, collector.ErrUnchanged) != unchanged || err != nil && !unchanged {
			t.Errorf("%s: %v", what, err)
		}
		return collectortest.Text(t, out)
	}
	collect("at first", false)
	collect("again", true)
	at = now.Add(30 * time.Minute)
	collect("half an hour later", true)
	at = now.Add(2 * time.Hour)
	if text := collect("the list is stale", false); !containsLine(text, "certificate_crl_stale{", "} 1\n") {
		t.Errorf("no stale list in:\n%s", text)
	}
	collect("again", true)
	at = now.Add(4 * time.Hour)
	if text := collect("expired", false); !containsLine(text, "certificate_chain_error{", `reason="expired"} 1`) {
		t.Errorf("nothing expired in:\n%s", text)
	}
	collect("again", true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Collect(ctx, source.Batch()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	collect("after a run that failed", false)
}

// TestBudget: 10,000 files fit.
func TestBudget(t *testing.T) {
	if d := Definition(); d.Budget < 10_000*6 {
		t.Errorf("budget of %d series", d.Budget)
	}
}

package dnsquery

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/state"
	"vulcan.lan/vulcan_exporter/internal/testenv"
	fake "vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

// observed is a collector that runs, and what it shows.
type observed struct {
	t      testing.TB
	source collector.Source
	coll   *dnsquery
	stop   func()
}

// observe runs the collector with the configuration of a source.
func observe(t testing.TB, s *fake.Server, env collector.Env, more string) *observed {
	t.Helper()
	source := collectortest.Load(t, Definition(), "sources:\n- name: default\n  url: "+s.URL+"\n  token_file: "+s.TokenFile+"\n  "+strings.ReplaceAll(more, "\n", "\n  "))[0]
	c, err := source.New(env)
	if err != nil {
		t.Fatal(err)
	}
	o := &observed{t: t, source: source, coll: c.(*dnsquery)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.coll.Run(ctx) }()
	stopped := false
	o.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		_ = o.coll.Close()
	}
	t.Cleanup(o.stop)
	return o
}

func (o *observed) collect() *metric.Batch {
	o.t.Helper()
	out, err := collectortest.Collect(o.t, o.source, o.coll)
	if err != nil {
		o.t.Error(err)
	}
	return out
}

// until collects until the exposition has all of these lines.
func (o *observed) until(lines ...string) string {
	o.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		text := collectortest.Text(o.t, o.collect())
		missing := ""
		for _, line := range lines {
			if !strings.Contains("\n"+text, "\n"+line+"\n") {
				missing = line
			}
		}
		if missing == "" {
			return text
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("no line %q in\n%s", missing, text)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func testEnv(t testing.TB, now func() time.Time) collector.Env {
	env := collectortest.Env(t)
	env.Now, env.Interval = now, 20*time.Millisecond
	return env
}

func query(at time.Time, client, name string) fake.Row {
	return fake.Row{Time: at, Client: client, Protocol: "Udp", ResponseType: "Recursive", RCode: "NoError", QName: name, QType: "A", QClass: "IN", Answer: "A 198.51.100.1", RTT: 20}
}

func TestDeclarations(t *testing.T) {
	collectortest.Lint(t, Definition())
}

// Everything that is declared can be seen, with the values of what happened.
func TestEverything(t *testing.T) {
	t.Parallel()
	c := &clock{now: collectortest.Now.Add(30 * time.Minute)}
	server := fake.Start(t, fake.Options{Now: c.Now})
	server.Set(func(s *fake.Settings) { s.NextUpdate, s.UpdateAvailable = c.Now().Add(time.Hour), true })
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("# clients\n192.0.2.7  printer.lan printer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loki := newSink(t, 1)
	server.Log(query(c.Now(), "192.0.2.7", "a.example"), query(c.Now().Add(-time.Second), "192.0.2.8", "a.example"), query(c.Now(), "192.0.2.9", "b.example"))
	server.Insert(fake.Row{Time: c.Now(), Client: "192.0.2.9", Protocol: "Tcp", ResponseType: "Blocked", RCode: "YXDomain"}, fake.Row{Malformed: true, Time: c.Now()})
	o := observe(t, server, testEnv(t, c.Now), "max_clients: 2\ntop_domains: 1\nnames:\n  file: "+hosts+"\nloki:\n  url: "+loki.URL)
	text := o.until(
		`dns_query_total{source="default",rcode="NoError",response_type="Recursive"} 3`,
		`dns_query_total{source="default",rcode="other",response_type="Blocked"} 1`,
		`dns_query_by_qtype_total{source="default",qtype="none"} 1`,
		`dns_query_by_protocol_total{source="default",protocol="Tcp"} 1`,
		`dns_query_by_client_total{source="default",client="192.0.2.7"} 1`,
		`dns_query_by_client_total{source="default",client="other"} 2`,
		`dns_query_client_info{source="default",client="192.0.2.7",name="printer.lan"} 1`,
		`dns_query_response_seconds_bucket{source="default",le="0.025"} 3`,
		`dns_query_distinct_clients{source="default",window="1h"} 3`,
		`dns_query_distinct_domains{source="default",window="1h"} 2`,
		`dns_query_top_domain_queries{source="default",domain="a.example"} 2`,
		`dns_query_rows_dropped_total{source="default",reason="malformed"} 1`,
		`dns_query_late_rows_total{source="default"} 1`,
		`dns_query_rows_pushed_total{source="default"} 4`,
		`dns_query_loki_up{source="default"} 1`,
		`dns_query_loki_queue_rows{source="default"} 0`,
		`dns_query_backlog_rows{source="default"} 0`,
		`dns_query_cursor_lag_seconds{source="default"} 0`,
		`dns_query_api_up{source="default"} 1`,
		`dns_query_server_blocking_enabled{source="default"} 1`,
		`dns_query_server_update_available{source="default"} 1`,
		`dns_query_server_lifetime_queries_total{source="default",outcome="total"} 5`,
		`dns_query_server_info{source="default",version="15.2"} 1`,
	)
	if strings.Contains(text, fake.Token) {
		t.Error("the token is shown")
	}
	collectortest.Covered(t, Definition(), o.collect())
}

// What the API's faults are called; what was counted stays, what is of now goes.
func TestFaults(t *testing.T) {
	t.Parallel()
	c := &clock{now: collectortest.Now}
	server := fake.Start(t, fake.Options{Now: c.Now})
	server.Log(query(c.Now(), "192.0.2.7", "a.example"))
	o := observe(t, server, testEnv(t, c.Now), "update_check: false")
	o.until(`dns_query_rows_read_total{source="default"} 1`, `dns_query_backlog_rows{source="default"} 0`)
	for reason, break_ := range map[technitium.Reason]func() func(){
		technitium.ReasonPermission: func() func() { server.Deny("Logs"); return func() { server.Allow("Logs") } },
		technitium.ReasonToken: func() func() {
			write := func(token string) {
				if err := os.WriteFile(server.TokenFile, []byte(token), 0o600); err != nil {
					t.Error(err)
				}
			}
			write("wrong")
			return func() { write(fake.Token) }
		},
	} {
		mend := break_()
		deadline := time.Now().Add(30 * time.Second)
		for !strings.Contains(collectortest.Text(t, o.collect()), `dns_query_api_up{source="default"} 0`) {
			if time.Now().After(deadline) {
				t.Fatal("the fault is not shown")
			}
			time.Sleep(10 * time.Millisecond)
		}
		text := collectortest.Text(t, o.collect())
		if strings.Contains(text, `dns_query_api_errors_total{source="default",reason="`+string(reason)+`"} 0`) {
			t.Errorf("%s is not counted:\n%s", reason, text)
		}
		if !strings.Contains(text, `dns_query_rows_read_total{source="default"} 1`) || strings.Contains(text, "dns_query_backlog_rows") {
			t.Errorf("%s: what was counted must stay and what is of now must go:\n%s", reason, text)
		}
		mend()
		o.until(`dns_query_api_up{source="default"} 1`)
	}
	server.Log(query(c.Now(), "192.0.2.7", "a.example"))
	o.until(`dns_query_rows_read_total{source="default"} 2`)
}

// Deleted rows are said, with their number where the server has counted its queries.
func TestGap(t *testing.T) {
	t.Parallel()
	c := &clock{now: collectortest.Now}
	server := fake.Start(t, fake.Options{Now: c.Now})
	log := func(n int) {
		for range n {
			c.add(time.Millisecond)
			server.Log(query(c.Now(), "192.0.2.7", "a.example"))
		}
	}
	log(100)
	env := testEnv(t, c.Now)
	o := observe(t, server, env, "")
	o.until(`dns_query_rows_read_total{source="default"} 100`)
	o.stop()
	log(50)
	server.SetRetention(20, 0)
	server.Cleanup()
	o = observe(t, server, env, "")
	o.until(`dns_query_rows_read_total{source="default"} 120`, `dns_query_gaps_total{source="default"} 1`, `dns_query_gap_rows_total{source="default"} 30`)
}

// A restart goes on; a state that cannot be used is set aside, counted, and what the overlap still
// has is counted anew.
func TestRestartAndReset(t *testing.T) {
	t.Parallel()
	c := &clock{now: collectortest.Now}
	server := fake.Start(t, fake.Options{Now: c.Now})
	server.Log(query(c.Now().Add(-time.Hour), "192.0.2.7", "old.example"), query(c.Now(), "192.0.2.7", "a.example"))
	dir := t.TempDir()
	env := testEnv(t, c.Now)
	store, unlock, err := state.Open(dir, env.Logger).Source("dnsquery", "default")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	env.State = store
	token, err := os.ReadFile(server.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // lives in which nothing can be read leave nothing that could be lost
		if err := os.WriteFile(server.TokenFile, []byte("wrong"), 0o600); err != nil {
			t.Fatal(err)
		}
		o := observe(t, server, env, "")
		o.until(`dns_query_state_resets_total{source="default"} 0`)
		o.stop()
	}
	if err := os.WriteFile(server.TokenFile, token, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		o := observe(t, server, env, "")
		o.until(`dns_query_rows_read_total{source="default"} 1`, `dns_query_state_resets_total{source="default"} 0`)
		o.stop()
	}
	path := filepath.Join(dir, "dnsquery.default.json")
	for i, content := range []string{"garbage", `{"version":1,"state":{"Names":{}}}`, ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		o := observe(t, server, env, "")
		o.until(`dns_query_rows_read_total{source="default"} 1`, `dns_query_state_resets_total{source="default"} 1`)
		o.stop()
		if _, err := os.Stat(path + ".corrupt"); err != nil {
			t.Errorf("case %d: %v", i, err)
		}
	}
}

// The command collect shows what was saved, asks the server, and changes nothing.
func TestCollectOnce(t *testing.T) {
	t.Parallel()
	c := &clock{now: collectortest.Now}
	server := fake.Start(t, fake.Options{Now: c.Now})
	server.Log(query(c.Now(), "192.0.2.7", "a.example"))
	dir, env := t.TempDir(), testEnv(t, c.Now)
	store, unlock, err := state.Open(dir, env.Logger).Source("dnsquery", "default")
	if err != nil {
		t.Fatal(err)
	}
	env.State = store
	o := observe(t, server, env, "")
	o.until(`dns_query_rows_read_total{source="default"} 1`)
	o.stop()
	unlock()
	before, err := os.ReadFile(filepath.Join(dir, "dnsquery.default.json"))
	if err != nil {
		t.Fatal(err)
	}
	server.Log(query(c.Now(), "192.0.2.7", "a.example"))
	if env.State, _, err = state.ReadOnly(dir, env.Logger).Source("dnsquery", "default"); err != nil {
		t.Fatal(err)
	}
	out, err := collectortest.Run(t, o.source, env)
	if err != nil {
		t.Fatal(err)
	}
	if text := collectortest.Text(t, out); !strings.Contains(text, "dns_query_rows_read_total{source=\"default\"} 1\n") || !strings.Contains(text, "dns_query_api_up{source=\"default\"} 1\n") {
		t.Error(text)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "dnsquery.default.json")); err != nil || string(after) != string(before) {
		t.Error("the state was written")
	}
}

func TestConfigErrors(t *testing.T) {
	for want, yaml := range map[string]string{
		"url":                "url: ftp://x",
		"token_file":         "url: http://x",
		"overlap":            "overlap: 1s",
		"max_clients":        "max_clients: 0",
		"clients[0]":         "clients: [printer]",
		"top_domains":        "top_domains: 1001",
		"names.resolver":     "names: {resolver: dns}",
		"resolver_is_logged": "url: http://192.0.2.1:5380\n  names: {resolver: '192.0.2.1:53'}",
		"loki.url":           "loki: {url: 'unix:///x'}",
		"loki.labels[1]":     "loki: {url: 'http://x', labels: [qtype, qtype]}",
		"loki.queue_bytes":   "loki: {url: 'http://x', queue_bytes: 5}",
		"loki.job_label":     "loki: {url: 'http://x', job_label: ''}",
		"loki.username":      "loki: {url: 'http://x', username: me}",
		"app":                "app: ''",
	} {
		_, err := collector.Load("c.yml", []byte("dnsquery:\n sources:\n - name: a\n   "+strings.ReplaceAll(yaml, "\n  ", "\n   ")+"\n"), []*collector.Definition{Definition()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Without a folder that can be written the log is counted and Loki is said to be down.
func TestNoFolder(t *testing.T) {
	t.Parallel()
	c := &clock{now: collectortest.Now}
	server := fake.Start(t, fake.Options{Now: c.Now})
	server.Log(query(c.Now(), "192.0.2.7", "a.example"))
	env := testEnv(t, c.Now)
	var err error
	if env.State, _, err = state.ReadOnly(t.TempDir(), env.Logger).Source("dnsquery", "default"); err != nil {
		t.Fatal(err)
	}
	observe(t, server, env, "loki:\n  url: http://127.0.0.1:1").until(
		`dns_query_rows_read_total{source="default"} 1`, `dns_query_loki_up{source="default"} 0`, `dns_query_state_persistent{source="default"} 0`)
}

var _ config.Validator = (*Config)(nil)

// fullStore is a store on a disk that is full until it is not.
type fullStore struct {
	state.Store
	full atomic.Bool
}

func (s *fullStore) Save(v any) error {
	if s.full.Load() {
		return syscall.ENOSPC
	}
	return s.Store.Save(v)
}

// Where the log is not followed, for our own disk's sake, the source fails, and nothing is said of
// the server until it was asked.
func TestOwnDisk(t *testing.T) {
	t.Parallel()
	c := &clock{now: collectortest.Now}
	server := fake.Start(t, fake.Options{Now: c.Now})
	server.Log(query(c.Now(), "192.0.2.7", "a.example"))
	env := testEnv(t, c.Now)
	store := &fullStore{Store: env.State}
	store.full.Store(true)
	env.State = store
	source := collectortest.Load(t, Definition(), "sources: [{name: default, url: '"+server.URL+"', token_file: '"+server.TokenFile+"'}]")[0]
	made, err := source.New(env)
	if err != nil {
		t.Fatal(err)
	}
	d := made.(*dnsquery)
	defer d.Close()
	if err := d.Run(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Run: %v", err)
	}
	out, err := collectortest.Collect(t, source, d)
	if text := collectortest.Text(t, out); !errors.Is(err, syscall.ENOSPC) || strings.Contains(text, "dns_query_api_up") {
		t.Errorf("%v\n%s", err, text)
	}

	store.full.Store(false)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	testenv.Eventually(t, 30*time.Second, func() error {
		out, err := collectortest.Collect(t, source, d)
		if text := collectortest.Text(t, out); err == nil && !strings.Contains(text, `dns_query_api_up{source="default"} 1`) {
			err = errors.New(text)
		}
		return err
	})
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

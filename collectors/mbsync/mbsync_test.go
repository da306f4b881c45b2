package mbsync

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/state"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLint(t *testing.T) { collectortest.Lint(t, Definition()) }

const (
	unit  = "mbsync-johnw.service"
	other = "mbsync-assembly.service"
)

func of(name, unit string) string {
	return fmt.Sprintf(`mbsync_%s{source="default",name=%q,account=%q}`, name, unit, strings.TrimSuffix(unit[len("mbsync-"):], ".service"))
}

func result(unit, state string) string {
	return strings.Replace(of("last_result", unit), "}", fmt.Sprintf(",state=%q}", state), 1)
}

func inbox(name string) string {
	return fmt.Sprintf(`mbsync_%s{source="default",account="johnw",mailbox="INBOX"}`, name)
}

// post is a mail server, a systemd that runs mbsync for two of its accounts,
// and the collector that watches.
type post struct {
	*testenv.SystemdHost
	*collectortest.Observer
	server *testenv.MailStore
	gate   *testenv.Gate
	dir    string
}

func newPost(t *testing.T) *post {
	t.Helper()
	testenv.Need(t, "mbsync")
	p := &post{server: testenv.StartMailStore(t), dir: t.TempDir()}
	p.gate = testenv.StartGate(t, p.server.Port)
	service := func(account string) string {
		return fmt.Sprintf("[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nEnvironment=HOME=%[1]s\nExecStart=mkdir -p %[1]s/%[2]s\nExecStart=mbsync -c %[1]s/%[2]s.rc %[2]s\n", p.dir, account)
	}
	const timer = "[Unit]\nDefaultDependencies=no\n[Timer]\nOnCalendar=%s\n"
	p.SystemdHost = testenv.Systemd(t, map[string]string{
		unit: service("johnw"), "mbsync-johnw.timer": fmt.Sprintf(timer, "*:0/15"),
		other: service("assembly"), "mbsync-assembly.timer": fmt.Sprintf(timer, "daily"),
	})
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", p.BusAddress())
	p.Systemctl("start", "mbsync-johnw.timer", "mbsync-assembly.timer")
	p.login(t, "secret")
	log, err := os.ReadFile("testdata/summary/all.log")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "assembly.log"), log, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Observer = collectortest.Observe(t, Definition(), `
accounts:
  - units: `+other+`
    expected_interval: 1d
    summary_log: `+p.dir+`/{account}.log
  - units: "mbsync-*.service"
    maildir: `+p.dir+`/{account}
  - {units: "gone-*.service"}`)
	return p
}

// login writes mbsync's configuration, with the password that it shall try.
func (p *post) login(t *testing.T, password string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, "johnw.rc"), []byte(testenv.Mbsync("johnw", password, p.dir, p.gate.Port)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Real mbsync, a real server, and what goes wrong between them.
func TestSync(t *testing.T) {
	p := newPost(t)
	p.server.Password(t, "johnw", "secret")
	p.server.Deliver(t, "johnw", 300, 2000)
	p.Sees(of("account_configured", unit)+" 1", of("account_configured", other)+" 1",
		of("never_succeeded", unit)+" 1", of("timer_active", unit)+" 1", of("running", unit)+" 0",
		of("expected_interval_seconds", other)+" 86400", of("next_run_timestamp_seconds", unit),
		`mbsync_accounts_matched{source="default",units="mbsync-*.service"} 2`,
		`mbsync_accounts_matched{source="default",units="gone-*.service"} 0`,
		"!"+of("last_run_success", unit), "!"+of("last_exit_status", unit), "!mbsync_last_result",
		// What was never synchronised is missing, not empty.
		strings.Replace(inbox("mailbox_error"), "}", `,reason="missing"}`, 1)+" 1",
		"!"+inbox("mailbox_messages"), "!"+of("journal_present", unit))

	first := p.Last

	p.Systemctl("start", unit)
	p.Sees(of("last_run_success", unit)+" 1", of("last_exit_status", unit)+" 0", result(unit, "success")+" 1",
		of("failures_total", unit)+" 0", of("never_succeeded", unit)+" 0", of("journal_present", unit)+" 0",
		inbox("mailbox_messages")+" 300", inbox("mailbox_unseen_messages")+" 300",
		"!"+inbox("mailbox_error"), of("never_succeeded", other)+" 1")
	success := p.Value(of("last_success_timestamp_seconds", unit))
	if age := float64(time.Now().Unix()) - success; age < -1 || age > 60 {
		t.Errorf("success %v s ago", age)
	}

	// The far side takes another password: exit status 1, and the success stays.
	p.login(t, "wrong")
	_, _ = p.TrySystemctl("start", unit)
	p.Sees(of("last_run_success", unit)+" 0", of("last_exit_status", unit)+" 1", result(unit, "exit-code")+" 1",
		result(unit, "success")+" 0", of("failures_total", unit)+" 1", of("service_failed", unit)+" 1")
	p.login(t, "secret")

	// The far side hangs in the middle: running. Killed: no exit status, and a journal.
	p.server.Deliver(t, "johnw", 300, 2000)
	p.gate.StallAfter(100_000)
	p.Systemctl("start", "--no-block", unit)
	p.Sees(of("running", unit)+" 1", of("failures_total", unit)+" 1", "!"+of("journal_present", unit))
	testenv.Eventually(t, time.Minute, func() error { // it has begun to store
		if n := p.Value(inbox("mailbox_messages")); n <= 300 {
			return fmt.Errorf("%v messages", n)
		}
		return nil
	})
	p.Systemctl("kill", "--signal=KILL", unit)
	p.Sees(of("running", unit)+" 0", of("last_run_success", unit)+" 0", "!"+of("last_exit_status", unit),
		result(unit, "signal")+" 1", of("failures_total", unit)+" 2", of("journal_present", unit)+" 1")

	// The far side refuses.
	p.gate.StallAfter(0)
	p.server.Stop(t)
	_, _ = p.TrySystemctl("start", unit)
	p.Sees(of("last_exit_status", unit)+" 1", of("failures_total", unit)+" 3", of("journal_present", unit)+" 1")
	if now := p.Value(of("last_success_timestamp_seconds", unit)); now != success {
		t.Errorf("failed runs moved the success from %v to %v", success, now)
	}

	// A restart of the exporter forgets nothing.
	p.Restart()
	p.Sees(of("failures_total", unit)+" 3", of("last_exit_status", unit)+" 1", result(unit, "exit-code")+" 1")

	// All is well again, and the interrupted run is taken up.
	p.server.Start(t)
	p.Systemctl("start", unit)
	p.Sees(of("last_run_success", unit)+" 1", of("journal_present", unit)+" 0", of("failures_total", unit)+" 3",
		inbox("mailbox_messages")+" 600")
	if now := p.Value(of("last_success_timestamp_seconds", unit)); now <= success {
		t.Errorf("the success stays at %v", now)
	}
	collectortest.Covered(t, Definition(), first, p.Last)
}

// A real timer starts the service again and again, and tells its rhythm.
func TestTimer(t *testing.T) {
	p := newPost(t)
	p.server.Password(t, "johnw", "secret")
	p.WriteUnit("mbsync-johnw.timer", "[Unit]\nDefaultDependencies=no\n[Timer]\nOnActiveSec=100ms\nOnUnitActiveSec=2s\nAccuracySec=10ms\n")
	p.Systemctl("stop", "mbsync-johnw.timer")
	p.Systemctl("daemon-reload")
	p.Systemctl("start", "mbsync-johnw.timer")
	p.Sees(of("last_run_success", unit)+" 1", of("expected_interval_seconds", unit))
	if interval := p.Value(of("expected_interval_seconds", unit)); interval < 1.5 || interval > 5 {
		t.Errorf("the interval is %v s, not 2", interval)
	}
	success := p.Value(of("last_success_timestamp_seconds", unit))
	testenv.Eventually(t, time.Minute, func() error {
		if now := p.Value(of("last_success_timestamp_seconds", unit)); now <= success {
			return fmt.Errorf("still %v", now)
		}
		return nil
	})
}

// Without a bus nothing is known, and nothing is told.
func TestDeadBus(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "none"))
	s := collectortest.Load(t, Definition(), `accounts: [{units: a.service}]`)[0]
	out, err := collectortest.Run(t, s, collectortest.Env(t))
	if err == nil || out.Series() != 0 {
		t.Errorf("error %v, %d series", err, out.Series())
	}
}

// full is a store on a disk that is full until it is not.
type full struct {
	state.Store
	full  bool
	saved int
}

func (f *full) Save(v any) error {
	if f.full {
		return syscall.ENOSPC
	}
	f.saved++
	return f.Store.Save(v)
}

// What a full disk did not take is saved by a later pass, though that one has no news.
func TestSaveIsTriedAgain(t *testing.T) {
	host := testenv.Systemd(t, map[string]string{unit: "[Service]\nType=oneshot\nExecStart=/bin/false\n"})
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", host.BusAddress())
	env := collectortest.Env(t)
	env.Now = time.Now
	store := &full{Store: env.State, full: true}
	env.State = store
	s := collectortest.Load(t, Definition(), `accounts: [{units: `+unit+`}]`)[0]
	c, err := s.New(env)
	if err != nil {
		t.Fatal(err)
	}
	defer c.(collector.Closer).Close()
	if _, err := collectortest.Collect(t, s, c); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	store.full = false
	for range 2 {
		if _, err := collectortest.Collect(t, s, c); err != nil || store.saved != 1 {
			t.Errorf("%v, saved %d times", err, store.saved)
		}
	}
}

func TestBadConfig(t *testing.T) {
	for yaml, want := range map[string]string{
		`{}`:                                `mbsync.accounts: expected at least one`,
		`accounts: [{units: mbsync-johnw}]`: `mbsync.accounts[0].units: expected a service or a glob of services such as mbsync-*.service, found "mbsync-johnw"`,
		`accounts: [{units: "mbsync-[.service"}]`:                            `mbsync.accounts[0].units: expected a glob`,
		`accounts: [{units: a.service, maildir: Mail}]`:                      `mbsync.accounts[0].maildir: expected an absolute path, found "Mail"`,
		`accounts: [{units: a.service, mailboxes: [INBOX]}]`:                 `mbsync.accounts[0].mailboxes: expected maildir`,
		`accounts: [{units: a.service, maildir: /m, mailboxes: [../other]}]`: `mbsync.accounts[0].mailboxes[0]: expected a folder below maildir or a glob, found "../other"`,
		"user: no-such-user\n  accounts: [{units: a.service}]":               `mbsync.user: user "no-such-user" is not known`,
	} {
		_, err := collector.Load("test.yml", []byte("mbsync:\n  "+yaml), []*collector.Definition{Definition()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", yaml, err, want)
		}
	}
}

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// mailHost is a real Postfix with Debian's exporter, a real Dovecot with its own endpoint, and a
// real systemd whose services fetch two accounts from it with mbsync.
type mailHost struct {
	*testenv.SystemdHost
	postfix  *testenv.MailQueue
	dovecot  *testenv.MailStore
	gate     *testenv.Gate
	exporter string // host:port of Postfix's
	mail     string
}

const (
	johnw    = "mbsync-johnw.service"
	assembly = "mbsync-assembly.service"
)

func newMailHost(t *testing.T) *mailHost {
	t.Helper()
	testenv.Need(t, "mbsync", "prometheus-postfix-exporter")
	m := &mailHost{postfix: testenv.StartMailQueue(t), dovecot: testenv.StartMailStore(t), exporter: freeAddress(t), mail: t.TempDir()}
	m.gate = testenv.StartGate(t, m.dovecot.Port)
	testenv.Start(t, exec.Command("prometheus-postfix-exporter", "--web.listen-address="+m.exporter,
		"--postfix.showq_path="+m.postfix.Showq, "--postfix.logfile_path="+filepath.Join(m.postfix.Dir, "mail.log")))
	units := map[string]string{}
	for _, account := range []string{"johnw", "assembly"} {
		units["mbsync-"+account+".service"] = fmt.Sprintf("[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\n"+
			"Environment=HOME=%[1]s\nExecStart=mbsync -c %[1]s/%[2]s.rc %[2]s\n", m.mail, account)
		units["mbsync-"+account+".timer"] = "[Unit]\nDefaultDependencies=no\n[Timer]\nOnCalendar=daily\n"
		m.dovecot.Password(t, account, "secret")
		m.dovecot.Deliver(t, account, 100, 2000)
		if err := os.Mkdir(filepath.Join(m.mail, account), 0o700); err != nil {
			t.Fatal(err)
		}
		rc := testenv.Mbsync(account, "secret", m.mail, m.gate.Port)
		if err := os.WriteFile(filepath.Join(m.mail, account+".rc"), []byte(rc), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.SystemdHost = testenv.Systemd(t, units)
	m.Systemctl("start", "mbsync-johnw.timer", "mbsync-assembly.timer", johnw, assembly)
	return m
}

// targets are the pages about mail beside the exporter's.
func (m *mailHost) targets() map[string]string {
	return map[string]string{"postfix": m.exporter, "dovecot": fmt.Sprintf("127.0.0.1:%d", m.dovecot.Metrics)}
}

func (m *mailHost) config(interval string) string {
	return `
systemd: {}
mbsync:
  interval: 1s
  accounts:
    - units: ` + assembly + `
      expected_interval: ` + interval + `
    - units: "mbsync-*.service"
      expected_interval: 1d
      maildir: ` + m.mail + `/{account}
`
}

// A password that was changed, a run that is killed, a server that is gone, a queue that grows:
// one alert each, none of the general ones, and all of them end with their cause.
func TestMail(t *testing.T) {
	t.Parallel()
	m := newMailHost(t)
	h := New(t, Options{
		Env:     []string{"DBUS_SYSTEM_BUS_ADDRESS=" + m.BusAddress()},
		Rules:   []string{"email_alerts", "service_alerts", "exporter"},
		Targets: m.targets(),
		Config:  m.config("1d"),
		Scale:   300, // 25 minutes are 5 s
	})
	h.ExactlyFiring()

	failed := func(account string) Alert {
		return Alert{"MbsyncFailed", map[string]string{"account": account, "name": "mbsync-" + account + ".service"}}
	}
	wait := func(a Alert) { t.Helper(); h.WaitFiring(a.Name, a.Labels) }
	ended := func(a Alert) { t.Helper(); h.WaitResolved(a.Name, a.Labels) }

	m.dovecot.Password(t, "johnw", "another")
	_, _ = m.TrySystemctl("start", johnw)
	wait(failed("johnw"))

	m.dovecot.Deliver(t, "assembly", 300, 2000)
	m.gate.StallAfter(100_000)
	m.Systemctl("start", "--no-block", assembly)
	testenv.Eventually(t, Limit, func() error {
		if len(h.Query(`mbsync_running{account="assembly"} == 1`)) == 0 {
			return fmt.Errorf("%s does not run", assembly)
		}
		return nil
	})
	m.Systemctl("kill", "--signal=KILL", assembly)
	wait(failed("assembly"))

	m.dovecot.Stop(t)
	down := Alert{"DovecotDown", map[string]string{"job": "dovecot"}}
	wait(down)
	m.postfix.Send(t, 60)
	queue := Alert{"PostfixQueueHigh", map[string]string{"job": "postfix"}}
	wait(queue)
	// PostfixMailStuck, which nobody waits three hours for here, reads a bucket by its bound,
	// whose form depends on the version of Prometheus.
	young := h.Query(`sum(postfix_showq_message_age_seconds_bucket{job="postfix", queue!="hold", le=~"10000([.]0)?"})`)
	if len(young) != 1 || young[0].Value != 60 {
		t.Errorf("messages in the bucket of PostfixMailStuck: %v, want 60", young)
	}
	h.ExactlyFiring(failed("johnw"), failed("assembly"), down, queue)

	m.gate.StallAfter(0)
	m.dovecot.Start(t)
	m.dovecot.Password(t, "johnw", "secret")
	m.Systemctl("start", johnw, assembly)
	m.postfix.Empty(t)
	for _, a := range []Alert{failed("johnw"), failed("assembly"), down, queue} {
		ended(a)
	}
	h.ExactlyFiring()

	m.postfix.Stop(t)
	m.Systemctl("stop", "mbsync-johnw.timer")
	deaf := Alert{"PostfixDown", map[string]string{"path": m.postfix.Showq}}
	off := Alert{"MbsyncTimerInactive", map[string]string{"account": "johnw"}}
	wait(deaf)
	wait(off)
	// Nobody starts the other account any more: no failure tells, only its age.
	h.Reload(m.config("4s"))
	stale := Alert{"MbsyncStale", map[string]string{"account": "assembly"}}
	wait(stale)

	m.postfix.Start(t)
	m.WriteUnit("mbsync-assembly.timer", often)
	m.Systemctl("daemon-reload")
	m.Systemctl("restart", "mbsync-johnw.timer", "mbsync-assembly.timer")
	for _, a := range []Alert{deaf, off, stale} {
		ended(a)
	}
	h.ExactlyFiring()
	h.ExactlyFired(failed("johnw"), failed("assembly"), down, queue, deaf, off, stale)
}

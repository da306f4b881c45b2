package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// arrival matches the record of a Postfix queue file that tells when the message came: its type,
// its length, then seconds and microseconds.
var arrival = regexp.MustCompile(`T[\x00-\x7f](\d{10}) \d+`)

// backdate waits until the only message of the queue is deferred, and makes it come earlier.
func (m *mailHost) backdate(t *testing.T, by time.Duration) {
	t.Helper()
	var path string
	testenv.Eventually(t, Limit, func() error {
		deferred, err := filepath.Glob(filepath.Join(m.postfix.Dir, "spool/deferred/*/*"))
		if err != nil || len(deferred) != 1 {
			return fmt.Errorf("deferred: %v, %w", deferred, err)
		}
		path = deferred[0]
		return nil
	})
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	head := make([]byte, 1000)
	n, _ := file.ReadAt(head, 0) // its error is that the message is shorter
	at := arrival.FindSubmatchIndex(head[:n])
	if at == nil {
		t.Fatalf("%s: no time of arrival in %q", path, head[:n])
	}
	came, err := strconv.ParseInt(string(head[at[2]:at[3]]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(fmt.Append(nil, came-int64(by.Seconds())), int64(at[2])); err != nil {
		t.Fatal(err)
	}
	// The time of the file is that of the next try, after which the message would be in another folder.
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
}

// carryDeletions lets mbsync delete near what was deleted far.
func (m *mailHost) carryDeletions(t *testing.T, account string) {
	t.Helper()
	rc, err := os.OpenFile(filepath.Join(m.mail, account+".rc"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = rc.WriteString("Expunge Near\n")
	}
	if err == nil {
		err = rc.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// expunge deletes the first messages of the inbox on the server.
func (m *mailHost) expunge(t *testing.T, account string, messages int) {
	t.Helper()
	out, err := exec.Command("doveadm", "-c", filepath.Join(m.dovecot.Dir, "dovecot.conf"),
		"expunge", "-u", account, "mailbox", "INBOX", fmt.Sprintf("1:%d", messages)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestMailFaults: a message that waits for hours; a Maildir that was moved; a service that was
// removed and a glob that matches none; a deletion of most mail that mbsync carries over.
func TestMailFaults(t *testing.T) {
	t.Parallel()
	m := newMailHost(t)
	m.carryDeletions(t, "johnw")
	m.dovecot.Deliver(t, "johnw", 900, 100) // 1000 with those of newMailHost
	m.Systemctl("start", johnw)
	h := New(t, Options{
		Env:     []string{"DBUS_SYSTEM_BUS_ADDRESS=" + m.BusAddress()},
		Rules:   []string{"email_alerts", "service_alerts", "exporter"},
		Targets: m.targets(),
		Config:  m.config("1d"),
		Scale:   600, // an hour is 6 s
		Fakes:   map[string]string{"PostfixMailStuck": "the time of arrival, in the queue file"},
	})
	h.waitValue(`mbsync_mailbox_messages{account="johnw"}`, 1000)
	unit, err := os.ReadFile(filepath.Join(m.Dir, "units", assembly))
	if err != nil {
		t.Fatal(err)
	}
	const renamed = "offlineimap-*.service"
	inbox := filepath.Join(m.mail, "johnw", "INBOX")
	h.oneAfterTheOther(nil,
		fault{
			cause:  func() { m.postfix.Send(t, 1); m.backdate(t, 4*time.Hour) },
			mend:   func() { m.postfix.Empty(t) },
			alerts: []Alert{{"PostfixMailStuck", map[string]string{"job": "postfix"}}},
		},
		fault{
			cause:  func() { rename(t, inbox, inbox+".away") },
			mend:   func() { rename(t, inbox+".away", inbox) },
			alerts: []Alert{{"MbsyncMailboxUnreadable", map[string]string{"account": "johnw", "mailbox": "INBOX", "reason": "missing"}}},
		},
		fault{
			cause: func() {
				m.RemoveUnit(assembly)
				m.Systemctl("daemon-reload")
				h.Reload(m.config("1d") + "    - units: " + renamed + "\n")
			},
			mend: func() {
				m.WriteUnit(assembly, string(unit))
				m.Systemctl("daemon-reload")
				h.Reload(m.config("1d"))
			},
			alerts: []Alert{
				{"MbsyncAccountMissing", map[string]string{"name": assembly}},
				{"MbsyncAccountMissing", map[string]string{"units": renamed}},
			},
		},
		fault{
			cause: func() {
				m.expunge(t, "johnw", 600)
				m.Systemctl("start", johnw)
				h.waitValue(`mbsync_mailbox_messages{account="johnw"}`, 400)
			},
			mend: func() {
				m.dovecot.Deliver(t, "johnw", 600, 100) // as a backup has them
				m.Systemctl("start", johnw)
			},
			alerts: []Alert{{"MbsyncMailboxShrunk", map[string]string{"account": "johnw", "mailbox": "INBOX"}}},
		},
	)
}

// TestMailIntervalUnknown: a service that lost its timer before it was ever watched, of an
// account whose interval nobody configured. Its alert waits three days, so that other durations
// become a second here: too little for the rules on the exporter itself.
func TestMailIntervalUnknown(t *testing.T) {
	t.Parallel()
	m := newMailHost(t)
	m.Systemctl("stop", "mbsync-assembly.timer")
	m.RemoveUnit("mbsync-assembly.timer")
	m.Systemctl("daemon-reload")
	config := `
systemd: {}
mbsync:
  interval: 1s
  accounts:
    - {units: ` + johnw + `, expected_interval: 1d}
    - {units: "mbsync-*.service"`
	h := New(t, Options{
		Env:    []string{"DBUS_SYSTEM_BUS_ADDRESS=" + m.BusAddress()},
		Rules:  []string{"email_alerts", "service_alerts"},
		Config: config + "}\n",
		Scale:  26000, // three days are 10 s
	})
	h.oneAfterTheOther(nil, fault{
		cause:  func() { h.waitValue(`mbsync_account_configured{account="assembly"}`, 1) },
		mend:   func() { h.Reload(config + ", expected_interval: 1d}\n") },
		alerts: []Alert{{"MbsyncIntervalUnknown", map[string]string{"account": "assembly", "name": assembly}}},
	})
}

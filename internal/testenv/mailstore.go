package testenv

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// MailStore is a Dovecot (https://doc.dovecot.org/2.3/) of its own that keeps mail of users, with
// plain IMAP and its OpenMetrics endpoint on free ports of 127.0.0.1. Needs root, as it starts processes as others.
// Debian package: dovecot-imapd.
type MailStore struct {
	Dir string
	// Port is that of IMAP, Metrics that of http://127.0.0.1:Metrics/metrics.
	Port, Metrics int

	passwords map[string]string
	process   *Process
}

const storeConf = `
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
listen = 127.0.0.1
protocols = imap
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:%[1]s/mail/%%n
first_valid_uid = 1
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%%n %[1]s/passwd
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=%[1]s/mail/%%n
}
service imap-login {
  inet_listener imap {
    port = %[2]d
  }
  inet_listener imaps {
    port = 0
  }
}
service stats {
  inet_listener http {
    port = %[3]d
  }
}
metric auth_successes {
  filter = event=auth_request_finished AND success=yes
}
metric auth_failures {
  filter = event=auth_request_finished AND NOT success=yes
}
`

// StartMailStore starts a server without users.
func StartMailStore(t testing.TB) *MailStore {
	t.Helper()
	Need(t, "dovecot", "doveadm", "/usr/lib/dovecot/imap", "unshare")
	NeedRoot(t)
	d := &MailStore{Port: FreePort(t), Metrics: FreePort(t), passwords: map[string]string{}}
	d.Dir, _ = serverDir(t, "vstore", "nobody")
	for name, content := range map[string]string{
		"dovecot.conf": fmt.Sprintf(storeConf, d.Dir, d.Port, d.Metrics),
		"passwd":       "",
	} {
		if err := os.WriteFile(filepath.Join(d.Dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(d.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d.Start(t)
	t.Cleanup(func() { d.Stop(t) })
	return d
}

// Start starts the server again and returns when it greets.
func (d *MailStore) Start(t testing.TB) {
	t.Helper()
	d.process = startInNamespace(t, "dovecot", "-F", "-c", filepath.Join(d.Dir, "dovecot.conf"))
	Eventually(t, time.Minute, func() error {
		if err := d.process.Exited(); err != nil {
			log, _ := os.ReadFile(filepath.Join(d.Dir, "log"))
			t.Fatalf("%v\n%s", err, log)
		}
		return d.greets()
	})
}

func (d *MailStore) greets() error {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", d.Port), time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "* OK") {
		return fmt.Errorf("greeted with %q", line)
	}
	return err
}

// Stop ends the server at once; connections to it are refused from then on.
func (d *MailStore) Stop(t testing.TB) {
	t.Helper()
	endNamespace(t, d.process)
}

// Password sets the password of a user, new or known, and returns when it holds: Dovecot looks
// for a changed file once a second.
func (d *MailStore) Password(t testing.TB, user, password string) {
	t.Helper()
	d.passwords[user] = password
	var lines strings.Builder
	for name, secret := range d.passwords {
		fmt.Fprintf(&lines, "%s:{PLAIN}%s\n", name, secret)
	}
	if err := os.WriteFile(filepath.Join(d.Dir, "passwd"), []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	Eventually(t, time.Minute, func() error {
		out, err := exec.Command("doveadm", "-c", filepath.Join(d.Dir, "dovecot.conf"), "auth", "test", user, password).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// Deliver puts messages of the given size into a user's inbox.
func (d *MailStore) Deliver(t testing.TB, user string, messages, size int) {
	t.Helper()
	inbox := filepath.Join(d.Dir, "mail", user)
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(inbox, sub), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	const header = "From: a@example.org\r\nTo: b@example.org\r\nSubject: test\r\nMessage-ID: <%d@example.org>\r\n\r\n"
	for i := range messages {
		id := time.Now().UnixNano()
		body := fmt.Sprintf(header, id) + strings.Repeat("0123456789abcdef\r\n", size/18+1)
		if err := os.WriteFile(filepath.Join(inbox, "new", fmt.Sprintf("%d.%d.test", id, i)), []byte(body), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	// dovecot works there as nobody.
	if out, err := exec.Command("chown", "-R", "nobody:nogroup", filepath.Join(d.Dir, "mail")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// Mbsync is a configuration of mbsync (isync) for the user's inbox: channel NAME of user NAME,
// into dir/NAME, with the state in the mailbox. Debian package: isync.
func Mbsync(user, password, dir string, port int) string {
	return fmt.Sprintf(`
IMAPAccount far
Host 127.0.0.1
Port %[4]d
User %[1]s
Pass %[2]s
SSLType None
AuthMechs LOGIN

IMAPStore far
Account far

MaildirStore near
Path %[3]s/%[1]s/
Inbox %[3]s/%[1]s/INBOX
SubFolders Verbatim

Channel %[1]s
Far :far:
Near :near:
Patterns INBOX
Create Near
SyncState *
`, user, password, dir, port)
}

package testenv

import (
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// MailQueue is a Postfix (https://www.postfix.org/) of its own that takes mail on a free port of
// 127.0.0.1 and can deliver none: its relay refuses, so that everything stays in the queue.
// Needs root. Debian package: postfix.
type MailQueue struct {
	Dir  string
	Port int
	// Showq is the socket that lists the queue.
	Showq string

	process *Process
}

const queueMain = `
compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
maillog_file = %[1]s/mail.log
maillog_file_prefixes = /tmp
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:%[2]d
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
disable_dns_lookups = yes
alias_maps =
alias_database =
local_recipient_maps =
`

const queueMaster = `
127.0.0.1:%[1]d inet n - n - - smtpd
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
anvil     unix  -       -       n       -       1       anvil
postlog   unix-dgram n  -       n       -       1       postlogd
`

// StartMailQueue starts a Postfix with an empty queue.
func StartMailQueue(t testing.TB) *MailQueue {
	t.Helper()
	Need(t, "postfix", "postsuper", "unshare")
	NeedRoot(t)
	q := &MailQueue{Port: FreePort(t)}
	q.Dir, _ = serverDir(t, "vqueue", "postfix")
	q.Showq = filepath.Join(q.Dir, "spool/public/showq")
	for _, sub := range []string{"etc", "spool", "data"} {
		if err := os.Mkdir(filepath.Join(q.Dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	refusing := FreePort(t)
	for name, content := range map[string]string{
		"main.cf":   fmt.Sprintf(queueMain, q.Dir, refusing),
		"master.cf": fmt.Sprintf(queueMaster, q.Port),
	} {
		if err := os.WriteFile(filepath.Join(q.Dir, "etc", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Postfix wants its folders to be root's, but for its data.
	for _, args := range [][]string{{"chown", "root", q.Dir}, {"chmod", "755", q.Dir}, {"chown", "postfix", q.Dir + "/data"}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	q.Start(t)
	t.Cleanup(func() { q.Stop(t) })
	return q
}

// Start starts it again and returns when it takes mail.
func (q *MailQueue) Start(t testing.TB) {
	t.Helper()
	q.process = startInNamespace(t, "postfix", "-c", filepath.Join(q.Dir, "etc"), "start-fg")
	Eventually(t, time.Minute, func() error {
		if err := q.process.Exited(); err != nil {
			log, _ := os.ReadFile(filepath.Join(q.Dir, "mail.log"))
			t.Fatalf("%v\n%s", err, log)
		}
		conn, err := net.DialTimeout("tcp", q.address(), time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Stop ends it and its daemons at once.
func (q *MailQueue) Stop(t testing.TB) {
	t.Helper()
	endNamespace(t, q.process)
}

func (q *MailQueue) address() string { return fmt.Sprintf("127.0.0.1:%d", q.Port) }

// Send puts a number of messages into the queue.
func (q *MailQueue) Send(t testing.TB, messages int) {
	t.Helper()
	for range messages {
		if err := smtp.SendMail(q.address(), nil, "a@example.org", []string{"b@example.org"}, []byte("Subject: test\r\n\r\ntext\r\n")); err != nil {
			t.Fatal(err)
		}
	}
}

// Empty deletes all messages of the queue.
func (q *MailQueue) Empty(t testing.TB) {
	t.Helper()
	if out, err := exec.Command("postsuper", "-c", filepath.Join(q.Dir, "etc"), "-d", "ALL").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

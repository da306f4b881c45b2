package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Dovecot is a running Dovecot (https://doc.dovecot.org/2.3/). Debian packages: dovecot-imapd,
// dovecot-pop3d.
type Dovecot struct {
	IMAP, IMAPS, POP3 string // addresses; IMAPS speaks TLS at once, the others after STARTTLS
}

// StartDovecot starts Dovecot with a certificate. It needs root.
func StartDovecot(t testing.TB, cert, key string) *Dovecot {
	t.Helper()
	Need(t, "dovecot", "/usr/lib/dovecot/imap", "/usr/lib/dovecot/pop3")
	NeedRoot(t)
	dir, err := os.MkdirTemp("/tmp", "vdovecot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	imap, imaps, pop3 := FreePort(t), FreePort(t), FreePort(t)
	config := fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
listen = 127.0.0.1
protocols = imap pop3
ssl = yes
ssl_cert = <%[2]s
ssl_key = <%[3]s
service imap-login {
  inet_listener imap {
    port = %[4]d
  }
  inet_listener imaps {
    port = %[5]d
    ssl = yes
  }
}
service pop3-login {
  inet_listener pop3 {
    port = %[6]d
  }
  inet_listener pop3s {
    port = 0
  }
}
passdb {
  driver = static
  args = password=x
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=%[1]s
}
`, dir, cert, key, imap, imaps, pop3)
	path := filepath.Join(dir, "dovecot.conf")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	process := Start(t, exec.Command("dovecot", "-F", "-c", path))
	address := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	d := &Dovecot{IMAP: address(imap), IMAPS: address(imaps), POP3: address(pop3)}
	for _, a := range []string{d.IMAP, d.IMAPS, d.POP3} {
		waitListening(t, process, a)
	}
	return d
}

package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// StartMailQueue starts a Postfix (https://www.postfix.org/) whose SMTP server offers STARTTLS on
// the address that it returns. Settings are lines of main.cf. It needs root. Debian package:
// postfix.
func StartMailQueue(t testing.TB, cert, key string, settings ...string) string {
	t.Helper()
	Need(t, "postfix", "/usr/lib/postfix/sbin/master")
	NeedRoot(t)
	dir, err := os.MkdirTemp("/tmp", "vpostfix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	address := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	main := fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = mail.example.org
mydestination =
local_transport = error:none
inet_protocols = ipv4
smtpd_tls_security_level = may
smtpd_tls_cert_file = %[2]s
smtpd_tls_key_file = %[3]s
`, dir, cert, key)
	for _, line := range settings {
		main += line + "\n"
	}
	const services = `%s inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
cleanup unix n - n - 0 cleanup
bounce unix - - n - 0 bounce
qmgr unix n - n 300 1 qmgr
`
	for name, content := range map[string]string{"main.cf": main, "master.cf": fmt.Sprintf(services, address)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the daemons run as the user postfix
		t.Fatal(err)
	}
	for _, sub := range []string{"spool", "data"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chown", "postfix", filepath.Join(dir, "data")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command("postfix", "-c", dir, "check").CombinedOutput(); err != nil {
		t.Fatalf("postfix check: %v\n%s", err, out)
	}
	master := Start(t, exec.Command("/usr/lib/postfix/sbin/master", "-c", dir, "-d"))
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("log of postfix:\n%s", log)
		}
	})
	waitListening(t, master, address)
	return address
}

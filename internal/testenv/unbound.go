package testenv

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Unbound is a real DNS server (https://unbound.docs.nlnetlabs.nl/) on 127.0.0.1 that knows its
// own names only. Debian package: unbound.
type Unbound struct {
	// Address is host:port for UDP and TCP.
	Address string

	dir     string
	process *Process
}

// StartUnbound starts a server with lines of the section "server:", such as local-data.
func StartUnbound(t testing.TB, config string) *Unbound {
	t.Helper()
	Need(t, "unbound")
	u := &Unbound{Address: fmt.Sprintf("127.0.0.1:%d", FreePort(t)), dir: t.TempDir()}
	u.Start(t, config)
	return u
}

// Start starts the server again, with other lines of configuration, and returns when it answers.
func (u *Unbound) Start(t testing.TB, config string) {
	t.Helper()
	_, port, err := net.SplitHostPort(u.Address)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(u.dir, "unbound.conf")
	text := fmt.Sprintf(`server:
	directory: %q
	chroot: ""
	username: ""
	pidfile: ""
	do-daemonize: no
	use-syslog: no
	interface: 127.0.0.1
	port: %s
	access-control: 127.0.0.0/8 allow
%s
remote-control:
	control-enable: no
`, u.dir, port, config)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	u.process = Start(t, exec.Command("unbound", "-d", "-c", path))
	waitListening(t, u.process, u.Address)
}

// Stop ends the server.
func (u *Unbound) Stop() { u.process.Kill() }

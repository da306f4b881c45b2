package testenv

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nginx is a running nginx (https://nginx.org/en/docs/). Debian package: nginx.
type Nginx struct {
	process *Process
	path    string // of the configuration
}

// listenAddress finds the addresses in a configuration.
var listenAddress = regexp.MustCompile(`listen +(127\.0\.0\.1:[0-9]+)`)

// StartNginx starts nginx with the content of an http block and returns when every address of a
// listen directive in it answers. Without an access_log of its own nothing is logged.
func StartNginx(t testing.TB, http string) *Nginx {
	t.Helper()
	Need(t, "nginx")
	dir, err := os.MkdirTemp("/tmp", "vnginx-") // t.TempDir keeps the workers' user out
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n := &Nginx{path: filepath.Join(dir, "nginx.conf")}
	accessLog := "access_log off;"
	if strings.Contains(http, "access_log") {
		accessLog = ""
	}
	config := fmt.Sprintf(`
daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr notice;
events { worker_connections 64; }
http {
	%[3]s
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
%[2]s
}
`, dir, http, accessLog)
	if err := os.WriteFile(n.path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	n.process = Start(t, exec.Command("nginx", "-p", dir, "-e", "stderr", "-c", n.path))
	for _, address := range listenAddress.FindAllStringSubmatch(http, -1) {
		waitListening(t, n.process, address[1])
	}
	return n
}

// Reload makes nginx read its configuration and certificates again, in its own time.
func (n *Nginx) Reload(t testing.TB) {
	t.Helper()
	if err := n.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// Stop ends nginx.
func (n *Nginx) Stop() { n.process.Kill() }

// waitListening returns when something accepts connections on an address.
func waitListening(t testing.TB, p *Process, address string) {
	t.Helper()
	Eventually(t, time.Minute, func() error {
		if err := p.Exited(); err != nil {
			t.Fatal(err)
		}
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

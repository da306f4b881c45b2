package testenv

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"
)

// SocketExporter is an exporter of the Prometheus project that is given its listening socket, as
// systemd does (--web.systemd-socket). So it may run in a network namespace of the test and still
// answer on the loopback that Prometheus sees.
type SocketExporter struct {
	// Address is host:port, the same after Stop and Start.
	Address string

	namespace *Namespace
	command   []string
	process   *Process
}

// StartSocketExporter starts a program of that kind, such as prometheus-node-exporter, in a
// namespace, or with nil in the one of the test.
func StartSocketExporter(t testing.TB, namespace *Namespace, program string, args ...string) *SocketExporter {
	t.Helper()
	Need(t, program)
	e := &SocketExporter{
		Address:   fmt.Sprintf("127.0.0.1:%d", FreePort(t)),
		namespace: namespace,
		command:   append([]string{program, "--web.systemd-socket"}, args...),
	}
	e.Start(t)
	return e
}

// Start starts the program again and returns when it answers.
func (e *SocketExporter) Start(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", e.Address)
	if err != nil {
		t.Fatal(err)
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	// sd_listen_fds(3): the socket is descriptor 3 and meant for the process with LISTEN_PID.
	args := append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh"}, e.command...)
	cmd := exec.Command("sh", args...)
	if e.namespace != nil {
		cmd = e.namespace.Command("sh", args...)
	}
	cmd.ExtraFiles = []*os.File{file}
	e.process = Start(t, cmd)
	_ = file.Close()
	_ = listener.Close()
	Eventually(t, time.Minute, func() error {
		if err := e.process.Exited(); err != nil {
			t.Fatal(err)
		}
		response, err := http.Get("http://" + e.Address + "/metrics")
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
}

// Stop ends the program; its address refuses connections.
func (e *SocketExporter) Stop() { e.process.Kill() }

package testenv

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Redis is a redis-server (https://redis.io/docs/) of its own, on a free port of 127.0.0.1 and on
// a socket. It runs as the system's user redis where the test runs as root.
type Redis struct {
	// Dir is the server's working folder, where it also dumps.
	Dir    string
	Port   int
	Socket string

	owner   *syscall.Credential
	args    []string
	process *Process
}

// StartRedis starts a server. Args are settings as on its command line: "--maxmemory", "10mb".
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	Need(t, "redis-server")
	r := &Redis{Port: FreePort(t), args: args}
	r.Dir, r.owner = serverDir(t, "vredis", "redis")
	r.Socket = filepath.Join(r.Dir, "redis.sock")
	r.Start(t)
	return r
}

// Start starts the server again and returns when it answers, if only to ask for a password.
func (r *Redis) Start(t testing.TB) {
	t.Helper()
	args := append([]string{
		"--port", strconv.Itoa(r.Port), "--bind", "127.0.0.1", "--dir", r.Dir,
		"--unixsocket", r.Socket, "--unixsocketperm", "700", "--save", "",
	}, r.args...)
	cmd := exec.Command("redis-server", args...)
	cmd.Dir = r.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: r.owner}
	r.process = Start(t, cmd)
	Eventually(t, time.Minute, func() error {
		if err := r.process.Exited(); err != nil {
			t.Fatal(err)
		}
		return r.ping()
	})
}

func (r *Redis) ping() error {
	conn, err := net.DialTimeout("unix", r.Socket, time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "+PONG") && !strings.HasPrefix(line, "-NOAUTH") {
		return fmt.Errorf("ping answered %q", line)
	}
	return err
}

// Stop ends the server.
func (r *Redis) Stop() { r.process.Kill() }

// Process is the running server, for signals.
func (r *Redis) Process() *Process { return r.process }

// Address is the server's host:port.
func (r *Redis) Address() string { return fmt.Sprintf("127.0.0.1:%d", r.Port) }

// Package testenv starts real servers for tests.
//
// A test says what it needs with Need. On a laptop without that software the test is skipped;
// with VULCAN_REQUIRE_ALL=1, as in CI, it fails: a test that silently did not run proves nothing.
// Everything that is started here listens on loopback or on a socket in a temporary directory,
// and is killed, by process id, when the test ends.
package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// RequireAll is the environment variable that, set to 1, turns a missing server into a failure.
const RequireAll = "VULCAN_REQUIRE_ALL"

// Need skips the test unless every binary is found: by name in $PATH, or by path when it has a
// slash. With VULCAN_REQUIRE_ALL=1 the test fails instead.
func Need(t testing.TB, binaries ...string) {
	t.Helper()
	var missing []string
	for _, binary := range binaries {
		if _, err := exec.LookPath(binary); err != nil {
			missing = append(missing, binary)
		}
	}
	if len(missing) > 0 {
		unavailable(t, "not installed: "+strings.Join(missing, ", "))
	}
}

// NeedRoot skips or fails the test, as Need does, unless it runs as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		unavailable(t, "needs root")
	}
}

func unavailable(t testing.TB, why string) {
	t.Helper()
	if os.Getenv(RequireAll) == "1" {
		t.Fatalf("%s, and %s=1", why, RequireAll)
	}
	t.Skip(why)
}

// Eventually calls check every 10 ms, later every 100 ms, until it returns nil. After timeout it
// fails the test with the last error. Use some 20 times the time that the thing normally takes:
// the limit is there to catch a hang, not to measure.
func Eventually(t testing.TB, timeout time.Duration, check func() error) {
	t.Helper()
	pause := 10 * time.Millisecond
	for start := time.Now(); ; time.Sleep(pause) {
		err := check()
		if err == nil {
			return
		}
		if time.Since(start) > timeout {
			t.Fatalf("still not so after %s: %v", timeout, err)
		}
		if time.Since(start) > time.Second {
			pause = 100 * time.Millisecond
		}
	}
}

// FreePort returns a TCP port of 127.0.0.1 that was free a moment ago, for servers that cannot
// bind port 0 themselves. It is below those that the kernel gives to clients (ip_local_port_range,
// from 32768), of which one could take it while a server restarts.
func FreePort(t testing.TB) int {
	t.Helper()
	const lowest, ports, tries = 10_000, 22_000, 100
	var err error
	for range tries {
		port := lowest + rand.IntN(ports)
		var listener net.Listener
		if listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = listener.Close()
			return port
		}
	}
	t.Fatal(err)
	return 0
}

// Process is a started program. It is killed at the end of the test.
type Process struct {
	PID    int
	cmd    *exec.Cmd
	output Buffer
	done   chan struct{}
	err    error
}

// Start runs cmd in a process group of its own. What it prints is kept, and logged when the test
// fails.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.PID = cmd.Process.Pid
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("output of %s:\n%s", cmd, p.Output())
		}
	})
	return p
}

// Output returns what the process has printed so far.
func (p *Process) Output() string { return p.output.String() }

// Exited returns an error that says so when the process has ended, else nil.
func (p *Process) Exited() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended: %w\n%s", p.cmd.Path, errors.Join(p.err, errEnded), p.Output())
	default:
		return nil
	}
}

var errEnded = errors.New("process has ended")

// Wait returns when the process has ended, or fails the test.
func (p *Process) Wait(t testing.TB, timeout time.Duration) error {
	t.Helper()
	select {
	case <-p.done:
		return p.err
	case <-time.After(timeout):
		t.Fatalf("%s still runs after %s", p.cmd, timeout)
		return nil
	}
}

// Signal sends a signal to the process alone, not to its group.
func (p *Process) Signal(sig syscall.Signal) error { return syscall.Kill(p.PID, sig) }

// Kill kills the process group and waits for the process. It may be called more than once.
func (p *Process) Kill() {
	select {
	case <-p.done:
		return
	default:
	}
	_ = syscall.Kill(-p.PID, syscall.SIGKILL)
	<-p.done
}

// Buffer is a bytes.Buffer that may be read while something still writes to it.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

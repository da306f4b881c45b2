package e2e

import (
	"os/exec"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// daemon is a program that a test kills and starts again on the same port and data.
type daemon struct {
	Address string // host:port
	ready   string // path that answers 200
	args    []string
	process *testenv.Process
}

// startDaemon starts a program and returns when it is ready. Its arguments make
// it listen on address.
func startDaemon(t *testing.T, address, ready string, args ...string) *daemon {
	t.Helper()
	testenv.Need(t, args[0])
	d := &daemon{Address: address, ready: ready, args: args}
	d.Start(t)
	return d
}

// Start starts it again.
func (d *daemon) Start(t *testing.T) {
	t.Helper()
	d.process = testenv.Start(t, exec.Command(d.args[0], d.args[1:]...))
	waitReady(t, d.process, "http://"+d.Address+d.ready)
}

// Kill ends it as a crash does.
func (d *daemon) Kill() { d.process.Kill() }

package testenv

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// startInNamespace starts a server as the first process of a PID namespace, so that daemons of
// its that leave its process group end with it, and nobody else has to reap them. Needs root.
func startInNamespace(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	return Start(t, exec.Command("unshare", append([]string{"--fork", "--pid", "--kill-child=SIGKILL", name}, args...)...))
}

// endNamespace kills all processes of the namespace at once.
func endNamespace(t testing.TB, p *Process) {
	t.Helper()
	if p.Exited() != nil {
		return
	}
	// unshare reaps its child, the first process of the namespace, and ends too.
	if children, err := childrenOf(p.PID); err == nil && len(children) > 0 {
		_ = syscall.Kill(children[0], syscall.SIGKILL)
	}
	_ = p.Wait(t, time.Minute)
}

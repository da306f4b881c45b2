package testenv

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Namespace is a network and a mount namespace that end with the test. Mounts, addresses, packet
// filters and interfaces made in it disturb nobody. Needs root. Debian package: util-linux.
type Namespace struct {
	process *Process
}

// StartNamespace makes a namespace and runs a script of sh in it, which prepares it: its loopback
// is up, /sys shows its own interfaces.
func StartNamespace(t testing.TB, script string) *Namespace {
	t.Helper()
	NeedRoot(t)
	Need(t, "unshare", "nsenter", "ip")
	n := &Namespace{process: Start(t, exec.Command("unshare", "--net", "--mount", "sh", "-ec",
		"mount -t sysfs sysfs /sys\nip link set lo up\n"+script+"\necho prepared\nexec sleep infinity"))}
	Eventually(t, time.Minute, func() error {
		if err := n.process.Exited(); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(n.process.Output(), "prepared\n") {
			return fmt.Errorf("namespace is not prepared: %s", n.process.Output())
		}
		return nil
	})
	return n
}

// PID is a process of the namespace, for `ip link ... netns PID`.
func (n *Namespace) PID() int { return n.process.PID }

// Path returns the path at which the test itself reaches a file of the namespace.
func (n *Namespace) Path(path string) string { return fmt.Sprintf("/proc/%d/root%s", n.PID(), path) }

// Command runs in the namespace.
func (n *Namespace) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{
		"--target=" + strconv.Itoa(n.PID()), "--net", "--mount", "--", name,
	}, args...)...)
}

// Run runs a command line of sh in the namespace and fails the test when it fails.
func (n *Namespace) Run(t testing.TB, script string) {
	t.Helper()
	if out, err := n.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// Wires joins two namespaces by one cable for each name, which is that of the interface on both
// sides.
func Wires(t testing.TB, near, far *Namespace, names ...string) {
	t.Helper()
	for _, name := range names {
		near.Run(t, fmt.Sprintf("ip link add %[1]s type veth peer name %[1]s netns %[2]d && ip link set %[1]s up", name, far.PID()))
		far.Run(t, fmt.Sprintf("ip link set %s up", name))
	}
}

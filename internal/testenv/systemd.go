package testenv

import (
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

//go:embed systemd.sh
var systemdScript []byte

// SystemdHost is a real systemd that runs as PID 1 of its own PID namespace, with its own system
// bus and its own unit files. It boots in about 0.2 s. Debian packages: dbus, systemd, util-linux.
type SystemdHost struct {
	// Dir holds units/ (the only unit files loaded), run/ (its /run) and var/ (its
	// /var/lib/systemd); both survive Reboot.
	Dir string

	t     testing.TB
	outer *Process
	inner int // PID 1 of the namespace, as the host numbers it
}

// Systemd boots a systemd with the given unit files (name -> content) and waits until it has
// started them. A unit is enabled by one more name with empty content, such as
// "timers.target.wants/a.timer", which becomes a link to ../a.timer.
func Systemd(t testing.TB, units map[string]string) *SystemdHost {
	t.Helper()
	Need(t, "/lib/systemd/systemd", "dbus-daemon", "unshare", "nsenter", "mount", "bash")
	NeedRoot(t)
	// Not t.TempDir: a socket path holds 107 bytes at most, and /run is bound over.
	dir, err := os.MkdirTemp("/tmp", "sd")
	if err != nil {
		t.Fatal(err)
	}
	h := &SystemdHost{Dir: dir, t: t}
	t.Cleanup(func() {
		h.Kill()
		if t.Failed() {
			console, _ := os.ReadFile(filepath.Join(dir, "console.log"))
			t.Logf("console of %s:\n%s", dir, console)
		}
		_ = os.RemoveAll(dir)
	})
	for name, content := range units {
		h.WriteUnit(name, content)
	}
	h.write("boot.sh", string(systemdScript), 0o755)
	h.Boot()
	return h
}

// BusAddress is the D-Bus address of its system bus.
func (h *SystemdHost) BusAddress() string {
	return "unix:path=" + filepath.Join(h.Dir, "run/dbus/system_bus_socket")
}

// CgroupRoot is where the host sees the cgroup tree of this systemd, or "" when the host has no
// unified hierarchy mounted.
func (h *SystemdHost) CgroupRoot() string {
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		root := filepath.Join(mount, fmt.Sprintf("vulcan-test.%d", h.outer.PID))
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err == nil {
			return root
		}
	}
	return ""
}

// Boot starts systemd after Kill: a reboot that keeps unit files, /run and timer stamps.
func (h *SystemdHost) Boot() {
	h.t.Helper()
	h.outer = Start(h.t, exec.Command(filepath.Join(h.Dir, "boot.sh"), h.Dir))
	Eventually(h.t, 20*time.Second, func() error {
		if err := h.outer.Exited(); err != nil {
			h.t.Fatal(err)
		}
		return h.ready()
	})
}

// Reboot kills everything, clears /run as a reboot does, and boots again.
func (h *SystemdHost) Reboot() {
	h.t.Helper()
	h.Kill()
	if err := os.RemoveAll(filepath.Join(h.Dir, "run")); err != nil {
		h.t.Fatal(err)
	}
	h.Boot()
}

func (h *SystemdHost) ready() error {
	children, err := childrenOf(h.outer.PID)
	if err != nil || len(children) == 0 {
		return fmt.Errorf("no PID 1 yet: %w", err)
	}
	h.inner = children[0]
	conn, err := dbus.Connect(h.BusAddress())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	manager := conn.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
	state, err := manager.GetProperty("org.freedesktop.systemd1.Manager.SystemState")
	if err != nil {
		return err
	}
	// degraded: booted, and some unit has failed, as some tests want it.
	if s, _ := state.Value().(string); s != "running" && s != "degraded" {
		return fmt.Errorf("system state is %q", s)
	}
	return nil
}

// Kill ends the whole host at once, as a power failure does.
func (h *SystemdHost) Kill() {
	if h.outer == nil {
		return
	}
	root := h.CgroupRoot()
	if h.inner != 0 && syscall.Kill(h.inner, syscall.SIGKILL) == nil {
		// unshare reaps it and ends too; killed first, it would leave a zombie to somebody else.
		select {
		case <-h.outer.done:
		case <-time.After(10 * time.Second):
		}
	}
	h.outer.Kill()
	h.outer, h.inner = nil, 0
	if root != "" {
		removeCgroup(root)
	}
}

// Systemctl runs systemctl inside the host, over PID 1's private socket, so that it works
// without a bus too. It returns the output and fails the test on an error.
func (h *SystemdHost) Systemctl(args ...string) string {
	h.t.Helper()
	out, err := h.TrySystemctl(args...)
	if err != nil {
		h.t.Fatalf("systemctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// TrySystemctl is Systemctl for commands that may fail, such as the start of a unit that fails.
func (h *SystemdHost) TrySystemctl(args ...string) (string, error) {
	cmd := h.Command("systemctl", args...)
	cmd.Env = append(os.Environ(), "SYSTEMCTL_FORCE_BUS=0", "SYSTEMD_PAGER=", "SYSTEMD_UNIT_PATH=/etc/systemd/system")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Command prepares a command that runs inside the host's PID and mount namespaces.
func (h *SystemdHost) Command(name string, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(h.inner), "--mount", "--pid", "--", name}
	return exec.Command("nsenter", append(enter, args...)...)
}

// WriteUnit writes a unit file, or a link into a .wants directory when name has a slash and
// content is empty. systemd sees it after Systemctl("daemon-reload").
func (h *SystemdHost) WriteUnit(name, content string) {
	h.t.Helper()
	if content == "" && strings.Contains(name, "/") {
		link := filepath.Join(h.Dir, "units", name)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			h.t.Fatal(err)
		}
		if err := os.Symlink("../"+filepath.Base(name), link); err != nil {
			h.t.Fatal(err)
		}
		return
	}
	h.write(filepath.Join("units", name), content, 0o644)
}

// RemoveUnit deletes a unit file or link.
func (h *SystemdHost) RemoveUnit(name string) {
	h.t.Helper()
	if err := os.Remove(filepath.Join(h.Dir, "units", name)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *SystemdHost) write(name, content string, mode fs.FileMode) {
	h.t.Helper()
	path := filepath.Join(h.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		h.t.Fatal(err)
	}
}

// SignalBus sends a signal to the bus daemon: SIGKILL crashes it (its socket unit starts a new
// one at the next connection), SIGSTOP makes it hang.
func (h *SystemdHost) SignalBus(sig syscall.Signal) {
	h.t.Helper()
	children, err := childrenOf(h.inner)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, pid := range children {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if strings.TrimSpace(string(comm)) != "dbus-daemon" {
			continue
		}
		if err := syscall.Kill(pid, sig); err != nil {
			h.t.Fatal(err)
		}
		return
	}
	h.t.Fatal("no dbus-daemon runs in the host")
}

// StopBus takes the bus and its socket away until StartBus.
func (h *SystemdHost) StopBus() {
	h.t.Helper()
	h.Systemctl("stop", "dbus.socket", "dbus.service")
}

// StartBus brings the bus back.
func (h *SystemdHost) StartBus() {
	h.t.Helper()
	h.Systemctl("start", "dbus.socket", "dbus.service")
}

func childrenOf(pid int) ([]int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	var children []int
	for _, field := range strings.Fields(string(data)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return children, nil
}

// removeCgroup removes an emptied cgroup tree, leaves first. The kernel needs a moment to reap
// the processes that were in it.
func removeCgroup(root string) {
	for range 50 {
		var dirs []string
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			_ = os.Remove(dirs[i])
		}
		if _, err := os.Stat(root); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Package podman_test builds the image with a real Podman and runs it as the shipped quadlet says.
package podman_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// generate runs Podman's own generator over the shipped files. Debian 12's Podman (4.3) has none
// yet, so it is that of tools/quadlet.
func generate(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testenv.Tool(t, "quadlet"), "-dryrun", "-no-kmsg-log")
	cmd.Env = append(os.Environ(), "QUADLET_UNIT_DIRS="+dir)
	var messages strings.Builder
	cmd.Stderr = &messages
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, messages.String())
	}
	for line := range strings.Lines(messages.String()) {
		if !strings.Contains(line, "Loading source unit file") {
			t.Errorf("the generator says: %s", line)
		}
	}
	return string(out)
}

func TestQuadlet(t *testing.T) {
	units := generate(t)
	for _, want := range []string{
		"---vulcan-exporter.service---", "---vulcan-exporter-state-volume.service---",
		"Type=notify", "Requires=vulcan-exporter-state-volume.service", "WantedBy=multi-user.target",
		"--sdnotify=container", "--read-only", "--cap-drop all", "--security-opt=no-new-privileges",
	} {
		if !strings.Contains(units, want) {
			t.Errorf("no %s in:\n%s", want, units)
		}
	}
}

// shell runs Podman in namespaces of its own, where all that it starts ends with it.
const shell = `
export CONTAINERS_CONF=$1/containers.conf TMPDIR=$1/tmp
mkdir -p $TMPDIR
mount -n -t tmpfs tmpfs /run
# crun refuses a hybrid hierarchy.
umount -n -R /sys/fs/cgroup 2>/dev/null || true
mount -n -t cgroup2 none /sys/fs/cgroup
podman=(podman --root $1/store --runroot /run/store --tmpdir /run/libpod --storage-driver vfs)
"${podman[@]}" build --quiet --isolation chroot --tag localhost/vulcan_exporter:latest --file $2 $1
"${podman[@]}" "${@:3}"
`

// TestImage runs the image with the arguments that the generator made of the quadlet.
func TestImage(t *testing.T) {
	testenv.Need(t, "podman", "crun", "unshare", "bash")
	testenv.NeedRoot(t)
	command := regexp.MustCompile(`(?m)^ExecStart=\S+ (run .*)$`).FindStringSubmatch(generate(t))
	if command == nil {
		t.Fatal("the quadlet starts nothing")
	}
	dir, err := os.MkdirTemp("/tmp", "vimage-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Rename(testenv.Exporter(t), filepath.Join(dir, "vulcan_exporter")); err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("container.yml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "etc", "container.yml"), string(example))
	// What this sandbox does not grant: more files than it has itself, and control groups.
	write(t, filepath.Join(dir, "containers.conf"), "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\nlog_driver = \"k8s-file\"\n"+
		"[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"crun\"\n")
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	run := strings.NewReplacer("--cgroups=split", "--cgroups=disabled", " --pids-limit 256", "", " -d ", " ", "%N", "vulcan-exporter",
		"--sdnotify=container", "--sdnotify=ignore", "-v /etc/vulcan_exporter:", "-v "+dir+"/etc:",
		"-v /run/dbus/system_bus_socket:/run/dbus/system_bus_socket:ro ", "", "/etc/ssl/certs:/etc/ssl/certs:ro", "/etc/ssl:/etc/ssl:ro").Replace(command[1])
	args := append([]string{"--fork", "--kill-child=SIGKILL", "--pid", "--mount", "--propagation", "private", "--mount-proc", "bash", "-euc", shell, "bash", dir, containerfile(t)},
		append(strings.Fields(run), "run", "--config.file=/etc/vulcan_exporter/container.yml", "--web.listen-address="+address)...)
	process := testenv.Start(t, exec.Command("unshare", args...))
	testenv.Eventually(t, 2*time.Minute, func() error {
		if err := process.Exited(); err != nil {
			t.Fatal(err)
		}
		response, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
	if output := process.Output(); strings.Contains(output, "state is kept in memory only") {
		t.Errorf("the volume for the state cannot be written:\n%s", output)
	}
}

func containerfile(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

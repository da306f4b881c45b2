package container

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

// usage emits what the kernel counts for a running container in its control group, version 2
// (https://docs.kernel.org/admin-guide/cgroup-v2.html). It costs two small reads. An engine
// elsewhere, or one that uses no control groups, has no such files: then nothing is emitted.
func (e *engine) usage(id string, in inspected, out *metric.Batch, name string) {
	path := in.State.CgroupPath // Podman tells it, Docker does not
	if path == "" && in.State.Pid > 0 {
		content, err := os.ReadFile(filepath.Join(e.root, "proc", strconv.Itoa(in.State.Pid), "cgroup"))
		if err != nil {
			return
		}
		path = unified(content)
	}
	if path = owned(path, id); path == "" {
		return
	}
	dir := filepath.Join(e.root, "sys/fs/cgroup", path)
	if stat, err := os.ReadFile(filepath.Join(dir, "cpu.stat")); err == nil {
		if seconds, err := cpuSeconds(stat); err == nil {
			out.Counter(cpu, seconds, name)
		}
	}
	if current, err := os.ReadFile(filepath.Join(dir, "memory.current")); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(current)), 10, 64); err == nil {
			out.Gauge(memoryBytes, float64(n), name)
		}
	}
}

// unified gives the path of version 2 in a /proc/PID/cgroup.
//
//	0::/system.slice/docker-594f.scope
func unified(content []byte) string {
	for line := range bytes.Lines(content) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "0::"); ok {
			return path
		}
	}
	return ""
}

// owned cuts a path after the group that has the container's ID in its name: a group without it
// belongs to others as well, or to a process that has the PID of one that ended.
//
//	/machine.slice/libpod-594f.scope/container
func owned(path, id string) string {
	at := strings.LastIndex(path, id)
	if id == "" || at < 0 || strings.Contains(path, "..") {
		return ""
	}
	if end := strings.IndexByte(path[at:], '/'); end >= 0 {
		return path[:at+end]
	}
	return path
}

// cpuSeconds reads a cpu.stat.
//
//	usage_usec 1234567
//	user_usec 1000000
func cpuSeconds(content []byte) (float64, error) {
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "usage_usec "); ok {
			n, err := strconv.ParseUint(text, 10, 64)
			return float64(n) / 1e6, err
		}
	}
	return 0, fmt.Errorf("cpu.stat has no usage_usec")
}

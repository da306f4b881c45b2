package systemd

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Cgroup is what a control group uses. A value that the kernel does not account is NaN.
type Cgroup struct {
	MemoryBytes float64 // memory.current: with page cache
	CPUSeconds  float64 // user and system time since the group was made
	Tasks       float64 // processes and threads
}

// ReadCgroup reads the files of a control group; root is where the hierarchy is mounted, as a
// rule /sys/fs/cgroup, of version 2 or 1 (https://docs.kernel.org/admin-guide/cgroup-v2.html).
// systemd emits no signals for these values. The error is fs.ErrNotExist when the group is gone.
func ReadCgroup(root, group string) (Cgroup, error) {
	c := Cgroup{math.NaN(), math.NaN(), math.NaN()}
	if group == "" {
		return c, fs.ErrNotExist
	}
	dir := filepath.Join(root, group)
	stat, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	if errors.Is(err, fs.ErrNotExist) {
		return readCgroupV1(root, group)
	}
	if err != nil {
		return c, err
	}
	c.CPUSeconds = parseCPUStat(string(stat))
	c.MemoryBytes = readNumber(filepath.Join(dir, "memory.current"))
	c.Tasks = readNumber(filepath.Join(dir, "pids.current"))
	return c, nil
}

func readCgroupV1(root, group string) (Cgroup, error) {
	c := Cgroup{
		MemoryBytes: readNumber(filepath.Join(root, "memory", group, "memory.usage_in_bytes")),
		CPUSeconds:  readNumber(filepath.Join(root, "cpuacct", group, "cpuacct.usage")) / 1e9,
		Tasks:       readNumber(filepath.Join(root, "pids", group, "pids.current")),
	}
	if math.IsNaN(c.MemoryBytes) && math.IsNaN(c.CPUSeconds) && math.IsNaN(c.Tasks) {
		return c, fs.ErrNotExist
	}
	return c, nil
}

// parseCPUStat returns the seconds of "usage_usec 123456".
func parseCPUStat(stat string) float64 {
	for line := range strings.Lines(stat) {
		if value, ok := strings.CutPrefix(line, "usage_usec "); ok {
			return parseNumber(value) / 1e6
		}
	}
	return math.NaN()
}

func readNumber(path string) float64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return math.NaN()
	}
	return parseNumber(string(data))
}

func parseNumber(s string) float64 {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return math.NaN()
	}
	return float64(n)
}

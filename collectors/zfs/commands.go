package zfs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/command"
)

const (
	// usageError is the exit status for an option that is not known.
	usageError = 2
	// maxOutput has room for a million snapshots of 60 bytes each.
	maxOutput = 64 << 20
)

// errNoModule: there is no ZFS in the kernel, so no pool is imported.
var errNoModule = errors.New("the ZFS kernel module is not loaded")

// exitError is a command that ended with a status other than 0.
type exitError struct {
	name   string
	code   int
	stderr string
	stdout []byte
}

func (e *exitError) Error() string {
	return fmt.Sprintf("%s: exit status %d: %s", e.name, e.code, strings.TrimSpace(e.stderr))
}

// run runs a reading subcommand. TZ=UTC makes the dates in texts unambiguous;
// ZFS_MODULE_LOADING=no keeps a monitor from changing the kernel.
func (c *Collector) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	label := name + " " + args[0]
	if pid := c.stillRuns(name, args); pid > 0 {
		return nil, fmt.Errorf("%s: process %d of an earlier run hangs in the kernel; not starting another", label, pid)
	}
	ctx, cancel := part(ctx)
	defer cancel()
	res, err := c.env.Exec.Run(ctx, command.Cmd{
		Path: name, Args: args, MaxOutput: maxOutput,
		Env: []string{"TZ=UTC", "ZFS_MODULE_LOADING=no"},
	})
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("%s is not on PATH: the ZFS tools are not installed", name)
	case ctx.Err() != nil:
		c.hung.Store(true)
		return nil, fmt.Errorf("%s: %w", label, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", label, err)
	case res.ExitCode == 0:
		return res.Stdout, nil
	case strings.Contains(res.Stderr, "ZFS modules c") || strings.Contains(res.Stderr, "ZFS modules are not loaded"):
		return nil, errNoModule
	}
	return nil, &exitError{name: label, code: res.ExitCode, stderr: res.Stderr, stdout: res.Stdout}
}

// part gives a command two thirds of the time that is left, so that one which
// hangs leaves time to say so.
func part(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*2/3)
}

// listPools lists the imported pools. A pool that the kernel has before and after, and that is not
// listed, is an error: in a user namespace zpool exits 0 and shows none.
func (c *Collector) listPools(ctx context.Context) ([]pool, error) {
	before := c.kernelStates()
	out, err := c.run(ctx, "zpool", "list", "-Hp", "-o", poolColumns)
	if err != nil {
		return nil, err
	}
	pools, err := parsePools(out)
	if err != nil {
		return nil, err
	}
	for _, p := range pools {
		delete(before, p.name)
	}
	if len(before) > 0 {
		for _, name := range slices.Sorted(maps.Keys(c.kernelStates())) {
			if _, ok := before[name]; ok {
				return nil, fmt.Errorf("the kernel has pool %s imported, zpool list does not show it (is this a user namespace, systemd's PrivateUsers=?)", name)
			}
		}
	}
	return pools, nil
}

// findUndead finds the commands of earlier runs that did not die. See
// proc_pid_stat(5), "pid (comm) state ppid ...", and proc_pid_cmdline(5).
func (c *Collector) findUndead() map[string]int {
	undead := map[string]int{}
	if !c.hung.Load() {
		return undead
	}
	files, _ := filepath.Glob(filepath.Join(c.proc, "[0-9]*", "stat"))
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		f := strings.Fields(rest)
		if len(f) < 2 || f[0] == "Z" || f[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		dir := filepath.Dir(file)
		cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if pid, _ := strconv.Atoi(filepath.Base(dir)); err == nil && pid > 0 {
			undead[string(cmdline)] = pid
		}
	}
	c.hung.Store(len(undead) > 0)
	return undead
}

// stillRuns gives the process of an earlier run with the same arguments.
func (c *Collector) stillRuns(name string, args []string) (pid int) {
	same := name + "\x00" + strings.Join(args, "\x00") + "\x00"
	for cmdline, pid := range c.undead {
		if strings.HasSuffix(cmdline, same) { // a script has its interpreter before it
			return pid
		}
	}
	return 0
}

// kernelStates reads the states of the imported pools from the kernel, without
// any command: /proc/spl/kstat/zfs/POOL/state, since OpenZFS 0.8.
func (c *Collector) kernelStates() map[string]string {
	files, _ := filepath.Glob(filepath.Join(c.proc, "spl", "kstat", "zfs", "*", "state"))
	states := map[string]string{}
	for _, file := range files {
		if content, err := os.ReadFile(file); err == nil {
			states[filepath.Base(filepath.Dir(file))] = strings.TrimSpace(string(content))
		}
	}
	return states
}

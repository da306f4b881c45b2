// Package zfstest puts a zpool and a zfs on PATH that answer from recordings of
// a real OpenZFS (../testdata/recordings), so that tests see states of pools
// which no test machine can be brought into.
package zfstest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Build compiles the replaying program into dir and returns its path.
func Build(dir string) (string, error) {
	exe := filepath.Join(dir, "replay")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", exe, "./replay")
	cmd.Dir = here()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return exe, nil
}

// Host is a machine whose ZFS tools answer from recordings.
type Host struct {
	// Bin is the folder with zpool and zfs.
	Bin string
	// Proc stands for /proc: the kstats of the recorded pools.
	Proc string
	t    testing.TB
	exe  string
}

// Option changes how a Host answers.
type Option string

const (
	// NoJSON answers -j as a release before OpenZFS 2.3 does: invalid option.
	NoJSON Option = "-nojson"
	// HangZFS makes every zfs command hang; zpool still answers.
	HangZFS Option = "-hang=zfs"
	// HangStatus makes zpool status hang; zpool list still answers.
	HangStatus Option = "-hang=zpool status"
	// HangAll makes every command hang.
	HangAll Option = "-hang=z"
)

// New makes a host that is in no state yet.
func New(t testing.TB, exe string) *Host {
	t.Helper()
	h := &Host{Bin: t.TempDir(), Proc: t.TempDir(), t: t, exe: exe}
	return h
}

// Use brings the host into recorded states. What the first has no answer for
// comes from the next; the first says which pools there are.
func (h *Host) Use(states []string, options ...Option) {
	h.t.Helper()
	var args []string
	for _, o := range options {
		args = append(args, quote(string(o)))
	}
	for _, s := range states {
		args = append(args, quote(filepath.Join(here(), "..", "testdata", "recordings", s+".txtar")))
	}
	for _, name := range []string{"zpool", "zfs"} {
		// The log counts the processes that a run costs.
		h.write(name, fmt.Sprintf("#!/bin/sh\necho %s \"$@\" >> %s\nexec %s %s -- %s \"$@\"\n",
			name, quote(h.Log()), quote(h.exe), strings.Join(args, " "), name))
	}
	if out, err := exec.Command("sh", "-c", fmt.Sprintf("%s -kstat %s %s", quote(h.exe), quote(h.Proc), strings.Join(args, " "))).CombinedOutput(); err != nil {
		h.t.Fatalf("kstat: %v\n%s", err, out)
	}
}

// Log is the file with a line for each command that was run.
func (h *Host) Log() string { return filepath.Join(h.Bin, "log") }

// Commands returns the commands run so far and forgets them.
func (h *Host) Commands() []string {
	h.t.Helper()
	content, err := os.ReadFile(h.Log())
	if err != nil && !os.IsNotExist(err) {
		h.t.Fatal(err)
	}
	_ = os.Remove(h.Log())
	return strings.Split(strings.TrimSpace(string(content)), "\n")
}

// write replaces an executable atomically: one may be starting right now.
func (h *Host) write(name, content string) {
	path := filepath.Join(h.Bin, name)
	if err := os.WriteFile(path+".new", []byte(content), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		h.t.Fatal(err)
	}
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func here() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sh(script string) Cmd { return Cmd{Path: "/bin/sh", Args: []string{"-c", script}} }

func TestResult(t *testing.T) {
	r, err := Exec{}.Run(context.Background(), sh(`echo out; echo "$LC_ALL $SECRET" >&2; exit 11`))
	if err != nil || r.ExitCode != 11 || string(r.Stdout) != "out\n" || r.Stderr != "C \n" {
		t.Errorf("%+v, %v", r, err)
	}
	if text := r.Error("sh").Error(); text != "sh: exit status 11: C" {
		t.Error(text)
	}
	c := sh(`printf %s "$SECRET"`)
	c.Env = []string{"SECRET=x"}
	if r, err := (Exec{}).Run(context.Background(), c); err != nil || string(r.Stdout) != "x" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestNotFound(t *testing.T) {
	_, err := Exec{}.Run(context.Background(), Cmd{Path: "no-such-program"})
	if !errors.Is(err, exec.ErrNotFound) {
		t.Error(err)
	}
}

// The whole process group dies at the deadline, a grandchild included.
func TestDeadlineKillsTheGroup(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := Exec{}.Run(ctx, sh(fmt.Sprintf(`sleep 600 & echo $! > %s; wait`, pidFile)))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	content, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the grandchild lives on")
		}
	}
}

// alive is false for a zombie as well: in a container nobody may reap it.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// A daemon that keeps the pipe open does not keep us waiting.
func TestInheritedPipe(t *testing.T) {
	begun := time.Now()
	r, err := Exec{}.Run(context.Background(), sh(`setsid sleep 30 & echo $!`))
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("waited %s for a pipe", took)
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(r.Stdout))); err == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestOutputCap(t *testing.T) {
	c := sh(`yes`)
	c.MaxOutput = 1000
	_, err := Exec{}.Run(context.Background(), c)
	if !errors.Is(err, ErrOutput) {
		t.Error(err)
	}
	r, err := Exec{}.Run(context.Background(), sh(`yes error | head -c 100000 >&2; echo last >&2; exit 1`))
	if err != nil || len(r.Stderr) > maxStderr || !strings.HasSuffix(r.Stderr, "last\n") {
		t.Errorf("stderr of %d bytes, %v", len(r.Stderr), err)
	}
}

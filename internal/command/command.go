// Package command runs other programs with bounds on time and output.
//
// A child gets a process group of its own which is killed as a whole at the
// deadline, LC_ALL=C so that its texts are the documented ones, and an output
// cap. A child that survives SIGKILL (state D, for example a zpool on a
// suspended pool) is not waited for.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Cmd is one call of a program.
type Cmd struct {
	Path string // looked up on PATH where it has no slash
	Args []string
	// Env is added to a small fixed environment (PATH, HOME, LC_ALL=C). It
	// may hold secrets; arguments may not, for every user can read them.
	Env []string
	// MaxOutput caps standard output in bytes; 0 means 16 MiB. More is an
	// ErrOutput error.
	MaxOutput int64
}

// Result is what a program that ended gave. A status other than 0 is no error
// of the call: ExitCode and Stderr say what happened.
type Result struct {
	Stdout   []byte
	Stderr   string // the last 4 KiB
	ExitCode int
	Duration time.Duration
}

// ErrOutput is returned where a program printed more than its cap.
var ErrOutput = errors.New("output is larger than its limit")

// Runner runs programs. The errors of Run are: exec.ErrNotFound and its like
// (not started), the context's error (killed at the deadline), ErrOutput.
type Runner interface {
	Run(ctx context.Context, cmd Cmd) (Result, error)
}

// Exec is the Runner of the real system.
type Exec struct{}

const (
	defaultMaxOutput = 16 << 20
	maxStderr        = 4 << 10
	// reapWait is how long a killed child may take to go before it is left.
	reapWait = 2 * time.Second
)

// Run implements Runner.
func (Exec) Run(ctx context.Context, c Cmd) (Result, error) {
	limit := c.MaxOutput
	if limit == 0 {
		limit = defaultMaxOutput
	}
	stdout, stderr := &capped{limit: limit}, &tail{limit: maxStderr}
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C"}, c.Env...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = reapWait
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return Result{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return result(ctx, c, cmd, stdout, stderr, time.Since(start), err)
	case <-afterDone(ctx, 2*reapWait):
		return Result{}, fmt.Errorf("%s does not die: %w", filepath.Base(c.Path), ctx.Err())
	}
}

func result(ctx context.Context, c Cmd, cmd *exec.Cmd, stdout *capped, stderr *tail, took time.Duration, err error) (Result, error) {
	r := Result{Stdout: stdout.buf.Bytes(), Stderr: stderr.String(), ExitCode: cmd.ProcessState.ExitCode(), Duration: took}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return r, fmt.Errorf("%s killed after %s: %w", filepath.Base(c.Path), took.Round(time.Millisecond), ctx.Err())
	case stdout.over:
		return r, fmt.Errorf("%s: %w (%d bytes)", filepath.Base(c.Path), ErrOutput, stdout.limit)
	case err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay):
		return r, err
	}
	return r, nil
}

// afterDone is closed some time after the context ended.
func afterDone(ctx context.Context, delay time.Duration) <-chan struct{} {
	done := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(delay, func() { close(done) }) })
	return done
}

// Error describes a program's failure by its status and the end of its
// standard error.
func (r Result) Error(name string) error {
	return fmt.Errorf("%s: exit status %d: %s", name, r.ExitCode, strings.TrimSpace(r.Stderr))
}

// capped keeps the first limit bytes and makes the writer fail beyond.
type capped struct {
	buf   bytes.Buffer // not embedded: its ReadFrom would pass by the limit
	limit int64
	over  bool
}

func (w *capped) Write(p []byte) (int, error) {
	if int64(w.buf.Len()+len(p)) > w.limit {
		w.over = true
		return 0, io.ErrShortWrite
	}
	return w.buf.Write(p)
}

// tail keeps the last limit bytes.
type tail struct {
	buf   []byte
	limit int
}

func (w *tail) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	if extra := len(w.buf) - w.limit; extra > 0 {
		w.buf = append(w.buf[:0], w.buf[extra:]...)
	}
	return len(p), nil
}

func (w *tail) String() string { return string(w.buf) }

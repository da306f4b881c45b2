package restic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/command"
)

// limits bound how many restic processes the sources run together: a call
// takes a core for half a second at least.
type limits struct {
	calls chan struct{} // of passes
	heavy chan struct{} // checks and drills: one at a time
}

func newLimits() *limits {
	return &limits{
		calls: make(chan struct{}, max(2, runtime.GOMAXPROCS(0)/2)),
		heavy: make(chan struct{}, 1),
	}
}

// slotTime is how long a call of a pass keeps its place. One that takes longer
// waits for its backend and not for the processor; were it to keep the place,
// repositories that hang would hold up the others.
const slotTime = 20 * time.Second

// take waits for a place and returns what gives it back.
func take(ctx context.Context, slots chan struct{}, most time.Duration) (func(), error) {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	free := time.AfterFunc(most, func() { <-slots })
	return func() {
		if free.Stop() {
			<-slots
		}
	}, nil
}

// client calls restic for one repository.
type client struct {
	cfg    Config
	exec   command.Runner
	limits *limits
	now    func() time.Time
}

// environ is what restic processes get: the environment file's lines and, over
// them, what is configured. Passwords stay in files and in the environment,
// for arguments are readable by every user.
func (c *client) environ() (environment, error) {
	env := environment{}
	if c.cfg.EnvironmentFile != "" {
		read, err := readEnvironment(string(c.cfg.EnvironmentFile))
		if err != nil {
			return nil, err
		}
		maps.Copy(env, read)
	}
	set := func(key, value string, instead ...string) {
		if value == "" {
			return
		}
		for _, other := range instead {
			delete(env, other)
		}
		env[key] = value
	}
	set("RESTIC_REPOSITORY", c.cfg.Location, "RESTIC_REPOSITORY_FILE")
	set("RESTIC_PASSWORD_FILE", string(c.cfg.PasswordFile), "RESTIC_PASSWORD", "RESTIC_PASSWORD_COMMAND")
	set("RESTIC_PASSWORD_COMMAND", c.cfg.PasswordCommand, "RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE")
	set("RESTIC_CACHE_DIR", c.cfg.CacheDir)
	delete(env, "RESTIC_HOST") // from 0.17 on a filter of listings, meant for backups
	if env["RESTIC_REPOSITORY"] == "" && env["RESTIC_REPOSITORY_FILE"] == "" {
		return nil, fmt.Errorf("%s sets no RESTIC_REPOSITORY", c.cfg.EnvironmentFile)
	}
	// restic's own words on this file would be those of a failing repository.
	if file := env["RESTIC_PASSWORD_FILE"]; file != "" {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("password file: %w", err)
		}
	}
	return env, nil
}

// run calls restic. A failure of restic is a *failure; another error means
// that it could not be called.
func (c *client) run(ctx context.Context, maxOutput int64, args ...string) (command.Result, error) {
	env, err := c.environ()
	if err != nil {
		return command.Result{}, err
	}
	flags := []string{"--no-lock"}
	for _, o := range c.cfg.Options {
		flags = append(flags, "-o", o)
	}
	res, err := c.exec.Run(ctx, command.Cmd{
		Path: c.cfg.Binary, Args: append(flags, args...), Env: env.list(), MaxOutput: maxOutput,
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return res, &failure{reason: killedReason(res.Stderr), text: err.Error() + ": " + message(res.Stderr), stderr: res.Stderr}
	case errors.Is(err, command.ErrOutput):
		return res, &failure{reason: reasonOther, text: err.Error()}
	case err != nil:
		return res, err
	case res.ExitCode != 0:
		return res, &failure{reason: exitReason(res.ExitCode, res.Stderr), text: fmt.Sprintf("exit status %d: %s", res.ExitCode, message(res.Stderr)), stderr: res.Stderr}
	}
	return res, nil
}

// pass is a call within a pass.
func (c *client) pass(ctx context.Context, maxOutput int64, args ...string) ([]byte, error) {
	release, err := take(ctx, c.limits.calls, slotTime)
	if err != nil {
		return nil, &failure{reason: reasonTimeout, text: "waited for other repositories: " + err.Error()}
	}
	defer release()
	res, err := c.run(ctx, maxOutput, args...)
	if left := leftOut.FindString(res.Stderr); err == nil && left != "" {
		return nil, &failure{reason: reasonOther, text: left, stderr: res.Stderr}
	}
	return res.Stdout, err
}

// leftOut is said by a call that succeeds without the snapshots that it could
// not load, or without any: restic 0.14 "could not load snapshot ID: ...", 0.18
// `Ignoring "ID": failed to load snapshot ...`, both "could not load snapshots:
// ..." with an empty list.
var leftOut = regexp.MustCompile(`(?m)^(?:Ignoring "|could not load snapshot).*`)

// maxListing is room for 50,000 snapshots of a few hundred bytes each.
const maxListing = 64 << 20

func (c *client) snapshots(ctx context.Context) (*listing, error) {
	out, err := c.pass(ctx, maxListing, "snapshots", "--json")
	if err != nil {
		return nil, err
	}
	found, err := parseSnapshots(out)
	if err != nil {
		return nil, &failure{reason: reasonOther, text: "snapshots: " + err.Error()}
	}
	return &listing{at: c.now(), snapshots: found}, nil
}

func (c *client) stats(ctx context.Context, mode string) (statsResult, error) {
	out, err := c.pass(ctx, 0, "stats", "--json", "--mode", mode)
	if err != nil {
		return statsResult{}, err
	}
	s, err := parseStats(out, mode)
	if err != nil {
		return s, &failure{reason: reasonOther, text: "stats: " + err.Error()}
	}
	return s, nil
}

// lockIDs lists the locks' ids, which takes no lock.
func (c *client) lockIDs(ctx context.Context) ([]string, error) {
	out, err := c.pass(ctx, 0, "list", "locks")
	if err != nil {
		return nil, err
	}
	ids, err := parseIDs(out)
	if err != nil {
		return nil, &failure{reason: reasonOther, text: "list locks: " + err.Error()}
	}
	return ids, nil
}

func (c *client) lock(ctx context.Context, id string) (lock, error) {
	out, err := c.pass(ctx, 0, "cat", "lock", id)
	if err != nil {
		return lock{}, err
	}
	l, err := parseLock(id, out)
	if err != nil {
		return l, &failure{reason: reasonOther, text: "cat lock: " + err.Error()}
	}
	return l, nil
}

// message is what restic ended with, in one line and without credentials.
func message(stderr string) string {
	text, _, _ := strings.Cut(fatal(stderr), "\nmain.") // restic prints where in its source an error was
	return redactURLs(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; "))
}

package restic

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/command"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// replay answers calls with recorded output.
type replay struct {
	dir string

	mu    sync.Mutex
	calls []string
	fail  func(args string) (command.Result, error, bool) // instead of a recording
}

func (r *replay) Run(_ context.Context, cmd command.Cmd) (command.Result, error) {
	args := strings.Join(cmd.Args, " ")
	r.mu.Lock()
	r.calls = append(r.calls, args)
	fail := r.fail
	r.mu.Unlock()
	if fail != nil {
		if res, err, yes := fail(args); yes {
			return res, err
		}
	}
	var file string
	switch words := strings.Fields(strings.TrimPrefix(args, "--no-lock ")); {
	case words[0] == "snapshots":
		file = "snapshots.json"
	case words[0] == "stats":
		file = "stats-" + words[len(words)-1] + ".json"
	case args == "--no-lock list locks":
		file = "list-locks.txt"
	case words[0] == "cat" && words[1] == "lock":
		file = "cat-lock-" + words[2] + ".json"
	}
	out, err := os.ReadFile(filepath.Join(r.dir, file))
	return command.Result{Stdout: out}, err
}

func (r *replay) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

const home = "s3:https://s3.example.org/vulcan-home"

func TestGolden(t *testing.T) {
	var batches []*metric.Batch
	for _, version := range []string{"v0.14", "v0.18"} {
		t.Run(version, func(t *testing.T) {
			dir := filepath.Join("testdata", version)
			env := collectortest.Env(t)
			env.Interval = time.Hour
			env.Exec = &replay{dir: dir}
			one := 1.0
			err := env.State.Save(memory{
				Repository: digest(home + "\x00"), WatchedSince: collectortest.Now.Add(-24 * time.Hour), Complete: true,
				Groups: map[string]groupMemory{"hera\x00/srv/data,/srv/etc": {First: collectortest.Now.Add(-40 * 24 * time.Hour), Most: 6}},
				Check: checkMemory{
					At: collectortest.Now.Add(-time.Hour), Errors: 2, Broken: &one, Part: 2, Parts: 4,
					Results: map[int]partResult{1: verified, 2: damaged, 3: skipped}, Cycle: collectortest.Now.Add(-700 * time.Hour),
					Skipped: map[reason]float64{reasonTimeout: 3},
				},
				Drill: drillMemory{Success: true, At: collectortest.Now.Add(-2 * time.Hour), Bytes: 1234, Seconds: 4.5},
			})
			if err != nil {
				t.Fatal(err)
			}
			collectortest.Golden(t, Definition(), dir, env)
			source := sourceOf(t, dir)
			out, err := collectortest.Run(t, source, env)
			if err != nil {
				t.Fatal(err)
			}
			batches = append(batches, out)
		})
	}
	collectortest.Covered(t, Definition(), batches...)
}

func sourceOf(t testing.TB, dir string) collector.Source {
	t.Helper()
	config, err := os.ReadFile(filepath.Join(dir, "config.yml"))
	if err != nil {
		t.Fatal(err)
	}
	return collectortest.Load(t, Definition(), strings.ReplaceAll(string(config), "$DIR", dir))[0]
}

func TestLint(t *testing.T) { collectortest.Lint(t, Definition()) }

// fake is a replayed repository with a clock that moves.
type fake struct {
	source collector.Source
	c      collector.Collector
	exec   *replay
	now    time.Time
	env    collector.Env
}

func newFake(t *testing.T) *fake {
	t.Helper()
	dir := filepath.Join("testdata", "v0.18")
	f := &fake{exec: &replay{dir: dir}, now: collectortest.Now, source: sourceOf(t, dir)}
	f.env = collectortest.Env(t)
	f.env.Interval, f.env.Exec = time.Hour, f.exec
	f.env.Now = func() time.Time { return f.now }
	f.restart(t)
	return f
}

func (f *fake) restart(t *testing.T) {
	t.Helper()
	var err error
	if f.c, err = f.source.New(f.env); err != nil {
		t.Fatal(err)
	}
}

func (f *fake) collect(t *testing.T) string {
	t.Helper()
	out, err := collectortest.Collect(t, f.source, f.c)
	if err != nil {
		t.Fatal(err)
	}
	return collectortest.Text(t, out)
}

// An unchanged repository costs one call, also after a restart; no call takes
// a lock.
func TestCost(t *testing.T) {
	f := newFake(t)
	none := func(args string) (command.Result, error, bool) {
		return command.Result{}, nil, strings.HasSuffix(args, "list locks")
	}
	f.exec.fail = none
	f.collect(t)
	first := f.exec.take()
	if len(first) != 5 {
		t.Errorf("first pass: %q, want snapshots, three stats and the locks", first)
	}
	for _, call := range first {
		if !strings.HasPrefix(call, "--no-lock ") {
			t.Errorf("%q would lock", call)
		}
	}
	f.now = f.now.Add(time.Hour)
	f.collect(t)
	if calls := f.exec.take(); len(calls) != 1 || !strings.Contains(calls[0], "snapshots") {
		t.Errorf("second pass: %q, want snapshots alone", calls)
	}
	f.restart(t)
	f.collect(t)
	if calls := f.exec.take(); slices.ContainsFunc(calls, func(s string) bool { return strings.Contains(s, "stats") }) {
		t.Errorf("sizes were asked for again after a restart: %q", calls)
	}
	f.now = f.now.Add(8 * 24 * time.Hour)
	f.collect(t)
	if calls := f.exec.take(); len(calls) != 5 {
		t.Errorf("a week later: %q, want all again", calls)
	}
}

// What a failed listing leaves: its reason at once, the last good listing for
// three intervals, and never a zero.
func TestFailedListing(t *testing.T) {
	f := newFake(t)
	good := f.collect(t)
	for _, want := range []string{`restic_snapshots{repository="Home"} 11`, `restic_listing_success{repository="Home"} 1`, `restic_initialising{repository="Home"} 0`} {
		if !strings.Contains(good, want+"\n") {
			t.Fatalf("no %s in\n%s", want, good)
		}
	}
	f.exec.fail = func(string) (command.Result, error, bool) {
		return command.Result{ExitCode: 12, Stderr: `{"message_type":"exit_error","code":12,"message":"Fatal: wrong password or no key found"}`}, nil, true
	}
	f.now = f.now.Add(3 * time.Hour)
	bad := f.collect(t)
	for _, want := range []string{
		`restic_listing_success{repository="Home"} 0`, `restic_listing_error{repository="Home",reason="wrong_password"} 1`,
		`restic_listing_error{repository="Home",reason="missing"} 0`, `restic_snapshots{repository="Home"} 11`,
		`restic_last_listing_timestamp_seconds{repository="Home"} 1.7935344e+09`, `restic_repository_configured{repository="Home"} 1`,
	} {
		if !strings.Contains(bad, want+"\n") {
			t.Errorf("no %s in\n%s", want, bad)
		}
	}
	if strings.Contains(bad, "restic_stats_success") {
		t.Error("the sizes were not looked at, but their success is told")
	}
	f.now = f.now.Add(time.Second)
	late := f.collect(t)
	for _, name := range []string{"restic_snapshots", "restic_last_snapshot", "restic_group_", "restic_repo_size", "restic_expected_last", "restic_retention"} {
		if strings.Contains(late, name) {
			t.Errorf("%s is still told after three intervals", name)
		}
	}
	if !strings.Contains(late, `restic_listing_success{repository="Home"} 0`) {
		t.Error("the failure is not told any more")
	}
}

// What keeps restic from being asked is an error of the collector, not a fault
// of the repository.
func TestCannotAsk(t *testing.T) {
	for name, yaml := range map[string]string{
		"binary":   "sources: [{name: a, location: /x, password_command: 'true', binary: /nonexistent/restic}]",
		"password": "sources: [{name: a, location: /x, password_file: /nonexistent/password}]",
		"env file": "sources: [{name: a, location: /x, environment_file: /nonexistent/env}]",
	} {
		t.Run(name, func(t *testing.T) {
			out, err := collectortest.Run(t, collectortest.Load(t, Definition(), yaml)[0], collectortest.Env(t))
			if !errors.Is(err, os.ErrNotExist) {
				t.Errorf("error %v", err)
			}
			if text := collectortest.Text(t, out); strings.Contains(text, "listing") {
				t.Errorf("tells of a listing:\n%s", text)
			}
		})
	}
}

// A transient failure is asked about again within the pass, a clear one not.
func TestRetries(t *testing.T) {
	for _, tt := range []struct {
		stderr string
		calls  int
	}{
		{"Fatal: unable to open config file: client.Head: dial tcp 127.0.0.1:1: connect: connection refused\nIs there a repository at the following location?\nrest:x", 3},
		{"Fatal: wrong password or no key found", 1},
	} {
		f := newFake(t)
		f.env.Interval = time.Second
		f.restart(t)
		f.exec.fail = func(string) (command.Result, error, bool) {
			return command.Result{ExitCode: 1, Stderr: tt.stderr}, nil, true
		}
		f.collect(t)
		if calls := f.exec.take(); len(calls) != tt.calls {
			t.Errorf("%s: %d calls, want %d", tt.stderr, len(calls), tt.calls)
		}
	}
}

// Another location is another repository: nothing is carried over.
func TestOtherRepository(t *testing.T) {
	f := newFake(t)
	f.collect(t)
	f.source = collectortest.Load(t, Definition(), "sources: [{name: Home, location: /other, password_command: 'true'}]")[0]
	f.exec.fail = func(args string) (command.Result, error, bool) {
		return command.Result{Stdout: []byte("[]")}, nil, strings.Contains(args, "snapshots")
	}
	f.restart(t)
	if text := f.collect(t); !strings.Contains(text, `restic_initialising{repository="Home"} 1`) || !strings.Contains(text, `restic_snapshots{repository="Home"} 0`) {
		t.Errorf("the new repository is not initialising:\n%s", text)
	}
}

// A call that ends well and says that it left snapshots out is no success.
func TestSnapshotsLeftOut(t *testing.T) {
	for _, stderr := range []string{
		"could not load snapshots: readdirent /srv/snapshots: permission denied\n",
		"could not load snapshot 1dbcd60c: load <snapshot/1dbcd60ce3>: invalid data returned\n",
		`Ignoring "a6bf": failed to load snapshot a6bf: LoadRaw(<snapshot/a6bf>): invalid data returned` + "\n",
	} {
		f := newFake(t)
		f.env.Interval = time.Second // a retry comes soon
		f.restart(t)
		before := f.collect(t)
		count := regexp.MustCompile(`restic_snapshots\{.*`).FindString(before)
		f.exec.fail = func(args string) (command.Result, error, bool) {
			return command.Result{Stdout: []byte("[]"), Stderr: stderr}, nil, strings.Contains(args, "snapshots")
		}
		f.now = f.now.Add(2 * time.Second)
		text := f.collect(t)
		if count == "" || !strings.Contains(text, count) || !strings.Contains(text, `restic_listing_success{repository="Home"} 0`) {
			t.Errorf("after %q, with %s before:\n%s", stderr, count, text)
		}
	}
}

// Damage that was found is not forgotten because the data is cut into other parts.
func TestOtherParts(t *testing.T) {
	m := &checkMemory{}
	m.record(m.next(3), checkResult{errors: 1}, collectortest.Now)
	first := m.next(2)
	m.record(first, checkResult{}, collectortest.Now)
	if m.Success {
		t.Error("half of a cycle makes damage good")
	}
	m.record(m.next(2), checkResult{}, collectortest.Now)
	if !m.Success {
		t.Error("a whole cycle does not")
	}
}

// A file that cannot be restored is damage only while its snapshot is there and nobody works with
// the repository: a drill holds no lock.
func TestDrillBesideOthers(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, after string // locks before the restore and after it
		forgotten     bool
		want          string
	}{
		{"damage", "", "", false, `restic_restore_drill_success{repository="Home"} 0`},
		{"locked before", "a\n", "", false, `restic_restore_drill_skipped_total{repository="Home",reason="locked"} 1`},
		{"locked after", "", "a\n", false, `restic_restore_drill_skipped_total{repository="Home",reason="locked"} 1`},
		{"forgotten", "", "", true, `restic_restore_drill_skipped_total{repository="Home",reason="locked"} 1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.collect(t)
			dumped := false
			f.exec.fail = func(args string) (command.Result, error, bool) {
				said := func(text string) (command.Result, error, bool) {
					return command.Result{Stdout: []byte(text)}, nil, true
				}
				switch {
				case strings.Contains(args, "list locks") && dumped:
					return said(strings.ReplaceAll(tt.after, "a", strings.Repeat("a", 64)))
				case strings.Contains(args, "list locks"):
					return said(strings.ReplaceAll(tt.before, "a", strings.Repeat("a", 64)))
				case strings.Contains(args, "cat lock"):
					return said(`{"time":"` + f.now.Format(time.RFC3339) + `","exclusive":true,"hostname":"other","username":"root","pid":1}`)
				case strings.Contains(args, "cat blob"):
					return said(`{"nodes":[{"name":"a","type":"file","size":3,"content":["x"]}]}`)
				case strings.Contains(args, "dump"):
					dumped = true
					return command.Result{ExitCode: 1, Stderr: "Fatal: no matching ID found"}, nil, true
				case strings.Contains(args, "snapshots") && dumped && tt.forgotten:
					return said("[]")
				}
				return command.Result{}, nil, false
			}
			f.c.(*Collector).drill(t.Context())
			if text := f.collect(t); !strings.Contains(text, tt.want) || strings.Contains(tt.want, "skipped") && strings.Contains(text, "restic_restore_drill_success") {
				t.Errorf("no %s in\n%s", tt.want, text)
			}
		})
	}
}

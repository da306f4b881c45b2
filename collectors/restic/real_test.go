package restic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/restic/restictest"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/command"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// counting counts the processes of a real run.
type counting struct{ n atomic.Int64 }

func (c *counting) Run(ctx context.Context, cmd command.Cmd) (command.Result, error) {
	c.n.Add(1)
	return command.Exec{}.Run(ctx, cmd)
}

// observed is a repository and its collector.
type observed struct {
	*restictest.Repository
	t      *testing.T
	source collector.Source
	c      collector.Collector
	exec   *counting
	cache  string
}

func observe(t *testing.T, repo *restictest.Repository, more string) *observed {
	t.Helper()
	o := &observed{Repository: repo, t: t, exec: &counting{}, cache: t.TempDir()}
	yaml := fmt.Sprintf("sources:\n  - {name: Home, location: %q, password_file: %s, binary: %s, cache_dir: %s%s}",
		repo.Dir, repo.PasswordFile, repo.Binary, o.cache, more)
	o.source = collectortest.Load(t, Definition(), yaml)[0]
	env := collectortest.Env(t)
	env.Exec, env.Interval, env.Now = o.exec, time.Second, time.Now
	var err error
	if o.c, err = o.source.New(env); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *observed) collect() string {
	o.t.Helper()
	out, err := collectortest.Collect(o.t, o.source, o.c)
	if err != nil {
		o.t.Fatal(err)
	}
	return collectortest.Text(o.t, out)
}

func has(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want+"\n") {
			name, _, _ := strings.Cut(want, "{")
			t.Errorf("no %s; there is:\n%s", want, strings.Join(regexp.MustCompile(`(?m)^`+name+`[{ ].*$`).FindAllString(text, 9), "\n"))
		}
	}
}

// each runs a test with both versions, and with both formats of repositories.
func each(t *testing.T, test func(t *testing.T, repo *restictest.Repository)) {
	t.Run("0.14", func(t *testing.T) { test(t, restictest.New(t, restictest.Debian(t), "v1")) })
	t.Run("0.18", func(t *testing.T) { test(t, restictest.New(t, restictest.Trixie(t), "v2")) })
}

func random(n int) []byte {
	var b bytes.Buffer
	for b.Len() < n {
		_ = b.WriteByte(byte(rand.Uint32()))
	}
	return b.Bytes()
}

// One repository from its first day: empty, snapshots of two hosts, a lock
// left behind, a wrong password, gone.
func TestReal(t *testing.T) {
	each(t, func(t *testing.T, repo *restictest.Repository) {
		o := observe(t, repo, `, expect: [{host: a, tags: [x]}]`)
		has(t, o.collect(), `restic_initialising{repository="Home"} 1`, `restic_snapshots{repository="Home"} 0`,
			`restic_repo_size_bytes{repository="Home"} 0`, `restic_listing_success{repository="Home"} 1`)

		day := time.Date(2026, 10, 1, 3, 0, 0, 0, time.UTC)
		repo.Backup("a", day, random(10_000), "--tag", "x", "--tag", "y")
		repo.Backup("a", day.AddDate(0, 0, 1), random(10_000))
		repo.Backup("b", day.AddDate(0, 0, 2), random(10_000))
		before := o.exec.n.Load()
		paths := `paths="` + repo.Data + `"`
		text := o.collect()
		has(t, text, `restic_initialising{repository="Home"} 0`, `restic_snapshots{repository="Home"} 3`,
			`restic_group_snapshots{repository="Home",host="a",`+paths+`} 2`,
			fmt.Sprintf(`restic_last_snapshot_timestamp_seconds{repository="Home"} %v`, float64(day.AddDate(0, 0, 2).Unix())),
			fmt.Sprintf(`restic_expected_last_snapshot_timestamp_seconds{repository="Home",host="a",tags="x",paths=""} %v`, float64(day.Unix())),
			`restic_unique_size_bytes{repository="Home"} 30000`, `restic_restore_size_bytes{repository="Home"} 30000`,
			`restic_stats_success{repository="Home"} 1`)
		if n := o.exec.n.Load() - before; n != 4 {
			t.Errorf("%d calls, want the listing and three stats", n)
		}
		if compressed := strings.Contains(text, "restic_compression_ratio{"); compressed != strings.HasSuffix(repo.Binary, "0.18") {
			t.Errorf("compression is told: %v", compressed)
		}

		repo.StaleLock()
		o.c.(*Collector).locks = nil // its next listing is hours away
		before = o.exec.n.Load()
		has(t, o.collect(), `restic_locks{repository="Home"} 1`, `restic_stale_locks{repository="Home"} 1`, `restic_exclusive_locks{repository="Home"} 0`)
		if n := o.exec.n.Load() - before; n != 3 {
			t.Errorf("%d calls, want the listing and two for one lock", n)
		}
		if left := repo.Locks(); len(left) != 1 {
			t.Errorf("locks %q: the collector made or removed one", left)
		}

		if err := os.WriteFile(repo.PasswordFile, []byte("other\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		has(t, o.collect(), `restic_listing_success{repository="Home"} 0`, `restic_listing_error{repository="Home",reason="wrong_password"} 1`)
		if err := os.Remove(filepath.Join(repo.Dir, "config")); err != nil {
			t.Fatal(err)
		}
		has(t, o.collect(), `restic_listing_success{repository="Home"} 0`, `restic_listing_error{repository="Home",reason="missing"} 1`)
	})
}

// Flipped bits: the listing knows nothing of them, the check and the drill do.
func TestRealDamage(t *testing.T) {
	each(t, func(t *testing.T, repo *restictest.Repository) {
		repo.Backup("a", time.Now(), random(400_000))
		o := observe(t, repo, `, check: {interval: 1s, parts: 1}, restore_drill: {interval: 1s}`)
		has(t, o.collect(), `restic_listing_success{repository="Home"} 1`)
		c := o.c.(*Collector)
		c.check(t.Context())
		c.drill(t.Context())
		has(t, o.collect(), `restic_integrity_check_success{repository="Home"} 1`, `restic_integrity_check_errors{repository="Home"} 0`,
			`restic_restore_drill_success{repository="Home"} 1`, `restic_restore_drill_bytes{repository="Home"} 400000`)

		mend := repo.Damage()
		c.check(t.Context())
		if strings.HasSuffix(repo.Binary, "0.18") { // 0.14 tries again for most of a minute
			c.drill(t.Context())
			has(t, o.collect(), `restic_restore_drill_success{repository="Home"} 0`)
		}
		has(t, o.collect(), `restic_listing_success{repository="Home"} 1`, `restic_integrity_check_success{repository="Home"} 0`,
			`restic_integrity_check_cycle_parts{repository="Home",result="failed"} 1`)

		mend()
		c.check(t.Context())
		c.drill(t.Context())
		has(t, o.collect(), `restic_integrity_check_success{repository="Home"} 1`, `restic_restore_drill_success{repository="Home"} 1`,
			`restic_integrity_check_cycle_parts{repository="Home",result="failed"} 0`)

		// Somebody works with the repository: nothing is proven.
		locked(t, repo)
		c.check(t.Context())
		has(t, o.collect(), `restic_integrity_check_skipped_total{repository="Home",reason="locked"} 1`, `restic_integrity_check_success{repository="Home"} 1`)
		if left, _ := filepath.Glob(filepath.Join(o.cache, "*check*")); len(left) > 0 {
			t.Errorf("the check left %q", left)
		}
	})
}

// locked has a backup go on until the test ends.
func locked(t *testing.T, repo *restictest.Repository) {
	t.Helper()
	cmd := repo.Command("backup", "--quiet", "--stdin")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close() })
	process := testenv.Start(t, cmd)
	testenv.Eventually(t, time.Minute, func() error {
		if len(repo.Locks()) == 0 {
			return errors.Join(errors.New("no lock yet"), process.Exited())
		}
		return nil
	})
}

// Run makes what is due by itself; the next pass tells it.
func TestRun(t *testing.T) {
	repo := restictest.New(t, restictest.Trixie(t), "v2")
	repo.Backup("a", time.Now(), random(1000))
	o := observe(t, repo, `, check: {interval: 1s, parts: 1}, restore_drill: {interval: 1s}`)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.c.(collector.Runner).Run(ctx) }()
	testenv.Eventually(t, time.Minute, func() error {
		text := o.collect()
		for _, want := range []string{`restic_integrity_check_success{repository="Home"} 1`, `restic_restore_drill_success{repository="Home"} 1`} {
			if !strings.Contains(text, want) {
				return errors.New("no " + want)
			}
		}
		return nil
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A repository that hangs (its key is a FIFO) costs its own deadline, and
// nothing is left of the calls.
func TestHang(t *testing.T) {
	each(t, func(t *testing.T, repo *restictest.Repository) {
		keys, err := filepath.Glob(filepath.Join(repo.Dir, "keys", "*"))
		if err != nil || len(keys) != 1 {
			t.Fatal(keys, err)
		}
		if err := errors.Join(os.Remove(keys[0]), syscall.Mkfifo(keys[0], 0o600)); err != nil {
			t.Fatal(err)
		}
		tmp := t.TempDir()
		t.Setenv("TMPDIR", tmp)
		o := observe(t, repo, `, timeout: 2s`)
		has(t, o.collect(), `restic_listing_success{repository="Home"} 0`, `restic_listing_error{repository="Home",reason="timeout"} 1`)
		for _, dir := range []string{filepath.Join(repo.Dir, "locks"), tmp, o.cache} {
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("%s: %v, %v", dir, left, err)
			}
		}
		if out, _ := exec.Command("pgrep", "-f", repo.PasswordFile).Output(); len(out) > 0 {
			t.Errorf("still running: %s", out)
		}
	})
}

// A remote repository over HTTP: it answers, hangs, refuses.
func TestRclone(t *testing.T) {
	testenv.Need(t, "rclone")
	each(t, func(t *testing.T, repo *restictest.Repository) {
		repo.Backup("a", time.Now(), random(1000))
		address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
		cmd := exec.Command("rclone", "serve", "restic", "--addr", address, "--config", "/dev/null", repo.Dir)
		server := testenv.Start(t, cmd)
		remote := *repo
		remote.Dir = "rest:http://" + address + "/"
		o := observe(t, &remote, `, timeout: 3s`)
		testenv.Eventually(t, time.Minute, func() error {
			if text := o.collect(); !strings.Contains(text, `restic_listing_success{repository="Home"} 1`) {
				return fmt.Errorf("%w\n%s", server.Exited(), text)
			}
			return nil
		})
		has(t, o.collect(), `restic_snapshots{repository="Home"} 1`)
		if err := server.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, time.Minute, func() error { // it may still be answering
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", server.PID))
			if err == nil && !strings.Contains(string(stat), ") T ") {
				err = errors.New(string(stat))
			}
			return err
		})
		has(t, o.collect(), `restic_listing_success{repository="Home"} 0`, `restic_listing_error{repository="Home",reason="timeout"} 1`)
		server.Kill()
		has(t, o.collect(), `restic_listing_success{repository="Home"} 0`, `restic_listing_error{repository="Home",reason="backend"} 1`)
	})
}

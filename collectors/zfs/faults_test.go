package zfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/zfs/zfstest"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/command"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// sample reports whether an exposition has a series, given without its source.
func sample(t testing.TB, out *metric.Batch, name, labels, value string) bool {
	t.Helper()
	return strings.Contains(collectortest.Text(t, out), fmt.Sprintf("%s{source=\"default\"%s} %s\n", name, labels, value))
}

// has fails the test unless the batch has the series.
func has(t testing.TB, out *metric.Batch, name, labels, value string) {
	t.Helper()
	if !sample(t, out, name, labels, value) {
		t.Errorf("no %s{%s} %s in\n%s", name, labels, value, grep(collectortest.Text(t, out), name))
	}
}

// hasNot fails the test if the batch has any series of that beginning.
func hasNot(t testing.TB, out *metric.Batch, start string) {
	t.Helper()
	if found := grep(collectortest.Text(t, out), start); found != "" {
		t.Errorf("unexpected:\n%s", found)
	}
}

func grep(text, start string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, start) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestErrors(t *testing.T) {
	program := func(script string) func(t *testing.T) *zfstest.Host {
		return func(t *testing.T) *zfstest.Host {
			h := zfstest.New(t, replay)
			for _, name := range []string{"zpool", "zfs"} {
				if err := os.WriteFile(filepath.Join(h.Bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", h.Bin+":/usr/bin:/bin")
			return h
		}
	}
	tests := map[string]struct {
		host func(t *testing.T) *zfstest.Host
		want string
	}{
		"no zpool": {func(t *testing.T) *zfstest.Host {
			t.Setenv("PATH", "/nonexistent")
			return zfstest.New(t, replay)
		}, "zpool is not on PATH: the ZFS tools are not installed"},
		"no module":       {func(t *testing.T) *zfstest.Host { return host(t, []string{"no_module"}) }, errNoModule.Error()},
		"no permission":   {func(t *testing.T) *zfstest.Host { return host(t, []string{"noperm"}) }, "zpool list: exit status 1: Permission denied the ZFS utilities must be run as root."},
		"garbage":         {program(`echo "Segmentation fault, core dumped"`), "zpool list: expected 12 columns"},
		"binary":          {program(`head -c 4096 /dev/urandom; printf '\n'`), "zpool list: expected 12 columns"},
		"truncated JSON":  {program(`case $2 in -Hp) printf 'p\t1\tONLINE\t1\t1\t1\t0\t0\t0\t0\t1.00\toff\n';; *) printf '{"pools":{"p":';; esac`), "zpool status: unexpected end of JSON"},
		"other JSON":      {program(`case $2 in -Hp) ;; *) echo '{"pools":{}}';; esac`), "no output_version or pools"},
		"newer JSON":      {program(`case $2 in -Hp) ;; *) echo '{"output_version":{"vers_major":7},"pools":{}}';; esac`), "JSON version 7, expected 0"},
		"incomplete JSON": {program(`case $2 in -Hp) ;; *) echo '{"output_version":{"vers_major":0},"pools":{"p":{"name":"p"}}}';; esac`), "pool p: name, state or vdevs are missing"},
		"oversized":       {program(`head -c 70000000 /dev/zero`), "output is larger than its limit"},
		"killed":          {program(`kill -9 $$`), "zpool list: exit status -1"},
		"negative":        {program(`printf 'p\t1\tONLINE\t-5\t1\t1\t0\t0\t0\t0\t1.00\toff\n'`), `pool p: column 4: expected a number, found "-5"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, tt.host(t), "pools: [tank]")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			has(t, out, "zfs_pool_configured", `,pool="tank"`, "1")
		})
	}
}

func TestNoModuleMeansNoPool(t *testing.T) {
	out, err := run(t, host(t, []string{"no_module"}), "pools: [tank]")
	if !errors.Is(err, errNoModule) {
		t.Fatal(err)
	}
	has(t, out, "zfs_pool_imported", `,pool="tank"`, "0")
}

// In a user namespace zpool says that there is nothing, and exits 0.
func TestPoolThatOnlyTheKernelShows(t *testing.T) {
	h := host(t, []string{"healthy_snaps"})
	if err := os.WriteFile(filepath.Join(h.Bin, "zpool"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", h.Bin+":/usr/bin:/bin")
	out, err := run(t, h, "pools: [tank]")
	if err == nil || !strings.Contains(err.Error(), "the kernel has pool tank imported") {
		t.Errorf("got %v", err)
	}
	has(t, out, "zfs_pool_imported", `,pool="tank"`, "1") // the kernel says so
}

func TestExportedPool(t *testing.T) {
	out, err := run(t, host(t, []string{"exported", "healthy_snaps"}), "pools: [tank, vault]\nsnapshots:\n- {datasets: vault/backup, max_age: 2h}")
	if err != nil {
		t.Fatal(err)
	}
	has(t, out, "zfs_pool_imported", `,pool="tank"`, "1")
	has(t, out, "zfs_pool_imported", `,pool="vault"`, "0")
	hasNot(t, out, `zfs_pool_state{source="default",pool="vault"`)
	hasNot(t, out, "zfs_snapshot_rule_datasets") // not known while vault is away
}

// A suspended pool is not asked: zfs would hang or leave it out in silence.
func TestSuspendedPoolIsNotAsked(t *testing.T) {
	h := host(t, []string{"suspended_wait"})
	out, err := run(t, h, "{}")
	if err != nil {
		t.Fatal(err)
	}
	has(t, out, "zfs_pool_datasets_success", `,pool="susp_wait"`, "0")
	has(t, out, "zfs_pool_datasets_success", `,pool="okk"`, "1")
	hasNot(t, out, `zfs_dataset_used_bytes{source="default",name="susp_wait"`)
	if c := slices.IndexFunc(h.Commands(), func(line string) bool { return strings.HasPrefix(line, "zfs") && strings.Contains(line, "susp") }); c >= 0 {
		t.Error("the suspended pool was asked for its datasets")
	}
}

func TestHangs(t *testing.T) {
	const config = "pools: [tank]\ntimeout: 3s"
	t.Run("every command", func(t *testing.T) {
		start := time.Now()
		out, err := run(t, host(t, []string{"degraded_offline"}, zfstest.HangAll), config)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		has(t, out, "zfs_pool_state", `,pool="tank",state="degraded"`, "1") // from the kstat
		has(t, out, "zfs_pool_imported", `,pool="tank"`, "1")
		hasNot(t, out, "zfs_pool_clean")
		if took := time.Since(start); took > 60*time.Second {
			t.Errorf("took %s", took)
		}
	})
	t.Run("zpool status", func(t *testing.T) {
		out, err := run(t, host(t, []string{"degraded_offline"}, zfstest.HangStatus), config)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		has(t, out, "zfs_pool_state", `,pool="tank",state="degraded"`, "1")
	})
	t.Run("zfs", func(t *testing.T) {
		out, err := run(t, host(t, []string{"degraded_offline"}, zfstest.HangZFS), config)
		if err != nil {
			t.Errorf("got %v", err)
		}
		has(t, out, "zfs_pool_clean", `,pool="tank"`, "0")
		has(t, out, "zfs_pool_datasets_success", `,pool="tank"`, "0")
		hasNot(t, out, "zfs_dataset_")
	})
}

// undeadRunner behaves as command.Exec does with a child in state D.
type undeadRunner struct{ ran []string }

func (r *undeadRunner) Run(ctx context.Context, c command.Cmd) (command.Result, error) {
	r.ran = append(r.ran, c.Path+" "+strings.Join(c.Args, " "))
	<-ctx.Done()
	return command.Result{}, fmt.Errorf("%s does not die: %w", c.Path, ctx.Err())
}

// While a command of an earlier run hangs in the kernel its like is not
// started again: else each run would leave one more process for ever.
func TestUndeadIsNotJoined(t *testing.T) {
	h := host(t, []string{"degraded_offline"})
	s, c := make1(t, h, "timeout: 100ms")
	runner := &undeadRunner{}
	c.env.Exec = runner
	if _, err := collectortest.Collect(t, s, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	child := filepath.Join(h.Proc, "4242")
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(child, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(child, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("stat", fmt.Sprintf("4242 (a )zpool) D %d 4242 4242 0 -1", os.Getpid()))
	write("cmdline", "zpool\x00list\x00-Hp\x00-o\x00"+poolColumns+"\x00")
	for range 3 {
		out, err := collectortest.Collect(t, s, c)
		if err == nil || !strings.Contains(err.Error(), "process 4242 of an earlier run hangs") {
			t.Fatalf("got %v", err)
		}
		has(t, out, "zfs_pool_state", `,pool="tank",state="degraded"`, "1")
	}
	if len(runner.ran) != 1 {
		t.Errorf("ran %d commands, want 1: %q", len(runner.ran), runner.ran)
	}
	if err := os.RemoveAll(child); err != nil {
		t.Fatal(err)
	}
	c.env.Exec = command.Exec{}
	s.Timeout = time.Minute
	if _, err := collectortest.Collect(t, s, c); err != nil {
		t.Errorf("after the process is gone: %v", err)
	}
}

// A monitor does not load kernel modules, and dates do not depend on where it runs.
func TestEnvironment(t *testing.T) {
	h := host(t, []string{"healthy_snaps"})
	s, c := make1(t, h, "{}")
	runner := &spy{}
	c.env.Exec = runner
	if _, err := collectortest.Collect(t, s, c); err != nil {
		t.Fatal(err)
	}
	if len(runner.cmds) != 6 { // list, status, and two for each of two pools
		t.Errorf("%d commands, want 6: %v", len(runner.cmds), runner.cmds)
	}
	for _, cmd := range runner.cmds {
		if !slices.Contains(cmd.Env, "TZ=UTC") || !slices.Contains(cmd.Env, "ZFS_MODULE_LOADING=no") {
			t.Errorf("%s %v runs with %v", cmd.Path, cmd.Args, cmd.Env)
		}
		if !slices.Contains([]string{"list", "status"}, cmd.Args[0]) {
			t.Errorf("%s %v is not known to only read", cmd.Path, cmd.Args)
		}
	}
}

type spy struct {
	command.Exec
	mu   sync.Mutex
	cmds []command.Cmd
}

func (s *spy) Run(ctx context.Context, c command.Cmd) (command.Result, error) {
	s.mu.Lock()
	s.cmds = append(s.cmds, c)
	s.mu.Unlock()
	return s.Exec.Run(ctx, c)
}

package zfs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/zfs/zfstest"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

var replay string // the replaying program, built once

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "zfs-replay")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if replay, err = zfstest.Build(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// recorded is shortly after most of the recordings were made.
var recorded = time.Date(2025, 11, 3, 12, 0, 0, 0, time.UTC)

// host puts a replayed machine on PATH.
func host(t testing.TB, states []string, options ...zfstest.Option) *zfstest.Host {
	t.Helper()
	h := zfstest.New(t, replay)
	h.Use(states, options...)
	if tb, ok := t.(interface{ Setenv(key, value string) }); ok {
		tb.Setenv("PATH", h.Bin+":"+os.Getenv("PATH"))
	}
	return h
}

func env(t testing.TB) collector.Env {
	e := collectortest.Env(t)
	e.Now = func() time.Time { return recorded }
	return e
}

// run makes a collector for a host and runs it once.
func run(t testing.TB, h *zfstest.Host, config string) (*metric.Batch, error) {
	t.Helper()
	s, c := make1(t, h, config)
	return collectortest.Collect(t, s, c)
}

func make1(t testing.TB, h *zfstest.Host, config string) (collector.Source, *Collector) {
	t.Helper()
	s := collectortest.Load(t, Definition(), config)[0]
	c, err := s.New(env(t))
	if err != nil {
		t.Fatal(err)
	}
	z := c.(*Collector)
	z.proc = h.Proc
	return s, z
}

// states are the recorded ones, each with those that complete it.
var states = [][]string{
	{"cap80"}, {"cksum_mirror_repaired", "healthy_snaps"}, {"compat_old"}, {"data_errors"}, {"data_errors_cleared", "data_errors"},
	{"degraded_faulted_vdev", "healthy_snaps"}, {"degraded_missing", "file_vdevs"}, {"degraded_offline"}, {"degraded_removed", "healthy_snaps"},
	{"diskgone_continue"}, {"exotic_vdevs"}, {"exported", "healthy_snaps"}, {"file_vdevs"}, {"fragmented"}, {"full"},
	{"healthy_fresh"}, {"healthy_snaps"}, {"init_suspended"}, {"no_pools"}, {"raidz_expanded"}, {"readonly_import", "healthy_snaps"},
	{"removing"}, {"resilver_finished", "scrub_finished", "healthy_snaps"}, {"scrub_canceled", "healthy_snaps"},
	{"scrub_finished", "healthy_snaps"}, {"scrub_paused", "healthy_snaps"}, {"scrub_running", "healthy_snaps"}, {"scrub_running_0", "healthy_snaps"},
	{"suspended_continue_recovered", "file_vdevs"}, {"suspended_wait"}, {"suspended_wait_recovered", "file_vdevs"},
	{"tiny_enospc"}, {"trim_done"}, {"upgrade_needed"},
}

// jsonOnly are the facts that the text of zpool status does not have, or rounds.
var jsonOnly = regexp.MustCompile(`(?m)^.*zfs_(vdev_slow_ios_total|pool_scan_(repaired_bytes|progress_ratio|start_timestamp_seconds)).*\n`)

var datasets = regexp.MustCompile(`(?m)^.*zfs_dataset_.*\n`)

func TestStates(t *testing.T) {
	var batches []*metric.Batch
	for _, s := range states {
		t.Run(s[0], func(t *testing.T) {
			config := "pools: [tank]\nscrub_max_age: 35d\nsnapshots:\n- {datasets: \"*/data/**\", names: autosnap_*_hourly, max_age: 2h}"
			out, err := run(t, host(t, s), config)
			if err != nil {
				t.Fatal(err)
			}
			batches = append(batches, out)
			got := collectortest.Text(t, out)
			want := got
			if len(s) > 1 { // datasets of another state prove nothing
				want = datasets.ReplaceAllString(got, "")
			}
			collectortest.Want(t, want, filepath.Join("testdata", "states", s[0]+".prom"))

			old, err := run(t, host(t, s, zfstest.NoJSON), config)
			if err != nil {
				t.Fatalf("without JSON: %v", err)
			}
			if json, text := common(s[0], got), common(s[0], collectortest.Text(t, old)); json != text {
				t.Errorf("text and JSON differ:\n%s", diff(json, text))
			}
		})
	}
	// Only a sanoid.conf gives this one; TestSanoid checks its value.
	sanoid, err := run(t, host(t, []string{"healthy_snaps"}), "sanoid_config: testdata/sanoid/sanoid.conf")
	if err != nil {
		t.Fatal(err)
	}
	collectortest.Covered(t, Definition(), append(batches, sanoid)...)
}

// common drops what the two forms of zpool status cannot both say.
func common(state, text string) string {
	text = jsonOnly.ReplaceAllString(text, "")
	switch {
	case state == "diskgone_continue": // recorded one after the other while errors were counted
		text = regexp.MustCompile(`(?m)^.*flaky.*operation="write".*\n`).ReplaceAllString(text, "")
	case strings.HasPrefix(state, "scrub_") && state != "scrub_finished": // the text counts errors at the end
		text = regexp.MustCompile(`(?m)^.*zfs_pool_scan_errors.*\n`).ReplaceAllString(text, "")
	}
	return text
}

func diff(a, b string) string {
	var out strings.Builder
	for line := range strings.Lines(a) {
		if !strings.Contains(b, line) {
			out.WriteString("-" + line)
		}
	}
	for line := range strings.Lines(b) {
		if !strings.Contains(a, line) {
			out.WriteString("+" + line)
		}
	}
	return out.String()
}

func TestLint(t *testing.T) { collectortest.Lint(t, Definition()) }

package zfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gozfs "github.com/mistifyio/go-zfs/v3"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
)

func TestConfigErrors(t *testing.T) {
	tests := map[string]string{
		"include: ['']":              `zfs.include[0]: expected a glob such as tank/data/**, found ""`,
		"exclude: ['a[']":            `zfs.exclude[0]: expected a glob`,
		"pools: [tank, tank]":        `zfs.pools[1]: expected a pool name, once; found "tank"`,
		"snapshots: [{max_age: 1h}]": `zfs.snapshots[0].datasets: expected a glob`,
		"snapshots: [{datasets: a}]": `zfs.snapshots[0].max_age: expected a duration above 0`,
		"snapshots: [{datasets: a, max_age: 1h}, {datasets: a, names: '*', max_age: 2h}]": `zfs.snapshots[1]: another rule has the same datasets and names`,
		"scrub_max_age: never": `zfs.scrub_max_age: expected a duration`,
	}
	for yaml, want := range tests {
		_, err := collector.Load("test.yml", []byte("zfs:\n  "+yaml+"\n"), []*collector.Definition{Definition()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", yaml, err, want)
		}
	}
}

// What is excluded is not asked for either.
func TestFilters(t *testing.T) {
	h := host(t, []string{"healthy_snaps"})
	out, err := run(t, h, "include: ['tank/**']\nexclude: ['tank/vm/**', tank]")
	if err != nil {
		t.Fatal(err)
	}
	has(t, out, "zfs_dataset_snapshots", `,name="tank/data",pool="tank",type="filesystem"`, "58")
	has(t, out, "zfs_dataset_snapshots", `,name="tank/with space",pool="tank",type="filesystem"`, "1")
	has(t, out, "zfs_dataset_snapshots", `,name="tank/legacy",pool="tank",type="filesystem"`, "0")
	for _, name := range []string{"tank", "tank/vm", "tank/vm/disk0", "vault", "vault/backup"} {
		hasNot(t, out, `zfs_dataset_used_bytes{source="default",name="`+name+`"`)
	}
	// The pool's own dataset tells how full it is, shown or not.
	has(t, out, "zfs_pool_usable_used_ratio", `,pool="tank"`, "0.24217341496394232")
	for _, line := range h.Commands() {
		if strings.Contains(line, "creation") && (strings.Contains(line, "tank/vm") || strings.Contains(line, "vault/")) {
			t.Errorf("asked for what is excluded: %s", line)
		}
	}
}

func TestExpectations(t *testing.T) {
	out, err := run(t, host(t, []string{"healthy_snaps"}), `snapshots:
- {datasets: "tank/data/**", names: "autosnap_*_hourly", max_age: 2h}
- {datasets: "tank/scratch", max_age: 1d}
- {datasets: "tank/gone", max_age: 1d}`)
	if err != nil {
		t.Fatal(err)
	}
	has(t, out, "zfs_snapshot_rule_datasets", `,datasets="tank/data/**",names="autosnap_*_hourly"`, "3")
	has(t, out, "zfs_snapshot_rule_datasets", `,datasets="tank/gone",names="*"`, "0")
	// 2025-10-23 23:00:01, and not the syncoid snapshot 45 minutes later.
	has(t, out, "zfs_dataset_snapshot_due_timestamp_seconds", `,name="tank/data/home/alice",pool="tank",type="filesystem",names="autosnap_*_hourly"`, "1.761267601e+09")
	has(t, out, "zfs_dataset_snapshot_newest_timestamp_seconds", `,name="tank/data/home/alice",pool="tank",type="filesystem"`, "1.7612631e+09")
	// Never snapshot: counted from its creation.
	has(t, out, "zfs_dataset_snapshot_due_timestamp_seconds", `,name="tank/scratch",pool="tank",type="filesystem",names="*"`, "1.761037217e+09")
}

// A snapshot that a wrong clock dated into the future does not postpone what is expected.
func TestFutureSnapshot(t *testing.T) {
	d := &dataset{name: "p/a", creation: 100, rules: []*expectation{{names: "*", maxAge: time.Minute}}}
	err := addSnapshots([]byte("p/a@x\t1000\np/a@y\t9000\n"), map[string]*dataset{"p/a": d}, 2000)
	if due := d.rules[0].due(d); err != nil || due != 1060 || d.newest != 9000 || d.snapshots != 2 {
		t.Errorf("err %v, due %d, newest %d, %d snapshots", err, due, d.newest, d.snapshots)
	}
}

func TestSanoid(t *testing.T) {
	out, err := run(t, host(t, []string{"healthy_snaps"}), "sanoid_config: testdata/sanoid/sanoid.conf")
	if err != nil {
		t.Fatal(err)
	}
	has(t, out, "zfs_dataset_snapshot_due_timestamp_seconds", `,name="tank/data",pool="tank",type="filesystem",names="autosnap_*_hourly"`, "1.761265801e+09") // 90m later
	has(t, out, "zfs_snapshot_rule_datasets", `,datasets="tank/data",names="autosnap_*"`, "1")
	has(t, out, "zfs_snapshot_rule_datasets", `,datasets="gone/data",names="autosnap_*"`, "0")
	hasNot(t, out, `zfs_dataset_snapshot_due_timestamp_seconds{source="default",name="tank/vm"`)
	has(t, out, "zfs_sanoid_config_success", "", "1")

	out, err = run(t, host(t, []string{"healthy_snaps"}), "sanoid_config: /nonexistent/sanoid.conf")
	if err != nil {
		t.Fatal(err)
	}
	has(t, out, "zfs_sanoid_config_success", "", "0")
	has(t, out, "zfs_pool_clean", `,pool="tank"`, "1")
}

// ZFS forgets the last scrub when a resilver starts; the state does not.
func TestScrubIsRemembered(t *testing.T) {
	h := host(t, []string{"scrub_finished", "healthy_snaps"})
	s, first := make1(t, h, "{}")
	out, err := collectortest.Collect(t, s, first)
	if err != nil {
		t.Fatal(err)
	}
	const last = "1.761438247e+09" // Sun Oct 26 00:24:07 2025
	has(t, out, "zfs_pool_last_scrub_timestamp_seconds", `,pool="tank"`, last)

	h.Use([]string{"resilver_finished", "scrub_finished", "healthy_snaps"})
	_, restarted := make1(t, h, "{}")
	restarted.env = first.env
	out, err = collectortest.Collect(t, s, restarted)
	if err != nil {
		t.Fatal(err)
	}
	has(t, out, "zfs_pool_scan_state", `,pool="tank",function="resilver",state="finished"`, "1")
	has(t, out, "zfs_pool_last_scrub_timestamp_seconds", `,pool="tank"`, last)
	has(t, out, "zfs_pool_scrub_due_timestamp_seconds", `,pool="tank"`, "1.764894247e+09")

	// Without that memory nothing is claimed, and the time counts from now.
	out, err = run(t, h, "{}")
	if err != nil {
		t.Fatal(err)
	}
	hasNot(t, out, `zfs_pool_last_scrub_timestamp_seconds{source="default",pool="tank"`)
	has(t, out, "zfs_pool_scrub_due_timestamp_seconds", `,pool="tank"`, "1.7656272e+09")
}

// go-zfs as a second opinion on datasets, where it can give one.
func TestAgreesWithGoZFS(t *testing.T) {
	host(t, []string{"healthy_snaps"})
	theirs, err := gozfs.Datasets("")
	if err != nil {
		t.Fatal(err)
	}
	s := collectortest.Load(t, Definition(), "{}")[0]
	c, _ := s.New(env(t))
	var ours []*dataset
	for _, pool := range []string{"tank", "vault"} {
		some, err := c.(*Collector).filesystems(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, some...)
	}
	compared := 0
	for _, their := range theirs {
		i := slices.IndexFunc(ours, func(d *dataset) bool { return d.name == their.Name })
		if their.Type == gozfs.DatasetSnapshot || their.Type == "bookmark" {
			continue
		}
		if i < 0 {
			t.Errorf("%s is missing", their.Name)
			continue
		}
		for what, pair := range map[string]struct {
			ours   *float64
			theirs uint64
		}{
			"used": {ours[i].used, their.Used}, "available": {ours[i].available, their.Avail},
			"referenced": {ours[i].referenced, their.Referenced}, "written": {ours[i].written, their.Written},
			"volsize": {ours[i].volsize, their.Volsize}, "quota": {ours[i].quota, their.Quota},
		} {
			compared++
			if pair.ours == nil { // they cannot tell "unknown" from 0
				if pair.theirs != 0 {
					t.Errorf("%s: %s: unknown to us, %d to them", their.Name, what, pair.theirs)
				}
			} else if uint64(*pair.ours) != pair.theirs {
				t.Errorf("%s: %s: %v, they say %d", their.Name, what, *pair.ours, pair.theirs)
			}
		}
	}
	if compared < 6*15 {
		t.Errorf("only %d values compared", compared)
	}
}

// Why go-zfs is not what this collector is built on.
func TestGoZFSTraps(t *testing.T) {
	host(t, []string{"weird_names"})
	if _, err := gozfs.Datasets("weird"); err == nil {
		t.Error("a mountpoint with a tab does not break go-zfs any more")
	}
	dir := t.TempDir()
	script := "#!/bin/sh\nprintf 'p\\t-\\t-\\t-\\tnone\\toff\\tfilesystem\\t-\\t-\\t-\\t-\\t-\\t-\\n'\n"
	if err := os.WriteFile(filepath.Join(dir, "zfs"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	d, err := gozfs.GetDataset("p")
	if err != nil || d.Avail != 0 {
		t.Errorf("unknown is not 0 to go-zfs any more: %+v, %v", d, err)
	}
	var asError *gozfs.Error
	t.Setenv("PATH", "/nonexistent")
	if _, err := gozfs.Datasets("p"); !errors.As(err, &asError) {
		t.Errorf("got %v", err)
	}
}

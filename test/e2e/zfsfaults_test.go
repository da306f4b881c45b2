package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/collectors/zfs/zfstest"
)

// editedZFS is a folder for PATH whose zpool and zfs answer as those of a zfstest.Host, except
// for what a sed script changes: states that no recording has.
type editedZFS struct {
	bin string
	t   *testing.T
}

func newEditedZFS(t *testing.T, host *zfstest.Host) *editedZFS {
	t.Helper()
	e := &editedZFS{t.TempDir(), t}
	for _, name := range []string{"zpool", "zfs"} {
		e.write(name, fmt.Sprintf("#!/bin/sh\nanswer=$(%q \"$@\")\ncode=$?\n[ -z \"$answer\" ] || printf '%%s\\n' \"$answer\" | sed -f %q\nexit $code\n",
			filepath.Join(host.Bin, name), filepath.Join(e.bin, name+".sed")))
	}
	e.answerAs("zpool", "")
	e.answerAs("zfs", "")
	return e
}

// answerAs changes what a command answers from now on; empty: as it was recorded.
func (e *editedZFS) answerAs(command, script string) {
	e.t.Helper()
	e.write(command+".sed", script)
}

// write replaces a file atomically: a command may be starting right now.
func (e *editedZFS) write(name, content string) {
	e.t.Helper()
	path := filepath.Join(e.bin, name)
	if err := os.WriteFile(path+".new", []byte(content), 0o700); err != nil {
		e.t.Fatal(err)
	}
	rename(e.t, path+".new", path)
}

// TestZFSFaults: a pool that stays online without its cache; no scrub since it was first seen; a
// dataset that was renamed, then sanoid's policy that is gone; a zfs that hangs while zpool answers.
func TestZFSFaults(t *testing.T) {
	t.Parallel()
	replay, err := zfstest.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	host := zfstest.New(t, replay)
	recorded := []string{"exotic_vdevs"}
	host.Use(recorded)
	edited := newEditedZFS(t, host)
	sanoid := filepath.Join(edited.bin, "sanoid.conf")
	const policy = "[big]\nuse_template = none\n[template_none]\nmonitor = no\n"
	havePolicy := func() { edited.write("sanoid.conf", policy) }
	havePolicy()
	// The recordings are old: what is expected has to be older still.
	config := fmt.Sprintf("zfs:\n  interval: 1s\n  timeout: 2s\n  scrub_max_age: 50y\n"+
		"  sanoid_config: %s\n  snapshots: [{datasets: big/dd, max_age: 50y}]\n", sanoid)
	h := New(t, Options{
		Env:    []string{"PATH=" + edited.bin + ":" + os.Getenv("PATH")},
		Rules:  []string{"storage_alerts", "exporter"},
		Scale:  600, // an hour takes 6 s
		Config: config,
		Fakes:  map[string]string{"ZFS": "zpool and zfs (recorded output, edited)"},
	})
	h.waitValue(`zfs_snapshot_rule_datasets{datasets="big/dd"}`, 1)
	pool := map[string]string{"pool": "big"}
	h.oneAfterTheOther(nil,
		fault{
			cause: func() { edited.answerAs("zpool", `s/\("class":"l2cache","state":\)"ONLINE"/\1"UNAVAIL"/`) },
			mend:  func() { edited.answerAs("zpool", "") },
			alerts: []Alert{{"ZFSDeviceUnavailable", map[string]string{
				"pool": "big", "class": "cache", "vdev": "scsi-0QEMU_QEMU_HARDDISK_C1", "state": "unavail",
			}}},
		},
		fault{
			cause:  func() { h.Reload(strings.Replace(config, "scrub_max_age: 50y", "scrub_max_age: 5s", 1)) },
			mend:   func() { h.Reload(config) },
			alerts: []Alert{{"ZFSScrubOverdue", pool}},
		},
		fault{
			cause:  func() { edited.answerAs("zfs", "s:^big/dd:big/renamed:") },
			mend:   func() { edited.answerAs("zfs", "") },
			alerts: []Alert{{"ZFSSnapshotRuleUnmatched", map[string]string{"datasets": "big/dd"}}},
		},
		fault{
			cause:  func() { rename(t, sanoid, sanoid+".gone") },
			mend:   havePolicy,
			alerts: []Alert{{"ZFSSnapshotRuleUnmatched", map[string]string{"datasets": ""}}},
		},
		fault{
			cause:  func() { host.Use(recorded, zfstest.HangZFS) },
			mend:   func() { host.Use(recorded) },
			alerts: []Alert{{"ZFSDatasetsUnreadable", pool}},
		},
	)
}

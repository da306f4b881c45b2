package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/restic/restictest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// resticSources are real repositories and the configuration that watches them.
type resticSources struct {
	t      *testing.T
	config string
	caches map[string]string
}

func newResticSources(t *testing.T) *resticSources {
	return &resticSources{t, "restic:\n  interval: 2s\n  timeout: 1m\n  sources:\n", map[string]string{}}
}

// add makes an empty repository; more is further configuration of its source.
func (s *resticSources) add(name, binary, format, more string) *restictest.Repository {
	s.t.Helper()
	r := restictest.New(s.t, binary, format)
	s.caches[name] = filepath.Join(s.t.TempDir(), "cache")
	s.config += fmt.Sprintf("    - {name: %s, location: %s, password_file: %s, binary: %s, cache_dir: %s%s}\n",
		name, r.Dir, r.PasswordFile, binary, s.caches[name], more)
	return r
}

func somethingToLose() []byte { return []byte(strings.Repeat("something to lose.\n", 10_000)) }

func forget(r *restictest.Repository, ids ...string) { r.Run(append([]string{"forget"}, ids...)...) }

// added returns the snapshot that do makes.
func added(t *testing.T, r *restictest.Repository, do func()) string {
	t.Helper()
	before := strings.Join(r.Snapshots(), " ")
	do()
	for _, id := range r.Snapshots() {
		if !strings.Contains(before, id) {
			return id
		}
	}
	t.Fatal("no snapshot was added")
	return ""
}

// TestResticSnapshotFaults: the only snapshot of a host and one of the days that were to be kept are
// forgotten; sizes that cannot be read; a repository that no backup ever came to.
func TestResticSnapshotFaults(t *testing.T) {
	t.Parallel()
	sources, now := newResticSources(t), time.Now()
	debian, trixie := restictest.Debian(t), restictest.Trixie(t)
	hosts := sources.add("Hosts", debian, "v1", ", expect: [{host: laptop, max_age: 50h}]")
	hosts.Backup("vulcan", now, somethingToLose())
	laptop := added(t, hosts, func() { hosts.Backup("laptop", now, somethingToLose()) })
	kept := sources.add("Kept", trixie, "v2", ", retention: {keep_daily: 4}")
	daysAgo := func(n int) func() {
		return func() { kept.Backup("vulcan", now.Add(-time.Duration(n)*24*time.Hour), somethingToLose()) }
	}
	daysAgo(4)()
	daysAgo(1)()
	daysAgo(0)()
	third := added(t, kept, daysAgo(2))
	sized := sources.add("Sized", trixie, "v2", "")
	sized.Backup("vulcan", now, somethingToLose())
	more := added(t, sized, func() { sized.Backup("other", now, somethingToLose()) })
	watched := sources.config
	never := sources.add("Never", debian, "v2", "")

	h := New(t, Options{
		Config:  watched,
		Rules:   []string{"storage_alerts", "exporter"},
		Scale:   12000, // 26 h take 7.8 s
		Replace: map[string]string{"7 * 86400": "4"},
		Fakes:   map[string]string{"ResticFirstSnapshotMissing": "the week, 4 s"},
	})
	h.waitValue(`sum(restic_stats_success)`, 3)
	h.oneAfterTheOther(nil,
		fault{
			cause: func() {
				forget(hosts, laptop)
				forget(kept, third)
			},
			mend: func() {
				hosts.Backup("laptop", time.Now(), somethingToLose())
				daysAgo(2)()
			},
			alerts: []Alert{
				{"ResticExpectedSnapshotMissing", map[string]string{"repository": "Hosts", "host": "laptop"}},
				{"ResticRetentionNotMet", map[string]string{"repository": "Kept", "host": "vulcan", "rule": "daily"}},
			},
		},
		fault{
			cause: func() { // folders cannot be read, and the set of snapshots is another one
				rename(t, filepath.Join(sized.Dir, "data"), filepath.Join(sized.Dir, "data.gone"))
				if err := os.RemoveAll(sources.caches["Sized"]); err != nil {
					t.Fatal(err)
				}
				forget(sized, more)
			},
			mend:   func() { rename(t, filepath.Join(sized.Dir, "data.gone"), filepath.Join(sized.Dir, "data")) },
			alerts: []Alert{{"ResticStatsFailing", map[string]string{"repository": "Sized"}}},
		},
		fault{
			cause:  func() { h.Reload(sources.config) },
			mend:   func() { never.Backup("vulcan", time.Now(), somethingToLose()) },
			alerts: []Alert{{"ResticFirstSnapshotMissing", map[string]string{"repository": "Never"}}},
		},
	)
}

// TestResticProofFaults: a file that cannot be restored; a backup that does not end and keeps checks
// from proving anything; a newest snapshot without a file that could be restored.
func TestResticProofFaults(t *testing.T) {
	t.Parallel()
	sources := newResticSources(t)
	drilled := sources.add("Drilled", restictest.Debian(t), "v1", ", restore_drill: {interval: 3s}")
	checked := sources.add("Checked", restictest.Trixie(t), "v2", ", check: {interval: 3s, parts: 1}")
	drilled.Backup("vulcan", time.Now(), somethingToLose())
	checked.Backup("vulcan", time.Now(), somethingToLose())
	h := New(t, Options{
		Config: sources.config,
		Rules:  []string{"storage_alerts", "exporter"},
		Scale:  1000, // 65 m take 3.9 s
	})
	h.waitValue(`restic_restore_drill_success{repository="Drilled"}`, 1)
	h.waitValue(`restic_integrity_check_success{repository="Checked"}`, 1)
	var mend, end func()
	of := func(name string) map[string]string { return map[string]string{"repository": name} }
	h.oneAfterTheOther(nil,
		fault{
			cause: func() { mend = drilled.Damage() },
			mend: func() {
				mend()
				h.waitValue(`restic_restore_drill_success{repository="Drilled"}`, 1) // before drills prove nothing
			},
			alerts: []Alert{{"ResticRestoreDrillFailed", of("Drilled")}},
		},
		fault{
			cause: func() {
				end = endlessBackup(t, checked)
				drilled.Backup("vulcan", time.Now(), nil)
			},
			mend: func() {
				end()
				drilled.Backup("vulcan", time.Now(), somethingToLose())
			},
			alerts: []Alert{{"ResticIntegrityCheckStale", of("Checked")}, {"ResticRestoreDrillStale", of("Drilled")}},
		},
	)
}

// endlessBackup starts a backup of a pipe, which holds a lock until the pipe's end.
func endlessBackup(t *testing.T, r *restictest.Repository) (end func()) {
	t.Helper()
	cmd := r.Command("backup", "--quiet", "--stdin", "--host", "slow")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	process := testenv.Start(t, cmd)
	testenv.Eventually(t, Limit, func() error {
		if len(r.Locks()) == 0 {
			return errors.Join(errors.New("no lock yet"), process.Exited())
		}
		return nil
	})
	return func() {
		_, err := stdin.Write(somethingToLose())
		if err := errors.Join(err, stdin.Close()); err != nil {
			t.Fatal(err)
		}
		if err := process.Wait(t, Limit); err != nil {
			t.Fatal(err)
		}
	}
}

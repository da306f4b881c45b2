package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/restic/restictest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// Real repositories, each with a fault of its own: one that is removed, one
// whose snapshot ages out, one whose bits flip, one that hangs, one with a lock
// left behind. Each gives its own alert, and the sound one beside them none.
func TestRestic(t *testing.T) {
	repos := map[string]*restictest.Repository{}
	var sources strings.Builder
	add := func(name, binary, format, more string) *restictest.Repository {
		r := restictest.New(t, binary, format)
		r.Backup("vulcan", time.Now(), []byte(strings.Repeat(name+" has something to lose.\n", 10_000)))
		repos[name] = r
		fmt.Fprintf(&sources, "    - {name: %s, location: %s, password_file: %s, binary: %s, cache_dir: %s, locks_interval: 1s%s}\n",
			name, r.Dir, r.PasswordFile, binary, filepath.Join(t.TempDir(), "cache"), more)
		return r
	}
	debian, trixie := restictest.Debian(t), restictest.Trixie(t)
	add("Sound", debian, "v1", ", check: {interval: 2s, parts: 1}, restore_drill: {interval: 2s}")
	removed := add("Removed", trixie, "v2", "")
	aged := add("Aged", debian, "v2", ", max_age: 20s")
	damaged := add("Damaged", trixie, "v2", ", check: {interval: 2s, parts: 1}")
	hanging := add("Hanging", debian, "v1", ", timeout: 2s")
	locked := add("Locked", trixie, "v2", "")
	emptied := add("Emptied", debian, "v2", "")
	config := "restic:\n  interval: 4s\n  timeout: 1m\n  sources:\n" + sources.String()
	tmp := t.TempDir()
	h := New(t, Options{
		Env:   []string{"TMPDIR=" + tmp},
		Rules: []string{"storage_alerts", "exporter"},
		// 10 m take a second, and an hour 6 s. No source is slower than that but
		// the one that hangs.
		Scale:  600,
		Config: config,
	})
	repository := func(name string) map[string]string { return map[string]string{"repository": name} }
	recent := func() { aged.Backup("vulcan", time.Now(), []byte("again")) }

	// What ages out by itself: a new snapshot resolves it.
	old := Alert{"ResticNoRecentSnapshot", repository("Aged")}
	h.WaitFiring(old.Name, old.Labels)
	h.ExactlyFiring(old)
	h.Reload(strings.Replace(config, "max_age: 20s", "max_age: 1h", 1))
	recent()
	h.WaitResolved(old.Name, old.Labels)

	away := func(path, alert, name string) fault {
		return fault{
			cause:  func() { rename(t, path, path+".gone") },
			mend:   func() { rename(t, path+".gone", path) },
			alerts: []Alert{{alert, repository(name)}},
		}
	}
	keys, err := filepath.Glob(filepath.Join(hanging.Dir, "keys", "*"))
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	hang := func() {
		rename(t, keys[0], keys[0]+".gone")
		if err := syscall.Mkfifo(keys[0], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A key that cannot be read to its end hangs restic; the others go on.
	hangs := away(keys[0], "ResticCheckFailed", "Hanging")
	hangs.cause = func() {
		const others = `min(restic_last_listing_timestamp_seconds{repository!="Hanging"})`
		before := h.Query(others)[0].Value
		hang()
		testenv.Eventually(t, Limit, func() error {
			if now := h.Query(others); len(now) != 1 || now[0].Value < before+8 {
				return fmt.Errorf("the other repositories are not listed any more: %v", now)
			}
			return nil
		})
	}
	var mend func()
	h.oneAfterTheOther([]Alert{old},
		away(removed.Dir, "ResticCheckFailed", "Removed"),
		fault{
			cause:  func() { mend = damaged.Damage() },
			mend:   func() { mend() },
			alerts: []Alert{{"ResticIntegrityCheckFailed", repository("Damaged")}},
		},
		fault{
			cause:  func() { mend = locked.StaleLock() },
			mend:   func() { mend() },
			alerts: []Alert{{"ResticStaleLock", repository("Locked")}},
		},
		fault{ // all snapshots forgotten, by a filter that was meant for others
			cause:  func() { forget(emptied, emptied.Snapshots()...) },
			mend:   func() { emptied.Backup("vulcan", time.Now(), []byte("again")) },
			alerts: []Alert{{"ResticNoSnapshots", repository("Emptied")}},
		},
		hangs,
	)
	proven := h.Query(`restic_integrity_check_success{repository="Sound"} + restic_restore_drill_success{repository="Sound"}`)
	if len(proven) != 1 || proven[0].Value != 2 {
		t.Errorf("the sound repository is not proven sound: %v", proven)
	}

	// Killed amid a call: restic dies with the exporter, and nothing is left.
	hang()
	testenv.Eventually(t, Limit, func() error { return running(hanging, true) })
	if err := h.Exporter.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = h.Exporter.Wait(t, Limit)
	for name, r := range repos {
		testenv.Eventually(t, Limit, func() error { return running(r, false) })
		if locks := r.Locks(); len(locks) > 0 {
			t.Errorf("%s: locks %v", name, locks)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left in TMPDIR: %v, %v", left, err)
	}
}

// A repository that grows by more than a quarter within a day, here 29 seconds. 10 GiB are made 10
// MiB in the rule.
func TestResticGrowth(t *testing.T) {
	t.Parallel()
	r := restictest.New(t, restictest.Debian(t), "v1")
	random := rand.NewChaCha8([32]byte{1})
	content := func(size int) []byte {
		b := make([]byte, size)
		_, _ = random.Read(b)
		return b
	}
	r.Backup("vulcan", time.Now(), content(20<<20))
	h := New(t, Options{
		Rules:   []string{"storage_alerts", "exporter"},
		Scale:   3000,
		Replace: map[string]string{"10 * 2 ^ 30": "10 * 2 ^ 20"},
		Fakes:   map[string]string{"ResticRepositorySizeGrowing": "the amount, 10 MiB for 10 GiB"},
		Config: fmt.Sprintf("restic:\n  interval: 2s\n  timeout: 1m\n  sources: [{name: Grows, location: %s, password_file: %s, cache_dir: %s}]\n",
			r.Dir, r.PasswordFile, filepath.Join(t.TempDir(), "cache")),
	})
	testenv.Eventually(t, Limit, func() error {
		if got := h.Query(`restic_repo_size_bytes offset 29s`); len(got) != 1 {
			return fmt.Errorf("no size from before a day: %v", got)
		}
		return nil
	})
	h.ExactlyFiring()
	r.Backup("vulcan", time.Now(), content(30<<20))
	grows := Alert{"ResticRepositorySizeGrowing", map[string]string{"repository": "Grows"}}
	h.WaitFiring(grows.Name, grows.Labels)
	h.ExactlyFiring(grows)
	h.WaitResolved(grows.Name, grows.Labels) // by itself, a day later
	h.ExactlyFired(grows)
}

// running tells by an error where the exporter does not have a restic running
// on a repository, or still has one.
func running(repo *restictest.Repository, want bool) error {
	found := false
	paths, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range paths {
		env, _ := os.ReadFile(path)
		found = found || strings.Contains(string(env), "RESTIC_REPOSITORY="+repo.Dir+"\x00")
	}
	if found != want {
		return fmt.Errorf("restic runs on %s: %v", repo.Dir, found)
	}
	return nil
}

package e2e

import (
	"archive/tar"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// Backups on disk, a recorder in a real PostgreSQL and an API that goes away: the alert of each
// fault, and no other.
func TestHomeAssistant(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	recorder := testenv.StartPostgres(t)
	recorder.Exec(t, "postgres",
		`CREATE TABLE states_meta (metadata_id bigint PRIMARY KEY, entity_id text)`,
		`CREATE TABLE states (state_id bigserial PRIMARY KEY, metadata_id bigint, state text, last_updated_ts float8)`,
		`CREATE INDEX ON states (last_updated_ts)`,
		`CREATE TABLE schema_changes (change_id bigserial PRIMARY KEY, schema_version int)`,
		`INSERT INTO schema_changes (schema_version) VALUES (48)`,
		`INSERT INTO states_meta VALUES (1, 'sun.sun')`,
		// Rules run faster than the clock: what is recorded is ahead of it.
		`INSERT INTO states (metadata_id, state, last_updated_ts) VALUES (1, 'a', extract(epoch FROM now()) + 86400)`)
	var down atomic.Bool
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, `{"version":"2026.10.1","state":"RUNNING"}`)
	}))
	t.Cleanup(api.Close)
	good := filepath.Join(dir, "good.tar")
	packBackup(t, good, time.Now().Add(24*time.Hour))
	config := t.TempDir()
	if err := os.Mkdir(filepath.Join(config, ".storage"), 0o755); err != nil {
		t.Fatal(err)
	}
	backedUp := func(completed time.Duration) {
		text := fmt.Sprintf(`{"data":{"config":{"last_attempted_automatic_backup":%q,"last_completed_automatic_backup":%q,"schedule":{"recurrence":"never"}}}}`,
			time.Now().Format(time.RFC3339), time.Now().Add(completed).Format(time.RFC3339))
		if err := os.WriteFile(filepath.Join(config, ".storage", "backup"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	backedUp(time.Minute)
	h := New(t, Options{
		Rules: []string{"home_assistant_alerts", "exporter"},
		Config: fmt.Sprintf("\nhomeassistant:\n  interval: 1s\n  timeout: 15s\n  backups: [%s]\n  config_dir: %s\n  recorder_dsn: %q\n  url: %s\n  token_file: %s\n",
			dir, config, recorder.DSN("postgres"), api.URL, writeSecret(t, "token", "t0ken")),
		Scale: 600, // 3 hours are 18 s
		Fakes: map[string]string{"HomeAssistant": "Home Assistant's API, backups and tables"},
	})
	h.ExactlyFiring()
	var fired []Alert
	fault := func(name string, labels map[string]string, broken, repair func()) {
		t.Helper()
		broken()
		a := Alert{name, labels}
		h.WaitFiring(a.Name, a.Labels)
		h.ExactlyFiring(a)
		repair()
		h.WaitResolved(a.Name, a.Labels)
		fired = append(fired, a)
	}
	part := func(name string) map[string]string { return map[string]string{"part": name} }

	fault("HomeAssistantDown", nil, func() { down.Store(true) }, func() { down.Store(false) })
	fault("HomeAssistantNotFullyObserved", part("recorder"), recorder.Stop, func() { recorder.Start(t) })
	bad := filepath.Join(dir, "bad.tar")
	fault("HomeAssistantBackupDamaged", nil, func() { writeFile(t, bad, "cut") }, func() { remove(t, bad) })
	fault("HomeAssistantBackupStale", nil,
		func() { packBackup(t, good, time.Now().Add(-73*time.Hour)) },
		func() { packBackup(t, good, time.Now().Add(24*time.Hour)) })
	fault("HomeAssistantBackupMissing", nil, func() { remove(t, good) }, func() { packBackup(t, good, time.Now().Add(24*time.Hour)) })
	fault("HomeAssistantNotRecording", nil,
		func() {
			recorder.Exec(t, "postgres", `UPDATE states SET last_updated_ts = extract(epoch FROM now()) - 7200`)
		},
		func() {
			recorder.Exec(t, "postgres", `UPDATE states SET last_updated_ts = extract(epoch FROM now()) + 86400`)
		})
	fault("HomeAssistantBackupFailed", nil, func() { backedUp(-time.Hour) }, func() { backedUp(time.Minute) })
	// The table gives way to a view that takes its time: a database on a slow disk, and one so
	// slow that the read is given up.
	for _, pause := range []string{"0.9", "600"} {
		fault("HomeAssistantDatabaseSlow", nil,
			func() {
				recorder.Exec(t, "postgres", `ALTER TABLE states_meta RENAME TO fast`,
					`CREATE VIEW states_meta AS SELECT fast.* FROM fast, LATERAL (SELECT pg_sleep(`+pause+` + metadata_id * 0.3)) AS slow`)
			},
			func() {
				recorder.Exec(t, "postgres", `DROP VIEW states_meta`, `ALTER TABLE fast RENAME TO states_meta`)
			})
	}
	h.ExactlyFiring()
	h.ExactlyFired(fired...)
}

func packBackup(t *testing.T, path string, date time.Time) {
	t.Helper()
	file, err := os.Create(path + ".part")
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(file)
	text := fmt.Sprintf(`{"slug":"a","date":%q,"homeassistant":{"version":"2026.10.1"}}`, date.Format(time.RFC3339))
	for _, member := range [][2]string{{"./backup.json", text}, {"./homeassistant.tar.gz", "x"}} {
		if err := w.WriteHeader(&tar.Header{Name: member[0], Size: int64(len(member[1])), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, member[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	rename(t, path+".part", path)
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

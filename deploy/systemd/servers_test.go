package systemd_test

import (
	"archive/tar"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // as the recorder writes

	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/collectors/zfs/zfstest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
	"vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

// servers are what collectors ask, as they are before the exporter is granted anything.
type servers struct {
	*host
	postgres *testenv.Postgres
	redis    *testenv.Redis
	firewall *testenv.OPNsense
	dns      *technitiumtest.Server
	loki     *testenv.Loki
	proxy    string // URL of LiteLLM's
	home     string // URL of Home Assistant's
}

// Secrets of the exporter, each in the credential that examples/credentials.conf names.
const (
	databasePassword = "password of the role"
	redisPassword    = "password-of-the-user"
	proxyKey         = "sk-of-the-proxy"
	homeToken        = "token of the home"
)

func serve(t *testing.T) *servers {
	t.Helper()
	s := &servers{host: install(t)}
	s.pools()
	s.database()
	s.redis = testenv.StartRedis(t)
	s.firewall = testenv.StartOPNsense(t, "25.7.8", testenv.OPNsenseOptions{})
	s.file("/etc/vulcan_exporter/firewall.pem", read(t, s.firewall.CAFile))
	s.dns = technitiumtest.Start(t, technitiumtest.Options{})
	s.loki = testenv.StartLoki(t, testenv.LokiOptions{})
	s.proxy = bearer(t, proxyKey, `{"status":"healthy","litellm_version":"1.80.0"}`)
	s.home = bearer(t, homeToken, `{"version":"2026.10.1","state":"RUNNING"}`)
	s.homeFolder()
	return s
}

// bearer answers who knows the token.
func bearer(t *testing.T, token, answer string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// What LiteLLM tells to anybody is that it lives and is ready.
		if open := r.URL.Path == "/health/liveliness" || r.URL.Path == "/health/readiness"; open {
			_, _ = io.WriteString(w, `{"status":"healthy"}`)
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, "401: Unauthorized", http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// logs shows what a unit wrote, if the test fails: this host has no journal.
func (s *servers) logs(unit string) {
	s.t.Helper()
	file := filepath.Join(s.Dir, unit+".log")
	s.WriteUnit(unit+".d/log.conf", "[Service]\nStandardError=append:"+file+"\n")
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("log of %s:\n%s", unit, read(s.t, file))
		}
	})
}

// database runs PostgreSQL as a service of the host: for peer authentication it has to know the
// host's users. pg_hba.conf is Debian's; the superuser's own way in is the test's.
func (s *servers) database() {
	s.t.Helper()
	s.postgres = testenv.NewPostgres(s.t)
	p := s.postgres
	s.postgres.File(s.t, "data/pg_hba.conf", "local all postgres trust\nlocal all all peer\nhost all all 127.0.0.1/32 scram-sha-256\n")
	s.WriteUnit("postgresql.service", fmt.Sprintf(`[Service]
Type=notify
User=postgres
RuntimeDirectory=postgresql
ExecStart=/bin/sh -c 'exec "$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)/postgres" -D %[1]s/data -p %[2]d -h 127.0.0.1 -k %[1]s,/run/postgresql -c dynamic_shared_memory_type=mmap -c shared_buffers=32MB -c fsync=off'
`, p.Dir, p.Port))
	s.Systemctl("daemon-reload")
	s.Systemctl("start", "postgresql.service")
	litellmtest.Create(s.t, p, litellmtest.Current)
	litellmtest.Fill(s.t, p, 100)
	p.Conn(s.t, litellmtest.Database) // a session of somebody else
}

// homeFolder is Home Assistant's, at /srv/hass: its recorder writes to SQLite while it is read.
func (s *servers) homeFolder() {
	s.t.Helper()
	dir := filepath.Join(s.Dir, "hass")
	write(s.t, filepath.Join(dir, ".storage/backup"), `{"data":{"config":{"schedule":{"recurrence":"daily"}}}}`)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, member := range [][2]string{
		{"./backup.json", `{"slug":"a","date":"2026-10-01T04:00:00+00:00","homeassistant":{"version":"2026.10.1"}}`},
		{"./homeassistant.tar.gz", "x"},
	} {
		_ = w.WriteHeader(&tar.Header{Name: member[0], Size: int64(len(member[1])), Mode: 0o600}) // a Buffer takes all
		_, _ = io.WriteString(w, member[1])
	}
	_ = w.Close()
	write(s.t, filepath.Join(dir, "backups/a.tar"), archive.String())

	db, err := sql.Open("sqlite", filepath.Join(dir, "home-assistant_v2.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		`PRAGMA journal_mode = WAL`,
		`CREATE TABLE states_meta (metadata_id INTEGER PRIMARY KEY, entity_id TEXT)`,
		`CREATE TABLE states (state_id INTEGER PRIMARY KEY, metadata_id INTEGER, state TEXT, last_updated_ts FLOAT)`,
		`CREATE TABLE schema_changes (change_id INTEGER PRIMARY KEY, schema_version INTEGER)`,
		`INSERT INTO schema_changes (schema_version) VALUES (48)`,
		`INSERT INTO states_meta VALUES (1, 'sun.sun')`,
		`INSERT INTO states VALUES (4711, 1, 'above_horizon', 1790000000)`,
	} {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			s.t.Fatalf("%v in: %s", err, statement)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "home-assistant_v2.db-shm")); err != nil {
		s.t.Fatal(err) // not as a recorder that runs
	}
	s.run(`printf '%s\n' 'u hass - "" /srv/hass' | systemd-sysusers -; mkdir /srv/hass; mount -n --bind "$1" /srv/hass; chown -R hass:hass /srv/hass; chmod -R u=rwX,g=rX,o= /srv/hass`, dir)
}

// asOpenZFS answers as zpool(8) and zfs(8) do where they may not see the pools: without the
// device (libzfs_init(3)), and since OpenZFS 2.2 in a user namespace, whose pools are those that
// were given to it with zfs-zone(8): none, and that is no error.
const asOpenZFS = `#!/bin/sh
if ! (: <>/dev/zfs) 2>/dev/null; then
	echo '/dev/zfs and /proc/self/mounts are required.' >&2
	exit 1
fi
read -r inside outside count </proc/self/uid_map
if [ "$inside $outside $count" != '0 0 4294967295' ]; then
	[ "$1" != status ] || echo '{"output_version":{"command":"zpool status","vers_major":0,"vers_minor":1},"pools":{}}'
	exit 0
fi
exec /srv/zfs/replay /srv/zfs/scrub_finished.txtar /srv/zfs/healthy_snaps.txtar -- "${0##*/}" "$@"
`

// pools replays OpenZFS on the host. The device that stands for ZFS' is FUSE's: one that anybody
// may open and that DevicePolicy=closed does not have.
func (s *servers) pools() {
	s.t.Helper()
	replay, err := zfstest.Build(s.t.TempDir())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{"zpool", "zfs"} {
		s.file("/usr/bin/"+name, asOpenZFS)
	}
	s.run(`
chmod 0755 /usr/bin/zpool /usr/bin/zfs
install -D --target-directory=/srv/zfs $2 $3/scrub_finished.txtar $3/healthy_snaps.txtar
dev=$1/layer/dev
mkdir $dev && mount -n -t tmpfs -o mode=755 tmpfs $dev
cp -a /dev/{null,zero,full,random,urandom,tty,ptmx,fd,stdin,stdout,stderr} $dev/
mkdir $dev/shm $dev/pts && touch $dev/console && mount -n --bind $1/console.log $dev/console
mknod -m 0666 $dev/zfs c 10 229
: <>$dev/zfs # fails where the kernel has no FUSE
mount -n --bind $dev /dev
`, s.Dir, replay, filepath.Join(testenv.Root(s.t), "collectors/zfs/testdata/recordings"))
}

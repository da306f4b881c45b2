package lab

import (
	"archive/tar"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const (
	stopSignal = syscall.SIGSTOP
	contSignal = syscall.SIGCONT
)

// Roles of the exporter, with passwords that are found nowhere else.
const (
	databasePassword = "kanarie-postgres-4711"
	redisPassword    = "kanarie-redis-4712"
	litellmKey       = "sk-kanarie-litellm-4713"
	homeToken        = "kanarie-home-assistant-4714"
	resticPassword   = "kanarie-restic-4715"
	resticBackend    = "kanarie-restic-backend-4716"
	storePassword    = "kanarie-pkcs12-4717"
	lokiToken        = "kanarie-loki-4718"
	proxyUser        = "kanarie-opnsense-client-4719"
	proxyPassword    = "kanarie-opnsense-client-4720"
)

// databases are a PostgreSQL with LiteLLM's and Home Assistant's tables, a Redis, and a LiteLLM
// proxy that is played.
func (l *Lab) databases() {
	l.t.Helper()
	postgres := testenv.StartPostgres(l.t)
	litellmtest.Create(l.t, postgres, litellmtest.Current)
	litellmtest.CreateRole(l.t, postgres)
	postgres.Exec(l.t, litellmtest.Database,
		"GRANT pg_monitor TO "+litellmtest.Role,
		"ALTER ROLE "+litellmtest.Role+" INHERIT", // the script for LiteLLM alone makes it without
		"ALTER ROLE "+litellmtest.Role+" PASSWORD '"+databasePassword+"'")
	litellmtest.Fill(l.t, postgres, 2000)
	postgres.Exec(l.t, "postgres",
		`CREATE TABLE states_meta (metadata_id bigint PRIMARY KEY, entity_id text)`,
		`CREATE TABLE states (state_id bigserial PRIMARY KEY, metadata_id bigint, state text, last_updated_ts float8)`,
		`CREATE INDEX ON states (last_updated_ts)`,
		`CREATE TABLE schema_changes (change_id bigserial PRIMARY KEY, schema_version int)`,
		`INSERT INTO schema_changes (schema_version) VALUES (48)`,
		`INSERT INTO states_meta VALUES (1, 'sun.sun')`,
		`INSERT INTO states (metadata_id, state, last_updated_ts) SELECT 1, 'a', extract(epoch FROM now()) - n FROM generate_series(0, 2000) AS n`,
		`GRANT SELECT ON ALL TABLES IN SCHEMA public TO `+litellmtest.Role)
	redis := testenv.StartRedis(l.t, "--requirepass", redisPassword)

	proxy := newPlayed(l, status)
	password, key := l.secret("postgres", databasePassword), l.secret("litellm", litellmKey)
	cache := l.secret("redis", redisPassword)
	l.add("postgres: {interval: 2s, timeout: 2s, sources: [{name: main, dsn: %q, password_file: %q}]}\n",
		postgres.TCP(litellmtest.Role, litellmtest.Database), password)
	l.add("redis: {interval: 2s, timeout: 2s, sources: [{name: cache, address: %q, password_file: %q}]}\n",
		redis.Socket, cache)
	l.add("litellm: {interval: 2s, timeout: 4s, sources: [{name: main, url: %q, key_file: %q, postgres: {dsn: %q, password_file: %q}, redis: {address: %q, password_file: %q}}]}\n",
		proxy.URL, key, postgres.TCP(litellmtest.Role, litellmtest.Database), password, redis.Socket, cache)

	l.stops("PostgreSQL", postgres.Stop, func() { postgres.Start(l.t) }, postgres.Process)
	l.stops("Redis", redis.Stop, func() { redis.Start(l.t) }, redis.Process)
	l.played("LiteLLM's proxy", proxy)
	l.home(postgres.TCP(litellmtest.Role, "postgres"), password)
}

// home is a Home Assistant that is played, beside its real recorder database.
func (l *Lab) home(dsn, password string) {
	api := newPlayed(l, status)
	dir := l.path("home-assistant")
	l.write("home-assistant/.storage/backup", `{"data":{"config":{"schedule":{"recurrence":"daily"}}}}`)
	l.write("home-assistant/backups/automatic.tar", backup(time.Now()))
	l.add("homeassistant: {interval: 2s, timeout: 6s, url: %q, token_file: %q, config_dir: %q, backups: [%q], recorder_dsn: %q, recorder_password_file: %q}\n",
		api.URL, l.secret("home-assistant", homeToken), dir, dir+"/backups", dsn, password)
	l.played("Home Assistant", api)
	l.renamed("backups of Home Assistant away", dir+"/backups")
}

// backup is a tar as Home Assistant makes it, as far as its members' names.
func backup(date time.Time) string {
	var b strings.Builder
	w := tar.NewWriter(&b)
	for _, member := range [][2]string{
		{"./backup.json", fmt.Sprintf(`{"slug":"a","date":%q,"homeassistant":{"version":"2026.10.1"}}`, date.Format(time.RFC3339))},
		{"./homeassistant.tar.gz", "x"},
	} {
		_ = w.WriteHeader(&tar.Header{Name: member[0], Size: int64(len(member[1])), Mode: 0o600}) // a Builder takes all
		_, _ = io.WriteString(w, member[1])
	}
	_ = w.Close()
	return b.String()
}

// played is an HTTP server that answers well until told otherwise.
type played struct {
	*httptest.Server
	fault atomic.Pointer[http.HandlerFunc]
}

func newPlayed(l *Lab, well http.HandlerFunc) *played {
	p := &played{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := p.fault.Load(); fault != nil {
			(*fault)(w, r)
			return
		}
		well(w, r)
	}))
	l.t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

// status is what LiteLLM's proxy and Home Assistant answer, as far as they are asked.
func status(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"status":"healthy","litellm_version":"1.80.0","version":"2026.10.1","state":"RUNNING"}`)
}

// played adds the faults of an HTTP server.
func (l *Lab) played(name string, p *played) {
	for kind, handler := range answers {
		l.fault(name+": "+kind, func() { p.fault.Store(&handler) }, func() { p.fault.Store(nil) })
	}
}

// answers are the ways in which an HTTP server does not answer.
var answers = map[string]http.HandlerFunc{
	"hangs": func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the client is gone
		<-r.Context().Done()
	},
	"garbage": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>\x00{[") },
	"error":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
	"rejected": func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, fmt.Sprint(r.Header), http.StatusUnauthorized)
	},
	"slow": func(w http.ResponseWriter, r *http.Request) {
		for range 100 {
			if _, err := io.WriteString(w, " "); err != nil || r.Context().Err() != nil {
				return
			}
			w.(http.Flusher).Flush()
			<-time.After(100 * time.Millisecond)
		}
	},
	"endless": func(w http.ResponseWriter, _ *http.Request) {
		for chunk := make([]byte, 1<<16); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	},
}

func (l *Lab) signal(p *testenv.Process, signal syscall.Signal) {
	if err := p.Signal(signal); err != nil {
		l.t.Error(err)
	}
}

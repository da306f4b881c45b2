package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// wornID is the first transaction of a file of pg_xact, and the first multixact of one of
// pg_multixact/offsets, so that the server needs no other file.
const wornID = 1144 << 20

// newWornPostgres is a server with autovacuum off and the age at which it is forced raised,
// 1,200 million transactions or multixacts later: an option of pg_resetwal makes them in a second.
func newWornPostgres(t *testing.T, option string) *testenv.Postgres {
	t.Helper()
	p := testenv.StartPostgres(t, "autovacuum=off", "autovacuum_freeze_max_age=2000000000", "autovacuum_multixact_freeze_max_age=2000000000")
	p.Exec(t, "postgres", "CREATE ROLE watcher LOGIN PASSWORD 'secret' IN ROLE pg_monitor")
	server, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.Process().PID))
	if err != nil {
		t.Fatal(err)
	}
	p.Stop()
	data := filepath.Join(p.Dir, "data")
	info, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	reset := exec.Command(filepath.Join(filepath.Dir(server), "pg_resetwal"), option, data)
	if owner := info.Sys().(*syscall.Stat_t); int(owner.Uid) != os.Geteuid() { // it refuses root
		reset.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	if out, err := reset.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", reset, err, out)
	}
	p.Start(t)
	return p
}

// TestPostgresFaults: old transactions on one server, old multixacts on another, a client that forgot to commit, a privilege that was lost.
func TestPostgresFaults(t *testing.T) {
	t.Parallel()
	p := newWornPostgres(t, fmt.Sprintf("--next-transaction-id=%d", wornID))
	rows := newWornPostgres(t, fmt.Sprintf("--multixact-ids=%d,1", wornID))
	password := writeSecret(t, "password", "secret")
	h := New(t, Options{
		Config: fmt.Sprintf(`
postgres:
  interval: 1s
  timeout: 1s
  sources:
    - {name: main, dsn: %q, password_file: %[3]q}
    - {name: rows, dsn: %[2]q, password_file: %[3]q}
`, p.TCP("watcher", "postgres"), rows.TCP("watcher", "postgres"), password),
		Rules: []string{"database_alerts", "exporter"},
		Scale: 360, // 30 minutes take 5 s
		Fakes: map[string]string{"PostgresWraparoundNear": "the number of transactions and multixacts, by pg_resetwal"},
	})
	// It is the state that the server was found in, so it is not among the faults below.
	databases := []string{"postgres", "template1"}
	var worn []Alert
	for _, source := range []string{"main", "rows"} {
		for _, name := range databases {
			alert := Alert{"PostgresWraparoundNear", map[string]string{"source": source, "datname": name}}
			worn = append(worn, alert)
			h.WaitFiring(alert.Name, alert.Labels)
		}
	}
	h.ExactlyFiring(worn...)
	for _, name := range databases {
		p.Exec(t, name, "VACUUM (FREEZE)")
		rows.Exec(t, name, "VACUUM (FREEZE)")
	}
	for _, alert := range worn {
		h.WaitResolved(alert.Name, alert.Labels)
	}

	var open pgx.Tx
	session := p.Conn(t, "postgres")
	h.oneAfterTheOther(worn,
		fault{
			cause: func() {
				var err error
				if open, err = session.Begin(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
			mend: func() {
				if err := open.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
			alerts: []Alert{{"PostgresIdleInTransaction", map[string]string{"source": "main", "state": "idle in transaction"}}},
		},
		fault{
			cause:  func() { p.Exec(t, "postgres", "REVOKE EXECUTE ON FUNCTION pg_ls_waldir() FROM pg_monitor") },
			mend:   func() { p.Exec(t, "postgres", "GRANT EXECUTE ON FUNCTION pg_ls_waldir() TO pg_monitor") },
			alerts: []Alert{{"PostgresNotFullyObserved", map[string]string{"source": "main", "query": "wal"}}},
		},
	)
}

package postgres

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// sessions counts the exporter's sessions on the server.
func (m *monitored) sessions(t *testing.T) int {
	t.Helper()
	var n int
	conn := m.Conn(t, "postgres")
	defer func() { _ = conn.Close(t.Context()) }()
	row := conn.QueryRow(t.Context(),
		"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'vulcan_exporter'")
	if err := row.Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// roleConn opens a session as a role without privileges.
func roleConn(t *testing.T, m *monitored) {
	t.Helper()
	cfg, err := pgx.ParseConfig(m.TCP("exporter", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Password = "p4ss"
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
}

// signals gives functions that stop the server and all its children and let them go on.
func signals(t *testing.T, m *monitored) (stop, resume func()) {
	t.Helper()
	pids := append(children(t, m.Process()), m.Process().PID)
	send := func(sig syscall.Signal) {
		for _, pid := range pids {
			if err := syscall.Kill(pid, sig); err != nil {
				t.Errorf("pid %d: %v", pid, err)
			}
		}
	}
	resumed := false
	resume = func() {
		if !resumed {
			send(syscall.SIGCONT)
			resumed = true
		}
	}
	t.Cleanup(resume)
	return func() { send(syscall.SIGSTOP) }, resume
}

func children(t *testing.T, p *testenv.Process) []int {
	t.Helper()
	content, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/task/" + strconv.Itoa(p.PID) + "/children")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, field := range strings.Fields(string(content)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

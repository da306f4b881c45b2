package testenv

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresPassword is the password of the superuser of every Postgres.
const PostgresPassword = "correct horse"

// Postgres is a PostgreSQL server (https://www.postgresql.org/docs/15/) with a cluster of its
// own, on a free port of 127.0.0.1 and on a socket. Local connections need no password, those
// over TCP need one. It runs as the system's user postgres where the test runs as root, because
// PostgreSQL refuses root.
type Postgres struct {
	// Dir holds the socket and the files of File.
	Dir  string
	Port int

	bin      string // folder of the programs
	owner    *syscall.Credential
	settings []string
	process  *Process
}

// StartPostgres makes a cluster and starts it. Settings are "name=value", as in postgresql.conf.
// What durability costs is off unless a setting turns it on.
func StartPostgres(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	p := NewPostgres(t)
	p.Set(settings...)
	p.Start(t)
	return p
}

// NewPostgres makes a cluster that does not run yet, for tests that prepare files for it.
func NewPostgres(t testing.TB) *Postgres {
	t.Helper()
	p := &Postgres{bin: postgresBin(), Port: FreePort(t)}
	Need(t, filepath.Join(p.bin, "initdb"), filepath.Join(p.bin, "postgres"))
	p.Dir, p.owner = serverDir(t, "vpg", "postgres")
	password := p.File(t, "password", PostgresPassword)
	initdb := p.command("initdb", "--pgdata="+p.data(), "--username=postgres", "--no-sync", "--no-instructions",
		"--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile="+password)
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", initdb, err, out)
	}
	return p
}

// NewPostgresStandby makes and starts a standby that streams from the primary, by sockets.
func NewPostgresStandby(t testing.TB, primary *Postgres) *Postgres {
	t.Helper()
	p := &Postgres{bin: primary.bin, Port: FreePort(t)}
	p.Dir, p.owner = serverDir(t, "vpg", "postgres")
	backup := p.command("pg_basebackup", "--dbname="+primary.DSN("postgres"), "--pgdata="+p.data(),
		"--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
	if out, err := backup.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", backup, err, out)
	}
	p.Start(t)
	return p
}

// Set adds settings that the next Start applies.
func (p *Postgres) Set(settings ...string) { p.settings = append(p.settings, settings...) }

// File writes a file that only the server can read, such as a private key, and returns its path.
func (p *Postgres) File(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(p.Dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if p.owner != nil {
		if err := os.Chown(path, int(p.owner.Uid), int(p.owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// Start starts the server and returns when it answers.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	args := []string{
		"-D", p.data(), "-p", strconv.Itoa(p.Port), "-h", "127.0.0.1", "-k", p.Dir,
		// Shared memory in a file of the cluster does not outlive a killed server.
		"-c", "dynamic_shared_memory_type=mmap", "-c", "shared_buffers=64MB",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off",
	}
	for _, s := range p.settings {
		args = append(args, "-c", s)
	}
	p.process = Start(t, p.command("postgres", args...))
	t.Cleanup(func() { p.end(syscall.SIGQUIT) })
	Eventually(t, time.Minute, func() error {
		if err := p.process.Exited(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, p.DSN("postgres"))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

// Stop ends the server as an administrator does: sessions are cut and what is written is kept.
func (p *Postgres) Stop() { p.end(syscall.SIGINT) }

// Crash ends the server as a crash of one of its processes does: the next Start recovers.
func (p *Postgres) Crash() { p.end(syscall.SIGQUIT) }

func (p *Postgres) end(signal syscall.Signal) {
	_ = p.process.Signal(signal)
	select {
	case <-p.process.done:
	case <-time.After(30 * time.Second):
		p.process.Kill()
	}
}

// Process is the server's first process, for signals.
func (p *Postgres) Process() *Process { return p.process }

// DSN is the connection string of the superuser through the socket.
func (p *Postgres) DSN(database string) string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", p.Dir, p.Port, database)
}

// TCP is the connection URL of a user over TCP, without the password.
func (p *Postgres) TCP(user, database string) string {
	u := url.URL{Scheme: "postgres", Host: fmt.Sprintf("127.0.0.1:%d", p.Port), User: url.User(user), Path: database}
	return u.String()
}

// Conn opens a session of the superuser that lives as long as the test.
func (p *Postgres) Conn(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec runs statements as the superuser in a session of their own.
func (p *Postgres) Exec(t testing.TB, database string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			t.Fatalf("%v in: %s", err, s)
		}
	}
}

// Dump is what pg_dump or pg_dumpall prints of the databases.
func (p *Postgres) Dump(t testing.TB, program string, args ...string) []byte {
	t.Helper()
	Need(t, program)
	cmd := exec.Command(program, append(args, "--host="+p.Dir, fmt.Sprintf("--port=%d", p.Port), "--username=postgres")...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, complaints.Bytes())
	}
	return out
}

func (p *Postgres) data() string { return filepath.Join(p.Dir, "data") }

func (p *Postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.Dir
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.owner}
	return cmd
}

// postgresBin is the folder of the newest PostgreSQL: Debian keeps the server's programs out of
// $PATH, others do not.
func postgresBin() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) > 0 {
		return slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "/usr/lib/postgresql/15/bin"
	}
	return filepath.Dir(path)
}

func version(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

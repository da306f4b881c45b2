package testenv

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestPostgres proves what other tests rely on: sessions by socket without and by TCP with the
// password, settings, and that data survives Stop and Crash.
func TestPostgres(t *testing.T) {
	p := StartPostgres(t, "max_connections=17")
	p.Exec(t, "postgres", "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (1)", "CHECKPOINT")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	if conn, err := pgx.Connect(ctx, p.TCP("postgres", "postgres")); err == nil {
		_ = conn.Close(ctx)
		t.Error("a TCP session was opened without a password")
	}
	cfg, err := pgx.ParseConfig(p.TCP("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Password = PostgresPassword
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(ctx)

	for _, end := range []func(){p.Stop, p.Crash} {
		end()
		p.Start(t)
		var n int
		var limit string
		row := p.Conn(t, "postgres").QueryRow(ctx, "SELECT n, current_setting('max_connections') FROM kept")
		if err := row.Scan(&n, &limit); err != nil || n != 1 || limit != "17" {
			t.Errorf("%d, max_connections %s, %v", n, limit, err)
		}
	}
}

func TestRedis(t *testing.T) {
	r := StartRedis(t, "--requirepass", "x")
	r.Stop()
	if err := r.ping(); err == nil {
		t.Error("answers although it was stopped")
	}
	r.Start(t)
	if !strings.HasPrefix(r.Address(), "127.0.0.1:") {
		t.Errorf("address %s", r.Address())
	}
}

// Package pgsession keeps one session with a PostgreSQL server for a collector that reads from it.
//
// One, whatever happens: a session that hangs is ended, and no other is opened before it has
// ended on our side, so a stuck server does not collect sessions of ours. On the server each
// statement has a time limit and waits for locks no longer than 2 seconds, a transaction left
// open is ended, everything is read-only, and a statement whose client is gone is ended (from
// PostgreSQL 14 on). Limits are settings of the session (SET), so a pooler in front of the server
// must pool sessions, not transactions.
package pgsession

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/internal/config"
)

// Config tells where the server is. A collector shows its fields under keys of its own.
type Config struct {
	// DSN is a connection string as of libpq
	// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING), a URL or
	// key=value pairs, also with service= and sslmode=, without a password.
	DSN string
	// PasswordFile holds the password. Without one, libpq's own ways apply: a password file
	// named in the DSN, a client certificate, peer authentication.
	PasswordFile config.SecretFile
}

var passwordInDSN = regexp.MustCompile(`(?i)(^|[\s?&])(ssl)?password\s*=|^[a-z]+://[^/@]*:[^/@]*@`)

// Check says what is wrong with the configuration, nil if nothing is. Files that the DSN names
// may appear later.
func (c Config) Check() error {
	if c.DSN == "" {
		return errors.New("expected a connection string such as host=/run/postgresql user=exporter dbname=postgres")
	}
	if passwordInDSN.MatchString(c.DSN) {
		return errors.New("a password does not belong here; name its file in password_file")
	}
	if _, err := pgx.ParseConfig(c.DSN); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Session is the one session. It is for one goroutine at a time.
type Session struct {
	cfg         Config
	application string
	conn        *pgx.Conn
	version     int
}

// New makes a session that is opened at its first use. application is what the server shows as
// its client.
func New(cfg Config, application string) *Session {
	return &Session{cfg: cfg, application: application}
}

// ErrClosing means that an earlier session, which hung, has not ended yet.
var ErrClosing = errors.New("the session before this one is still being ended")

// Conn gives the session for statements until the deadline of ctx, opening it where there is
// none or the server has ended it. Each statement is limited to half of the time that is left.
func (s *Session) Conn(ctx context.Context) (*pgx.Conn, error) {
	if s.conn != nil && !s.conn.IsClosed() {
		err := s.limit(ctx)
		if err == nil || ctx.Err() != nil {
			return s.conn, err
		}
		// The server was restarted or ended the session: that is found at the next statement.
		s.drop()
	}
	if s.conn != nil {
		select {
		case <-s.conn.PgConn().CleanupDone():
		case <-ctx.Done():
			return nil, errors.Join(ErrClosing, ctx.Err())
		}
		s.conn = nil
	}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	return s.conn, nil
}

// Version is the server's version as a number, 150004 for 15.4; 0 before the first session.
func (s *Session) Version() int { return s.version }

func (s *Session) connect(ctx context.Context) error {
	cfg, err := pgx.ParseConfig(s.cfg.DSN)
	if err != nil {
		return err
	}
	if s.cfg.PasswordFile != "" {
		password, err := s.cfg.PasswordFile.Read()
		if err != nil {
			return &credentialsError{err}
		}
		cfg.Password = password.Reveal()
	}
	cfg.RuntimeParams["application_name"] = s.application
	// No prepared statements: nothing stays on the server and no cached plan goes stale when
	// the schema changes.
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	s.conn = conn
	const settings = `SET default_transaction_read_only = on; SET timezone = 'UTC'; SET lock_timeout = '2s';
		SET idle_in_transaction_session_timeout = '60s';
		SELECT set_config('client_connection_check_interval', '5s', false)
		 WHERE current_setting('server_version_num')::int >= 140000`
	if _, err := conn.PgConn().Exec(ctx, settings).ReadAll(); err != nil {
		s.drop()
		return err
	}
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&s.version); err != nil {
		s.drop()
		return err
	}
	return s.limit(ctx)
}

// limit bounds the statements that follow, on the server, where a client that gave up has no
// say any more.
func (s *Session) limit(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	milliseconds := max(1, time.Until(deadline).Milliseconds()/2)
	_, err := s.conn.Exec(ctx, "SELECT set_config('statement_timeout', $1, false)", strconv.FormatInt(milliseconds, 10))
	return err
}

// drop ends the session without waiting for the server.
func (s *Session) drop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx)
}

// Close ends the session.
func (s *Session) Close() error {
	if s.conn != nil {
		s.drop()
	}
	return nil
}

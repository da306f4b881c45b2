// Package technitiumtest is a Technitium DNS Server's HTTP API for tests, which keeps a query log
// as the server's own apps do. It behaves as the sources of 13.6.0, 14.3.0 and 15.2 do where a
// reader of the log can tell:
//
//   - A row's number is its position among the rows that the query selects, in the order of
//     insertion. A page past the end is the last page once more. The count and the page are two
//     statements; rows may arrive or vanish between them (Between).
//   - Version 13 inserts what it has queued every 10 s. From 14 on rows land at once; a batch of up
//     to 1,000 that fails is lost, and then nothing is inserted for 10 s; what does not fit into
//     the queue is lost (FailInserts).
//   - 5 s after the start and then every 15 minutes all but the newest MaxRecords rows are deleted,
//     and those older than MaxAge.
//   - SQLite keeps times to 100 ns, PostgreSQL to 1 µs, SQL Server to 1/300 s and MySQL to the
//     nearest second, so that a row may be half a second in the future.
//   - Errors have status 200. Characters that are not plain in HTML are written as \uXXXX.
//
// Timers follow the clock in Options.Now and run when something is asked or logged, so a test
// that moves the clock is deterministic.
package technitiumtest

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Row is one query and its answer.
type Row struct {
	Time                                  time.Time
	Client, Protocol, ResponseType, RCode string
	QName, QType, QClass                  string  // all "": a message without a question, null in the API
	Answer                                string  // "": null in the API
	RTT                                   float64 // milliseconds, in the API for Recursive only
	// Malformed makes the API give the row with a time that is none, as no known server does.
	Malformed bool
}

// App is one of the server's query log apps.
type App struct {
	Name, ClassPath string
	keep            func(t time.Time) time.Time // as exact as its database
}

// The apps.
var (
	SQLite    = App{"Query Logs (Sqlite)", "QueryLogsSqlite.App", func(t time.Time) time.Time { return t.Truncate(100) }}
	MySQL     = App{"Query Logs (MySQL)", "QueryLogsMySql.App", func(t time.Time) time.Time { return t.Round(time.Second) }}
	SQLServer = App{"Query Logs (SQL Server)", "QueryLogsSqlServer.App", func(t time.Time) time.Time {
		// In 1/300 s, of which the driver gives whole milliseconds: .000, .003, .007.
		second := t.Truncate(time.Second)
		n := (int64(t.Sub(second))*300 + int64(time.Second)/2) / int64(time.Second)
		return second.Add(time.Duration((n*1000+150)/300) * time.Millisecond)
	}}
	PostgreSQL = App{"Query Logs (PostgreSQL)", "QueryLogsPostgreSql.App", func(t time.Time) time.Time { return t.Truncate(time.Microsecond) }}
)

// Options say which server it is.
type Options struct {
	Version    string           // "13.6", "14.3" or "15.2", which is the default
	App        App              // SQLite by default
	Now        func() time.Time // time.Now by default
	MaxRecords int              // 0: no limit; the server's own default is 10000
	MaxAge     time.Duration    // 0: no limit; the server's own default is 7 days
	MaxQueue   int              // 200000 by default, version 14 on
	TLS        bool
	// CountTakes is how long counting takes for each million rows that the table has.
	CountTakes time.Duration
	// Between, if set, is called between the count and the page of each query.
	Between func()
	// OnDelete, if set, is told each row that retention removes, and whether a page ever had it.
	// It must not call the Server.
	OnDelete func(row Row, served bool)
}

// Token is the server's API token.
const Token = "5eb2e9f1c03c47d8a6f4b1d27a90f3c1"

// Server is the API on loopback.
type Server struct {
	URL       string
	TokenFile string
	CAFile    string // if Options.TLS
	opts      Options
	major     int
	server    *httptest.Server

	mu       sync.Mutex
	table    *table
	queue    []Row
	counts   Counts
	stats    stats
	started  time.Time
	cleanup  time.Time // of the next run
	insert   time.Time // version 13: of the next run; later: not before
	failing  int
	denied   map[string]bool
	faults   []Fault
	requests []string
	settings Settings
}

// Counts are of rows since the start of the fake; its server's restarts do not reset them.
type Counts struct {
	Logged   int64 // given to the server
	Inserted int64 // into the table
	Lost     int64 // by the server itself: a full queue, a failed batch, a restart
	Deleted  int64 // by retention
	Unserved int64 // of those, in no page that was ever sent
	Retained int64 // in the table now
	Queued   int64 // logged, not inserted yet
}

// Start starts a server with an empty log.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := New(o)
	s.server = httptest.NewUnstartedServer(s)
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	dir := t.TempDir()
	s.TokenFile = filepath.Join(dir, "token")
	write(t, s.TokenFile, Token+"\n")
	if o.TLS {
		s.server.StartTLS()
		s.CAFile = filepath.Join(dir, "ca.pem")
		write(t, s.CAFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})))
	} else {
		s.server.Start()
	}
	s.URL = s.server.URL
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
	})
	return s
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// New makes a server that is an http.Handler only, for whoever listens otherwise.
func New(o Options) *Server {
	if o.Version == "" {
		o.Version = "15.2"
	}
	if o.App.keep == nil {
		o.App = SQLite
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxQueue == 0 {
		o.MaxQueue = 200000
	}
	s := &Server{opts: o, table: newTable(), denied: map[string]bool{}, settings: defaultSettings()}
	switch {
	case strings.HasPrefix(o.Version, "13."):
		s.major = 13
	case strings.HasPrefix(o.Version, "14."):
		s.major = 14
	case strings.HasPrefix(o.Version, "15."):
		s.major = 15
	default:
		panic("technitiumtest: unknown version " + o.Version)
	}
	s.start()
	return s
}

// App is the query log app's name and class path.
func (s *Server) App() App { return s.opts.App }

var _ http.Handler = (*Server)(nil)

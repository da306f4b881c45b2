package postgres

import (
	"context"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/collector"
)

// TestStopped shows that a run which the exporter itself ends claims nothing.
func TestStopped(t *testing.T) {
	m := monitor(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := m.source.Batch()
	if err := m.c.Collect(ctx, out); err == nil || out.Series() != 0 {
		t.Errorf("error %v, series %d", err, out.Series())
	}
}

func TestConfig(t *testing.T) {
	for yaml, want := range map[string]string{
		`{name: a}`:                                                           "dsn: expected a connection string",
		`{name: a, dsn: "postgres://u:pw@h/d"}`:                               "dsn: a password does not belong here",
		`{name: a, dsn: "host=h password=pw"}`:                                "dsn: a password does not belong here",
		`{name: a, dsn: "host=h sslkey=/k sslpassword=pw"}`:                   "dsn: a password does not belong here",
		`{name: a, dsn: "postgres://h/d?sslpassword=pw"}`:                     "dsn: a password does not belong here",
		`{name: a, dsn: "host=h port=x"}`:                                     "dsn: cannot parse",
		`{name: a, dsn: "host=h", top_statements: 51}`:                        "top_statements: expected 0 to 50",
		`{name: a, dsn: "host=h", query_limits: [1m, 60s]}`:                   "query_limits: expected different durations",
		`{name: a, dsn: "host=h user=u service=", password: x}`:               "password",
		`{name: a, dsn: "host=h sslmode=verify-full sslrootcert=/not/there"}`: "",
	} {
		_, err := collector.Load("x.yml", []byte("postgres: {sources: ["+yaml+"]}"), []*collector.Definition{Definition()})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", yaml, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %s", yaml, err, want)
		case err != nil && strings.Contains(err.Error(), ":pw"):
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

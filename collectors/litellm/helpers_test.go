package litellm

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"vulcan.lan/vulcan_exporter/collectors/litellm/litellmtest"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const limit = time.Minute // for what takes a second or two

// monitored is a database of LiteLLM and a collector that reads it as the exporter's role.
type monitored struct {
	*testenv.Postgres
	passwordFile string
	source       collector.Source
	env          collector.Env
	c            collector.Collector
}

func monitor(t *testing.T, schema, extra string) *monitored {
	t.Helper()
	m := &monitored{Postgres: testenv.StartPostgres(t)}
	litellmtest.Create(t, m.Postgres, schema)
	m.passwordFile = litellmtest.CreateRole(t, m.Postgres)
	m.source = m.load(t, extra)
	m.env = collectortest.Env(t)
	m.restart(t)
	return m
}

func (m *monitored) load(t *testing.T, extra string) collector.Source {
	t.Helper()
	return collectortest.Load(t, Definition(), fmt.Sprintf(
		"sources:\n  - {name: main, postgres: {dsn: %q, password_file: %q}%s}",
		m.TCP(litellmtest.Role, litellmtest.Database), m.passwordFile, extra))[0]
}

// restart makes a new collector on the same state, as a new process would.
func (m *monitored) restart(t *testing.T) {
	t.Helper()
	if m.c != nil {
		_ = m.c.(collector.Closer).Close()
	}
	c, err := m.source.New(m.env)
	if err != nil {
		t.Fatal(err)
	}
	m.c = c
	t.Cleanup(func() { _ = c.(collector.Closer).Close() })
}

func (m *monitored) batch(t *testing.T) *metric.Batch {
	t.Helper()
	out, err := collectortest.Collect(t, m.source, m.c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (m *monitored) text(t *testing.T) string {
	t.Helper()
	return collectortest.Text(t, m.batch(t))
}

func (m *monitored) exec(t *testing.T, statements ...string) {
	t.Helper()
	m.Exec(t, litellmtest.Database, statements...)
}

// has fails unless each text is a whole line of the exposition, where * stands for any value.
func has(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(line), `\*`, `\S+`)
		if !regexp.MustCompile(`(?m)^` + pattern + `$`).MatchString(text) {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

func lacks(t *testing.T, text string, names ...string) {
	t.Helper()
	for _, name := range names {
		if regexp.MustCompile(`(?m)^` + name + `[ {]`).MatchString(text) {
			t.Errorf("%s is shown in\n%s", name, text)
		}
	}
}

// push adds to a list of a Redis with the password one.
func push(t *testing.T, r *testenv.Redis, list string, values ...any) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: r.Socket, Password: "one"})
	defer func() { _ = client.Close() }()
	if err := client.RPush(t.Context(), list, values...).Err(); err != nil {
		t.Fatal(err)
	}
}

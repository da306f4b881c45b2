package dnsquery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/state"
	fake "vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

// clock is the time of a test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// crashing is a store at whose Save the process may end, before or after the file is there.
type crashing struct {
	state.Store
	rng *rand.Rand
}

var errCrash = errors.New("the process ended")

func (c *crashing) Folder() (string, error) { return state.Folder(c.Store) }

func (c *crashing) Save(v any) error {
	switch c.rng.IntN(12) {
	case 0:
		return errCrash
	case 1:
		return errors.Join(c.Store.Save(v), errCrash)
	}
	return c.Store.Save(v)
}

// trial is a server, a Loki and one exporter after the other.
type trial struct {
	t        *testing.T
	rng      *rand.Rand
	clock    *clock
	server   *fake.Server
	sink     *sink
	env      collector.Env
	cfg      Config
	all      []fake.Row
	gaps     bool // rows may be deleted unread
	restarts int
	ended    bool // no more queries
}

func newTrial(t *testing.T, seed uint64, gaps bool) *trial {
	rng := rand.New(rand.NewPCG(seed, 11))
	tr := &trial{t: t, rng: rng, clock: &clock{now: collectortest.Now}, sink: newSink(t, seed), gaps: gaps}
	apps := []fake.App{fake.SQLite, fake.MySQL, fake.SQLServer, fake.PostgreSQL}
	o := fake.Options{App: apps[seed%4], Version: []string{"13.6", "14.3", "15.2"}[rng.IntN(3)], Now: tr.clock.Now}
	if o.App.Name == fake.PostgreSQL.Name {
		o.Version = "15.2"
	}
	o.Between = func() {
		if !tr.ended && rng.IntN(8) == 0 {
			tr.log(rng.IntN(5))
		}
	}
	tr.server = fake.Start(t, o)
	tr.cfg = defaults()
	tr.cfg.URL, tr.cfg.TokenFile = tr.server.URL, config.SecretFile(tr.server.TokenFile)
	tr.cfg.App, tr.cfg.ClassPath = o.App.Name, o.App.ClassPath
	tr.cfg.Loki.URL, tr.cfg.MaxClients, tr.cfg.TopDomains = tr.sink.URL, 3, 5
	if seed%4 == 2 {
		tr.cfg.Loki.QueueBytes = 30 << 10 // soon full: rows wait at the server
	}
	tr.env = collectortest.Env(t)
	tr.env.Interval = 20 * time.Millisecond
	tr.env.Now = tr.clock.Now
	tr.env.State = &crashing{tr.env.State, rng}
	return tr
}

// log adds queries as the server sees them: many look alike, some are without a question, and some
// are late.
func (tr *trial) log(n int) {
	for range n {
		r := fake.Row{
			Time: tr.clock.Now(), Client: fmt.Sprint("192.0.2.", tr.rng.IntN(6)), Protocol: "Udp", ResponseType: "Cached",
			RCode: "NoError", QName: fmt.Sprintf("host%d.example", tr.rng.IntN(30)), QType: "A", QClass: "IN", Answer: "A 198.51.100.1",
		}
		switch tr.rng.IntN(10) {
		case 0:
			r.QName, r.QType, r.QClass, r.Answer, r.RCode = "", "", "", "", "FormatError"
		case 1:
			r.ResponseType, r.RTT, r.Protocol = "Recursive", float64(tr.rng.IntN(3)), "Quic"
		case 2:
			r.RCode, r.QType = "NxDomain", "TYPE64999"
		case 3:
			r.Time = r.Time.Add(-time.Duration(tr.rng.IntN(200)) * time.Second)
		}
		tr.all = append(tr.all, r)
		tr.server.Log(r)
	}
}

// life is one exporter from its start to its end, which may be a crash.
func (tr *trial) life(steps int) {
	tr.t.Helper()
	tr.restarts++
	c, err := open(tr.cfg, tr.env)
	if err != nil {
		tr.t.Fatal(err)
	}
	d := c.(*dnsquery)
	defer d.Close()
	st, err := d.load()
	if err != nil {
		tr.t.Fatal(err)
	}
	l, err := d.openLoki(st)
	if err != nil {
		tr.t.Fatal(err)
	}
	defer l.queue.Close()
	ctx, cancel := context.WithCancel(tr.t.Context())
	pushed := make(chan struct{})
	go func() {
		defer close(pushed)
		_ = l.pusher.Run(ctx)
	}()
	defer func() { cancel(); <-pushed }()
	t := &tailer{dnsquery: d, st: st, delivery: l, log: collector.Transitions{Logger: d.env.Logger}}
	for range steps {
		tr.happen()
		for more := true; more; {
			if more, err = t.once(tr.t.Context()); err != nil {
				return
			}
		}
	}
}

// happen is what goes on between two polls.
func (tr *trial) happen() {
	tr.clock.add(time.Duration(tr.rng.IntN(20000)) * time.Millisecond)
	tr.log(tr.rng.IntN(40))
	switch tr.rng.IntN(8) {
	case 0:
		tr.server.Fail([]fake.Fault{fake.Abort, fake.Cut(700), fake.Status(500), fake.Body("{"), fake.Body(`{"status":"invalid-token"}`)}[tr.rng.IntN(5)])
	case 1:
		keep := 2000 // more than what comes between two polls
		if tr.gaps && tr.rng.IntN(3) == 0 {
			tr.log(tr.rng.IntN(200))
			keep = tr.rng.IntN(30)
		}
		tr.server.SetRetention(keep, 0)
		tr.server.Cleanup()
		tr.server.SetRetention(0, 0)
	}
}

// end lets everything arrive and gives what was counted.
func (tr *trial) end() *counts {
	tr.t.Helper()
	tr.sink.fail(false)
	tr.clock.add(time.Minute)
	tr.server.Flush()
	store := tr.env.State.(*crashing).Store
	tr.env.State, tr.ended = store, true
	c, err := open(tr.cfg, tr.env)
	if err != nil {
		tr.t.Fatal(err)
	}
	d := c.(*dnsquery)
	defer d.Close()
	ctx, cancel := context.WithCancel(tr.t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	deadline := time.Now().Add(time.Minute)
	for {
		v, l := d.view.Load(), d.loki.Load()
		if v != nil && l != nil && !v.progress.caughtUp.IsZero() {
			if rows, _ := l.queue.Backlog(); rows == 0 {
				break
			}
		}
		if time.Now().After(deadline) {
			tr.t.Fatal("not all rows arrive")
		}
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		tr.t.Error(err)
	}
	return d.view.Load().counts
}

// Whatever crashes, restarts, fails and comes late: every query is counted once in each
// distribution and is in Loki once, and what the server deleted unread is said.
func TestExactlyOnce(t *testing.T) {
	for _, gaps := range []bool{false, true} {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("gaps=%v,seed=%d", gaps, seed), func(t *testing.T) {
				t.Parallel()
				tr := newTrial(t, seed, gaps)
				tr.log(1)
				tr.server.Flush()
				tr.sink.fail(seed%3 == 0)
				for range 12 {
					tr.life(tr.rng.IntN(8))
				}
				tr.check(tr.end())
			})
		}
	}
}

func (tr *trial) check(c *counts) {
	tr.t.Helper()
	logged := tr.server.Counts()
	lost := float64(logged.Inserted) - c.Rows
	tr.t.Logf("%d rows logged, %.0f counted, %.0f deleted unread in %.0f gaps, %d pushed, %d lives", logged.Logged, c.Rows, lost, c.Gaps, tr.sink.pushed, tr.restarts)
	if lost < 0 || (lost > 0) && c.Gaps == 0 || lost > float64(logged.Deleted) || c.Gaps > 0 && logged.Deleted == 0 {
		tr.t.Errorf("%.0f rows counted of %d in %.0f gaps, %d deleted", c.Rows, logged.Inserted, c.Gaps, logged.Deleted)
	}
	for name, sum := range map[string]float64{"queries": c.Queries.Sum(), "qtypes": c.QTypes.Sum(), "protocols": c.Protocols.Sum(), "clients": c.Clients.Sum()} {
		if sum != c.Rows {
			tr.t.Errorf("%s add up to %.0f, counted were %.0f", name, sum, c.Rows)
		}
	}
	lines := tr.sink.lines()
	if float64(len(lines)) != c.Rows {
		tr.t.Errorf("%d rows in Loki, %.0f counted", len(lines), c.Rows)
	}
	if lost > 0 {
		return
	}
	want, recursive := make([]string, 0, len(tr.all)), uint64(0)
	for i := range tr.all {
		want = append(want, string(appendLine(nil, rowOf(&tr.all[i]))))
		if tr.all[i].ResponseType == "Recursive" {
			recursive++
		}
	}
	slices.Sort(want)
	if !slices.Equal(lines, want) {
		tr.t.Errorf("the lines in Loki are not those of the queries")
	}
	if c.Responses.Count() != recursive {
		tr.t.Errorf("%d times of answers, want %d", c.Responses.Count(), recursive)
	}
}

// rowOf is a query as the API gives it.
func rowOf(r *fake.Row) *technitium.Row {
	row := &technitium.Row{
		Client: r.Client, Protocol: r.Protocol, ResponseType: r.ResponseType, RCode: r.RCode,
		QName: r.QName, QType: r.QType, QClass: r.QClass, Answer: r.Answer,
	}
	if r.ResponseType == "Recursive" {
		row.RTT, row.HasRTT = r.RTT, true
	}
	return row
}

// Package litellm observes LiteLLM gateways (https://docs.litellm.ai/docs/proxy/): what they
// spend, as their own database has it, how fast they answer, what is left of budgets, whether
// spend is still being recorded, and whether the proxy lives.
//
// Sources: LiteLLM's PostgreSQL database (read-only), its Redis (LLEN and PING) and the proxy's
// health pages. Privileges: a role that may read the columns in schema.Columns and nothing else;
// deploy/litellm/create-role.sql makes it. Cost: some ten statements a run, each by an index or on
// a small table: a few milliseconds of the database whatever the age of the log. Prompts,
// answers and hashes of keys are never shown; the first two are not even readable to the role.
//
// Counts and the labels of keys are kept in the state, saved before they are shown.
package litellm

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/collectors/litellm/gateway"
	"vulcan.lan/vulcan_exporter/collectors/litellm/latency"
	"vulcan.lan/vulcan_exporter/collectors/litellm/ledger"
	"vulcan.lan/vulcan_exporter/collectors/litellm/names"
	"vulcan.lan/vulcan_exporter/collectors/litellm/schema"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/pgsession"
	"vulcan.lan/vulcan_exporter/internal/redisclient"
)

// Definition registers the collector.
func Definition() *collector.Definition {
	return collector.Define(collector.Spec[Config]{
		Name:     "litellm",
		Summary:  "LiteLLM gateways: spend that agrees with the bill, latency, budgets, freshness of the records, health.",
		Metrics:  declared,
		Every:    30 * time.Second,
		Timeout:  20 * time.Second,
		Sources:  true,
		Budget:   20_000,
		Defaults: defaults(),
		New:      open,
	})
}

// state is what is kept, as one: where to read on and what was counted belong together.
type state struct {
	Names    *names.Names
	Ledger   *ledger.State
	Requests *latency.State
}

type litellm struct {
	cfg      Config
	env      collector.Env
	database *pgsession.Session // nil where none is configured
	buffer   *buffer
	gateway  *gateway.Gateway
	canary   *gateway.Canary
	state    *state // nil before it is loaded
	log      collector.Transitions
}

func open(cfg Config, env collector.Env) (collector.Collector, error) {
	l := &litellm{cfg: cfg, env: env, log: collector.Transitions{Logger: env.Logger}}
	if cfg.Postgres.DSN != "" {
		l.database = pgsession.New(pgsession.Config(cfg.Postgres), "vulcan_exporter")
	}
	if cfg.Redis.Address != "" {
		l.buffer = &buffer{redisclient.New(cfg.Redis)}
	}
	if cfg.URL != "" {
		l.gateway = gateway.New(cfg.URL, cfg.KeyFile)
		l.canary = gateway.NewCanary(l.gateway, cfg.Canary.Models, cfg.Canary.Interval.Std(), cfg.Canary.Timeout.Std(), env.Now, env.Logger)
	}
	return l, nil
}

// Run runs the canary.
func (l *litellm) Run(ctx context.Context) error {
	if l.canary == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return l.canary.Run(ctx)
}

// Close ends all connections.
func (l *litellm) Close() error {
	var errs []error
	if l.database != nil {
		errs = append(errs, l.database.Close())
	}
	if l.buffer != nil {
		errs = append(errs, l.buffer.client.Close())
	}
	if l.gateway != nil {
		l.gateway.Close()
	}
	return errors.Join(errs...)
}

// Collect implements collector.Collector. A database, a Redis or a proxy that is down is data.
func (l *litellm) Collect(ctx context.Context, out *metric.Batch) error {
	if l.gateway != nil {
		inner, cancel := share(ctx, 4)
		status, err := l.gateway.Ask(inner)
		cancel()
		l.note("gateway", err, reason)
		if ctx.Err() == nil {
			status.Emit(out)
			l.canary.Seen(status.Alive)
		}
		l.canary.Emit(out)
	}
	if l.buffer != nil && ctx.Err() == nil {
		inner, cancel := share(ctx, 4)
		l.note("redis", l.buffer.collect(inner, out), redisclient.Reason)
		cancel()
	}
	if l.database == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return l.collectDatabase(ctx, out)
}

// share gives a part of the time that is left.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
}

func (l *litellm) load() error {
	if l.state != nil {
		return nil
	}
	fresh := func() *state {
		return &state{names.New(l.cfg.MaxLabelValues), &ledger.State{}, latency.New()}
	}
	st := fresh()
	found, err := l.env.State.Load(st)
	if err != nil {
		return err
	}
	if !found {
		st = fresh()
	}
	l.state = st
	return nil
}

func (l *litellm) collectDatabase(ctx context.Context, out *metric.Batch) error {
	if err := l.load(); err != nil {
		return err
	}
	emit := l.read(ctx)
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		l.state = nil // we are being stopped: what is not saved was not counted
		return ctx.Err()
	}
	if err := l.save(); err != nil {
		return err
	}
	for _, show := range emit {
		show(out)
	}
	out.Bool(statePersistent, l.env.State.Persistent())
	l.state.Requests.Emit(out)
	return nil
}

// save keeps what is new. Where that fails, the next run goes on from what was saved last.
func (l *litellm) save() error {
	spend, requests := l.state.Ledger.Changed(), l.state.Requests.Changed()
	if !spend && !requests {
		return nil
	}
	err := l.env.State.Save(l.state)
	if err != nil {
		l.state = nil
	}
	return err
}

// read reads all parts. What may be shown of it is given as functions, to be called when the
// state is saved.
func (l *litellm) read(ctx context.Context) []func(*metric.Batch) {
	inner, cancel := collector.Margin(ctx, 0.1)
	defer cancel()
	conn, s, err := l.connect(inner)
	results := map[string]string{}
	var emit []func(*metric.Batch)
	for _, p := range l.parts(s) {
		if err != nil {
			break
		}
		show, failed := p.read(inner, conn)
		l.note(p.name, failed, reason)
		results[p.name] = partState(failed)
		if show != nil {
			emit = append(emit, show)
		}
		if conn.IsClosed() {
			err = failed
		}
	}
	l.note("database", err, reason)
	return append(emit, func(out *metric.Batch) {
		emitConnection(out, err)
		for _, name := range parts {
			if err == nil {
				out.State(part, results[name], name)
			}
		}
	})
}

func (l *litellm) connect(ctx context.Context) (*pgx.Conn, schema.Schema, error) {
	conn, err := l.database.Conn(ctx)
	if err != nil {
		return nil, schema.Schema{}, err
	}
	s, err := schema.Read(ctx, conn)
	return conn, s, err
}

func emitConnection(out *metric.Batch, err error) {
	out.Bool(databaseUp, err == nil)
	why := ""
	if err != nil {
		why = pgsession.Reason(err)
	}
	for _, r := range pgsession.Reasons() {
		out.Bool(databaseError, r == why, r)
	}
}

// errFallback is no failure, but worth a word.
var errFallback = errors.New("there is no daily table: spend is shown for a window of the log, not as a counter")

// reason is why something could not be read.
func reason(err error) string {
	var missing *schema.Error
	switch {
	case errors.Is(err, errFallback):
		return stateFallback
	case errors.As(err, &missing):
		return missing.Reason
	}
	return pgsession.Reason(err)
}

func partState(err error) string {
	if err == nil {
		return stateOK
	}
	switch r := reason(err); r {
	case stateFallback, stateSchema, statePrivilege, stateTimeout:
		return r
	}
	return stateOther
}

// note logs what changes; reason tells one failure from another.
func (l *litellm) note(what string, err error, reason func(error) string) {
	why := ""
	if err != nil {
		why = reason(err)
	}
	l.log.Note(what, err, why)
}

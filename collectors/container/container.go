// Package container observes containers through the sockets of Podman
// (https://docs.podman.io/en/latest/_static/api.html, the compatible API) and Docker
// (https://docs.docker.com/reference/api/engine/version/v1.40/): which of those that should run
// do, their health, exit codes and restarts.
//
// One source is one socket: the system's, a user's, Docker's; one that is dead does not blind the
// others. Requests, all GET: /containers/json, /containers/ID/json and /events. A container that
// lives shorter than an interval is seen by its events, also where systemd restarts it as a new
// container each time. Privileges: read and write on the socket, which is as good as root of its
// owner; nothing but GET is ever sent. Use of CPU and memory comes from the files of the control
// group. Cost: a few milliseconds of the engine for each container.
package container

import (
	"context"
	"errors"
	"log/slog"
	"os/user"
	"path/filepath"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/httpjson"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/state"
)

// Config names one socket and the containers that should run behind it.
type Config struct {
	Socket   string   `yaml:"socket" doc:"absolute path of the engine's socket, such as /run/docker.sock; empty: Podman's own, of the user or the system"`
	User     string   `yaml:"user" doc:"name of the user whose Podman it is; empty: the system's"`
	Expected []string `yaml:"expected" doc:"names of containers that should run"`
	Quadlets []string `yaml:"quadlets" doc:"folders whose *.container files name further containers that should run, such as /etc/containers/systemd"`
}

// patience is the share of the time that is kept for telling that the engine did not answer.
const patience = 1. / 3

const systemSocket = "/run/podman/podman.sock"

// Validate implements config.Validator.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if c.Socket != "" && !filepath.IsAbs(c.Socket) {
		report("socket", "expected an absolute path, found %q", c.Socket)
	}
	if c.Socket != "" && c.User != "" {
		report("user", "expected either socket or user")
	}
	seen := map[string]bool{}
	for _, n := range c.Expected {
		if n == "" || seen[n] {
			report("expected", "expected different names, found %q", n)
		}
		seen[n] = true
	}
	for _, dir := range c.Quadlets {
		if !filepath.IsAbs(dir) {
			report("quadlets", "expected absolute paths, found %q", dir)
		}
	}
}

// Definition registers the collector.
func Definition() *collector.Definition {
	return collector.Define(collector.Spec[Config]{
		Name:    "container",
		Summary: "Containers of Podman and Docker: whether those that should run do, health, exits, crash loops.",
		Metrics: declared,
		Every:   30 * time.Second,
		Timeout: 20 * time.Second,
		Sources: true,
		New:     open,
	})
}

type engine struct {
	cfg    Config
	logger *slog.Logger
	log    collector.Transitions
	now    func() time.Time
	store  state.Store
	root   string // of the file system; / but in tests

	client *httpjson.Client // nil until the user is known
	memory *memory          // nil until read from the state
}

func open(cfg Config, env collector.Env) (collector.Collector, error) {
	return &engine{cfg: cfg, logger: env.Logger, log: collector.Transitions{Logger: env.Logger}, now: env.Now, store: env.State, root: "/"}, nil
}

// Close ends the connections.
func (e *engine) Close() error {
	if e.client != nil {
		e.client.Close()
	}
	return nil
}

// Collect implements collector.Collector. An engine that cannot be reached is data.
func (e *engine) Collect(ctx context.Context, out *metric.Batch) error {
	if err := e.recall(); err != nil {
		return err
	}
	should, quadletErr := expected(e.cfg)
	for _, n := range should {
		out.Gauge(configured, 1, n)
	}
	list, err := e.list(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err() // we are being stopped: that says nothing about the engine
	}
	reason := ""
	if err != nil {
		reason = httpjson.Reason(err)
	}
	e.log.Note("engine", err, reason)
	out.Bool(socketUp, err == nil)
	for _, r := range httpjson.Reasons() {
		out.Bool(socketError, r == reason, r)
	}
	if err == nil {
		for _, c := range list {
			out.State(lifeState, c.State, c.name())
			out.Info(info, c.name(), metric.LabelValue(c.Image))
		}
		e.details(ctx, list, out)
		err = e.follow(ctx, should, list)
		out.Bool(eventsReadable, err == nil)
		if err != nil {
			e.logger.Debug("no events", "err", err)
		}
	}
	e.memory.Exits.Emit(out, exits)
	return quadletErr
}

// list gives the containers, one for each name.
func (e *engine) list(ctx context.Context) ([]listed, error) {
	if e.client == nil {
		socket, err := socketOf(e.cfg)
		if err != nil {
			return nil, err
		}
		if e.client, err = httpjson.New(httpjson.Config{URL: "unix://" + socket}); err != nil {
			return nil, err
		}
	}
	inner, cancel := collector.Margin(ctx, patience)
	defer cancel()
	var all []listed
	if err := e.client.Get(inner, "/v1.40/containers/json?all=true", &all); err != nil {
		return nil, err
	}
	return unique(all), nil
}

// socketOf looks a user up at the run, for an account may appear later.
func socketOf(cfg Config) (string, error) {
	switch {
	case cfg.Socket != "":
		return cfg.Socket, nil
	case cfg.User == "":
		return systemSocket, nil
	}
	account, err := user.Lookup(cfg.User)
	if err != nil {
		return "", err
	}
	return filepath.Join("/run/user", account.Uid, "podman", "podman.sock"), nil
}

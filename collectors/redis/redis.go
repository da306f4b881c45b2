// Package redis observes Redis servers (https://redis.io/docs/latest/commands/info/) and those
// that speak its protocol: whether each answers, memory against its limit, clients, evictions,
// persistence, keyspace and replication.
//
// It is the small set for a host without redis_exporter; observe a server with one of the two.
// Commands: PING and INFO, on one connection that stays open. Privileges: with ACLs, a user with
// +ping +info; no key is read. Cost: about a millisecond a run.
package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/redisclient"
)

// Config names one server.
type Config struct {
	Address      string            `yaml:"address" doc:"host:port, or the absolute path of a socket"`
	Username     string            `yaml:"username" doc:"ACL user; empty: the default user"`
	PasswordFile config.SecretFile `yaml:"password_file" doc:"file with the password"`
	TLS          bool              `yaml:"tls" doc:"use TLS"`
	TLSCAFile    string            `yaml:"tls_ca_file" doc:"CA certificates to trust instead of the system's, PEM"`
}

// Validate implements config.Validator.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if key, fault := redisclient.Config(*c).Check(); fault != "" {
		report(key, "%s", fault)
	}
}

// Definition registers the collector.
func Definition() *collector.Definition {
	return collector.Define(collector.Spec[Config]{
		Name:    "redis",
		Summary: "Redis servers: up, memory, clients, evictions, persistence, keyspace, replication.",
		Metrics: declared,
		Every:   15 * time.Second,
		Timeout: 5 * time.Second,
		Sources: true,
		New:     open,
	})
}

type server struct {
	client *redisclient.Client
	log    collector.Transitions
	now    func() time.Time

	runID string // of the server process whose start is known
	start time.Time
}

func open(cfg Config, env collector.Env) (collector.Collector, error) {
	return &server{client: redisclient.New(redisclient.Config(cfg)), log: collector.Transitions{Logger: env.Logger}, now: env.Now}, nil
}

// Close ends the connection.
func (s *server) Close() error { return s.client.Close() }

// Collect implements collector.Collector. A server that cannot be reached is data; one that
// answers but does not let us see is an error.
func (s *server) Collect(ctx context.Context, out *metric.Batch) error {
	inner, cancel := collector.Margin(ctx, 0.1)
	defer cancel()
	ping, text, err := s.ask(inner)
	if ctx.Err() != nil {
		return ctx.Err() // we are being stopped: that says nothing about the server
	}
	denied := redisclient.Denied(err)
	reason := ""
	if err != nil && !denied {
		reason = redisclient.Reason(err)
	}
	s.log.Note("server", err, reason)
	out.Bool(up, reason == "")
	for _, r := range redisclient.Reasons() {
		out.Bool(connectionError, r == reason, r)
	}
	switch {
	case denied:
		return fmt.Errorf("the user may not run INFO: %w", err)
	case err != nil:
		return nil
	}
	in, err := parseInfo(strings.NewReader(text))
	if err != nil {
		return err
	}
	if len(in) == 0 {
		return fmt.Errorf("INFO answered nothing of what is known: %.100q", text)
	}
	if ping > 0 {
		out.Gauge(pingSeconds, ping.Seconds())
	}
	s.emit(in, out)
	return nil
}

// ask gives the time of a PING, 0 where it was refused, and the text of INFO. A server that
// loads its data refuses PING and tells all in INFO.
func (s *server) ask(ctx context.Context) (ping time.Duration, text string, err error) {
	err = s.client.Use(func(c *redis.Client) error {
		if err := c.Ping(ctx).Err(); err == nil { // the first may have had to connect
			begun := time.Now()
			if err := c.Ping(ctx).Err(); err == nil {
				ping = time.Since(begun)
			}
		}
		text, err = c.Info(ctx).Result()
		return err
	})
	return ping, text, err
}

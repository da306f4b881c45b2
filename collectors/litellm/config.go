package litellm

import (
	"fmt"
	"net/url"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/pgsession"
	"vulcan.lan/vulcan_exporter/internal/redisclient"
)

// Config names one gateway and where its parts are; each part may be left out.
type Config struct {
	Postgres       Postgres           `yaml:"postgres" doc:"LiteLLM's database"`
	Redis          redisclient.Config `yaml:"redis" doc:"LiteLLM's Redis"`
	URL            string             `yaml:"url" doc:"the proxy, such as http://127.0.0.1:4000"`
	KeyFile        config.SecretFile  `yaml:"key_file" doc:"file with a key of the proxy, for its version and for the canary"`
	ByTeam         bool               `yaml:"by_team" doc:"tell spend apart by the alias of the team"`
	ByKey          bool               `yaml:"by_key" doc:"tell spend apart by the alias of the key"`
	MaxLabelValues int                `yaml:"max_label_values" doc:"most values of each label; what comes later is counted as other"`
	Overlap        config.Duration    `yaml:"overlap" doc:"longest time from the start of a request to its row in the database"`
	Canary         Canary             `yaml:"canary" doc:"completions that the exporter asks for; they cost money"`
}

// Postgres is LiteLLM's database.
type Postgres struct {
	DSN          string            `yaml:"dsn" doc:"connection string without a password, such as host=/run/postgresql user=exporter dbname=litellm, a URL, or service=name"`
	PasswordFile config.SecretFile `yaml:"password_file" doc:"file with the role's password"`
}

// Canary asks for completions.
type Canary struct {
	Models   []string        `yaml:"models" doc:"models to ask; none by default"`
	Interval config.Duration `yaml:"interval" doc:"time between two completions of a model"`
	Timeout  config.Duration `yaml:"timeout" doc:"time limit of one completion"`
}

func defaults() Config {
	return Config{
		ByTeam: true, ByKey: true, MaxLabelValues: 100,
		// LiteLLM lets a request run for 100 minutes and writes within one after that.
		Overlap: config.Duration(2 * time.Hour),
		Canary:  Canary{Interval: config.Duration(time.Hour), Timeout: config.Duration(time.Minute)},
	}
}

// Validate implements config.Validator.
func (c *Config) Validate(report func(path, format string, args ...any)) {
	if c.Postgres.DSN == "" && c.Redis.Address == "" && c.URL == "" {
		report("url", "expected at least one of postgres, redis and url")
	}
	if c.Postgres.DSN != "" || c.Postgres.PasswordFile != "" {
		if err := (pgsession.Config{DSN: c.Postgres.DSN}).Check(); err != nil {
			report("postgres.dsn", "%v", err)
		}
	}
	if c.Redis != (redisclient.Config{}) {
		if key, fault := c.Redis.Check(); fault != "" {
			report("redis."+key, "%s", fault)
		}
	}
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
		report("url", "expected a URL such as http://127.0.0.1:4000")
	} else if c.URL != "" && u.User != nil {
		report("url", "a password does not belong here; name its file in key_file")
	}
	if c.MaxLabelValues < 1 || c.MaxLabelValues > 1000 {
		report("max_label_values", "expected 1 to 1000, found %d", c.MaxLabelValues)
	}
	if c.Overlap < config.Duration(time.Minute) {
		report("overlap", "expected at least 1m: rows are written in batches, found %s", c.Overlap)
	}
	c.Canary.validate(c.URL, report)
}

func (c *Canary) validate(url string, report func(path, format string, args ...any)) {
	if len(c.Models) > 0 && url == "" {
		report("canary.models", "expected url beside them")
	}
	seen := map[string]bool{}
	for i, m := range c.Models {
		if m == "" || seen[m] {
			report(fmt.Sprintf("canary.models[%d]", i), "expected a model once, found %q", m)
		}
		seen[m] = true
	}
	if c.Timeout <= 0 || c.Interval < c.Timeout {
		report("canary.interval", "expected at least the timeout, which is above 0")
	}
}

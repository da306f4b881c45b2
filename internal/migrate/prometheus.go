package migrate

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"vulcan.lan/vulcan_exporter/internal/httpjson"
)

const (
	// ours is a metric that each vulcan_exporter has, to know its jobs by.
	ours = "vulcan_collector_up"
	// firewall is a metric of opnsense-exporter. The transformer that it reads through has none.
	firewall = "opnsense_up"
	// oursByDefault is the job of deploy/prometheus.
	oursByDefault = "vulcan_exporter"
)

// Prometheus asks a server what the scripts published in the last hour, so that those without
// a textfile are found as well, and which of its rules select old names.
func (r *Report) Prometheus(ctx context.Context, client *httpjson.Client) error {
	if err := r.scraped(ctx, client); err != nil {
		return err
	}
	return r.rules(ctx, client)
}

// scraped asks https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries. Labels
// that are not compared are left to the server: dns_queries_total had one of the domain.
func (r *Report) scraped(ctx context.Context, client *httpjson.Client) error {
	labels := append([]string{"__name__", "job"}, slices.Sorted(maps.Values(compared))...)
	var names []string
	for _, n := range Names() {
		names = append(names, n.Old)
	}
	query := "group by (" + strings.Join(labels, ", ") + `) (last_over_time({__name__=~"` +
		strings.Join(append(names, ours, firewall), "|") + `"}[1h]))`
	type sample struct {
		Metric map[string]string `json:"metric"`
	}
	var body struct {
		Data struct {
			Result []sample `json:"result"`
		} `json:"data"`
	}
	if err := client.Get(ctx, "/api/v1/query?query="+url.QueryEscape(query), &body); err != nil {
		return err
	}
	type family struct{ job, name string }
	found, own := map[family][]map[string]string{}, map[string]bool{oursByDefault: true}
	for _, s := range body.Data.Result {
		f := family{s.Metric["job"], s.Metric["__name__"]}
		found[f] = append(found[f], s.Metric)
		if f.name == ours {
			own[f.job] = true
		}
	}
	if !slices.ContainsFunc(body.Data.Result, func(s sample) bool { return s.Metric["__name__"] == ours }) {
		r.line("empty", "prometheus", "it had no %s in the last hour: it is another server, or does not scrape vulcan_exporter yet", ours)
		r.open = append(r.open, "Prometheus does not know vulcan_exporter")
	}
	order := func(a, b family) int { return cmp.Or(cmp.Compare(a.job, b.job), cmp.Compare(a.name, b.name)) }
	for _, f := range slices.SortedFunc(maps.Keys(found), order) {
		n, known := Find(f.name)
		_, dns := found[family{f.job, "dns_query_log_last_row"}]
		switch {
		case own[f.job]:
		case f.name == firewall:
			r.transformer("job " + f.job)
		case !known || common(n) && f.job != "dns_query_logs" && !dns:
		default:
			slices.SortFunc(found[f], func(a, b map[string]string) int {
				return cmp.Compare(a[compared[n.Collector]], b[compared[n.Collector]])
			})
			r.metric("job "+f.job, n, found[f])
		}
	}
	return nil
}

// common names are such that other programs may have them too.
func common(n Name) bool { return n.Collector == "dnsquery" && !strings.HasPrefix(n.Old, "dns_") }

// proxied is true where a source listens as opnsense-api-transformer did.
func (r *Report) proxied() bool {
	return some(r.settings["opnsense"], func(s settings) bool { return s.Listen != "" })
}

func (r *Report) transformer(where string) {
	if !r.proxied() && r.once("missing", where, "opnsense-api-transformer (port 8444), if it reads through that: opnsense.listen is not configured") {
		r.Missing++
	}
}

// NotAsked says what only Prometheus could tell: whether the scripts without a textfile run.
func (r *Report) NotAsked() {
	for _, s := range Scripts() {
		configured := len(r.settings[s.Collector]) > 0
		if s.Collector == "opnsense" {
			configured = r.proxied()
		}
		switch {
		case strings.Contains(s.Was, "textfile") || s.Collector == "opnsense" && configured:
		case configured:
			r.Unknown++
			r.line("unknown", s.Name, "it has no textfile; --prometheus tells what of it is not covered")
		default:
			r.Unknown++
			r.open = append(r.open, s.Name+" is unknown")
			r.line("unknown", s.Name, "it has no textfile; --prometheus tells whether it runs, collector %s is not configured", s.Collector)
		}
	}
}

// rules asks https://prometheus.io/docs/prometheus/latest/querying/api/#rules.
func (r *Report) rules(ctx context.Context, client *httpjson.Client) error {
	var body struct {
		Data struct {
			Groups []struct {
				Name  string `json:"name"`
				Rules []struct {
					Name  string `json:"name"`
					Query string `json:"query"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	if err := client.Get(ctx, "/api/v1/rules", &body); err != nil {
		return err
	}
	for _, g := range body.Data.Groups {
		for _, rule := range g.Rules {
			r.expression("rule", g.Name+"/"+rule.Name, rule.Query)
		}
	}
	return nil
}

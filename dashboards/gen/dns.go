package main

import "slices"

func dns(all alerts) *board {
	b := &board{
		all: all, uid: "dns", title: "DNS", hours: 6, loki: true,
		about:      "Does the DNS server answer, whom and what, and are its queries recorded whole?",
		watch:      without(all.named("dns_alerts", ""), "DNSServerDown"),
		anywhere:   []string{"DNSServerDown"},
		collectors: []string{"dnsquery"},
	}
	b.first(
		number("How many queries?", "Recorded queries a second, over 10 minutes.", "reqps", q(`sum(rate(dns_query_total{@}[10m]))`, "")).
			limit(all.limit("DNSHighQueryRate", "dns_query_total")).w(5),
		number("Is the record behind?", "Time since the exporter had read all that the server's log held.", "s",
			q(`max(time() - dns_query_caught_up_timestamp_seconds{@})`, "")).limit(all.limit("DNSIngestLag", "")).w(4),
		number("Are queries lost?", "Gaps in the log, and rows that could not be read, in the last hour.", "none",
			q(`sum(increase(dns_query_gaps_total{@}[1h])) + sum(increase(dns_query_rows_dropped_total{@}[1h]))`, "")).limit(some(all, "DNSRowsLost")).decimals(0).w(5),
	)
	b.line(8,
		graph("What became of the queries?", "Queries a second, by response code.", "reqps", q(`sum by (rcode) (rate(dns_query_total{@}[$__rate_interval]))`, "{{rcode}}")).stacked(),
		graph("Where did the answers come from?", "Queries a second, by kind of answer.", "reqps",
			q(`sum by (response_type) (rate(dns_query_total{@}[$__rate_interval]))`, "{{response_type}}")).stacked(),
	)
	b.line(9,
		ranking("Who asks most?", "Queries of each client in the last 24 hours; clients beyond the limit are in other.", "none",
			q(`sort_desc(topk(12, sum by (client) (increase(dns_query_by_client_total{@}[24h]))))`, "{{client}}")).neutral().decimals(0),
		graph("Which clients ask now?", "Queries a second; the 8 busiest at each moment.", "reqps",
			q(`topk(8, sum by (client) (rate(dns_query_by_client_total{@}[$__rate_interval])))`, "{{client}}")),
	)
	b.line(8,
		graph("Which types are asked for?", "Queries a second, by type.", "reqps", q(`sum by (qtype) (rate(dns_query_by_qtype_total{@}[$__rate_interval]))`, "{{qtype}}")).stacked().w(8),
		graph("How many fail or are blocked?", "Part of the queries, over an hour.", "percentunit",
			q(part(`rcode="ServerFailure"`), "server failure {{instance}}"), q(part(`response_type=~"Blocked|UpstreamBlocked|UpstreamBlockedCached"`), "blocked {{instance}}")).
			limit(all.limit("DNSServfailRatioHigh", "dns_query_total")).shows("DNSBlockedRatioCollapsed").w(8),
		heat("How long do other servers take?", "Recursive answers by the time that they took.", "s", q(`sum by (le) (increase(dns_query_response_seconds_bucket{@}[$__rate_interval]))`, "{{le}}")).w(8),
	)
	b.line(8,
		states("When did a server not answer?", "Name servers that blackbox_exporter asks.",
			q(`probe_success{job="blackbox_dns"}`, "{{service}} {{instance}}")).yes("answers", "down").shows("DNSServerDown").w(10),
		list("What state is the server in?", "As the server says.", []string{"instance"},
			col("Up since", "dateTimeFromNow", `1000 * dns_query_server_start_timestamp_seconds{@}`),
			col("Blocking", "none", `dns_query_server_blocking_enabled{@}`).yes("on", "off"),
			col("Lists renewed", "dateTimeFromNow", `1000 * dns_query_server_blocklist_updated_timestamp_seconds{@}`),
			col("Cached", "short", `dns_query_server_cached_entries{@}`),
			col("Log", "none", `dns_query_api_up{@}`).yes("read", "NO"),
			col("Loki", "none", `dns_query_loki_up{@}`).yes("takes it", "NO"),
		).shows("DNSBlockingDisabled", "DNSQueryLogUnreadable").w(14),
	)
	b.line(8,
		graph("How many clients and names?", "Different ones in the last hour, estimated.", "none",
			q(`dns_query_distinct_clients{@}`, "clients {{instance}}"), q(`dns_query_distinct_domains{@}`, "names {{instance}}")),
		graph("What does the server itself count?", "Queries of the last hour by its own statistics.", "none",
			q(`dns_query_server_window_queries{@}`, "{{outcome}}")),
	)
	b.section("What was asked, line by line")
	b.logs()
	b.section("Is the record whole?")
	b.line(8,
		graph("Is the reader keeping up?", "Seconds between the newest query at the server and the newest counted.", "s", q(`dns_query_cursor_lag_seconds{@}`, "{{instance}}")).shows("DNSIngestLag").w(8),
		graph("Are rows read, dropped or missed?", "Rows in the hour before.", "none",
			q(`sum(increase(dns_query_rows_read_total{@}[1h]))`, "read"), q(`sum(increase(dns_query_rows_dropped_total{@}[1h]))`, "dropped"),
			q(`sum(increase(dns_query_gap_rows_total{@}[1h]))`, "missed"), q(`sum(increase(dns_query_loki_dropped_total{@}[1h]))`, "refused by Loki")).
			shows("DNSRowsLost", "DNSLokiRowsRefused").w(8),
		graph("Does the server refuse the reader?", "Failed calls of its API in the hour before.", "none",
			q(`topk(5, sum by (reason) (increase(dns_query_api_errors_total{@}[1h])))`, "{{reason}}")).bars().w(8),
	)
	b.line(8,
		graph("Does Loki take the lines?", "Rows a second that Loki took, and pushes a second that failed.", "none",
			q(`sum(rate(dns_query_rows_pushed_total{@}[$__rate_interval]))`, "taken"), q(`topk(4, sum by (reason) (rate(dns_query_loki_push_failures_total{@}[$__rate_interval])))`, "failed: {{reason}}")).shows("DNSLokiPushFailing").w(8),
		graph("How full is the queue to Loki?", "Bytes that wait on disk, of what they may be.", "percentunit",
			q(`dns_query_loki_queue_bytes{@} / dns_query_loki_queue_max_bytes{@}`, "{{instance}}")).between(0, 1).w(8),
		heat("How long does a push take?", "Pushes to Loki by their duration.", "s", q(`sum by (le) (increase(dns_query_loki_push_seconds_bucket{@}[$__rate_interval]))`, "{{le}}")).w(8),
	)
	return b
}

// queryLogs are the streams of the collector dnsquery, by the job_label that it has by default.
const queryLogs = `{job="dns_query_logs"}`

func (b *board) logs() {
	b.line(8,
		logged("Which names are blocked most?", "Blocked queries for each name, of the lines in Loki.", "none",
			`topk(8, sum by (qname) (count_over_time({job="dns_query_logs", response_type=~"Blocked|UpstreamBlocked|UpstreamBlockedCached"} | logfmt [$__auto])))`, "{{qname}}"),
		logged("Who asks for what is searched?", "Queries of each client whose line fits the search above; without one, all.", "none",
			`topk(8, sum by (client) (count_over_time(`+queryLogs+` |~ "(?i)$search" | logfmt [$__auto])))`, "{{client}}"),
	)
	b.line(12, lines("Which queries were these?", "The newest 200 lines that fit the search above: a name, an address, rcode=NxDomain.", queryLogs+` |~ "(?i)$search"`))
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(names, func(n string) bool { return n == name })
}

// part is that of the queries which have the labels.
func part(matchers string) string {
	return `sum by (instance) (increase(dns_query_total{@, ` + matchers + `}[1h])) / sum by (instance) (increase(dns_query_total{@}[1h]))`
}

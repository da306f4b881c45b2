package dnsquery

import (
	"vulcan.lan/vulcan_exporter/collectors/dnsquery/loki"
	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// None is the label value of a question that the message did not have.
const none = "none"

// The closed sets of the counters' labels, as the server names things; the rest is other.
var (
	rcodes        = []string{"NoError", "FormatError", "ServerFailure", "NxDomain", "NotImplemented", "Refused", metric.Other}
	responseTypes = []string{"Authoritative", "Recursive", "Cached", "Blocked", "UpstreamBlocked", "UpstreamBlockedCached", "Dropped", metric.Other}
	qtypes        = []string{"A", "AAAA", "ANY", "AXFR", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "IXFR", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV", "SVCB", "TLSA", "TXT", none, metric.Other}
	protocols     = []string{"Udp", "Tcp", "Tls", "Https", "HttpsJson", "Quic", "UdpProxy", "TcpProxy", metric.Other}
	outcomes      = []string{"no_error", "server_failure", "nx_domain", "refused", "authoritative", "recursive", "cached", "blocked", "dropped"}
	zoneTypes     = []string{"zones", "allowed", "blocked", "allow_list", "block_list"}
)

// Reasons why a row that the server has is counted nowhere, or not sent to Loki.
const (
	dropMalformed = "malformed" // it could not be read
	dropLost      = "lost"      // its place in the queue on disk was damaged or is gone
)

// responseSeconds are the bounds for answers of other servers: from a neighbour to a timeout.
var responseSeconds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8}

var (
	queries = metric.NewCounter("dns_query_total",
		"Queries in the server's query log, by response code and by where the answer came from.",
		metric.Closed("rcode", rcodes...), metric.Closed("response_type", responseTypes...), metric.Live())
	byQType = metric.NewCounter("dns_query_by_qtype_total",
		"Queries in the server's query log, by the type that was asked for.", metric.Closed("qtype", qtypes...), metric.Live())
	byProtocol = metric.NewCounter("dns_query_by_protocol_total",
		"Queries in the server's query log, by the transport they came with.", metric.Closed("protocol", protocols...), metric.Live())
	byClient = metric.NewCounter("dns_query_by_client_total",
		"Queries in the server's query log, by the client's address; other is all clients beyond max_clients.", metric.Labels("client"), metric.Live())
	clientInfo = metric.NewInfo("dns_query_client_info",
		"Name of a client, from the file of names or by reverse lookup.", metric.Labels("client", "name"))
	responses = metric.NewHistogram("dns_query_response_seconds",
		"Seconds that other servers took for an answer, of recursive answers only.", responseSeconds, metric.Live())
	distinctClients = metric.NewGauge("dns_query_distinct_clients",
		"Estimate of the different clients of the last hour (from a full ten minutes on), with a standard error of 1.6 percent.", metric.Closed("window", "1h"))
	distinctDomains = metric.NewGauge("dns_query_distinct_domains",
		"Estimate of the different names asked for in the last hour (from a full ten minutes on), with a standard error of 1.6 percent.", metric.Closed("window", "1h"))
	topDomains = metric.NewGauge("dns_query_top_domain_queries",
		"Queries for the name within the present clock hour, at most; only the most frequent names of it.", metric.Labels("domain"))

	rowsRead = metric.NewCounter("dns_query_rows_read_total",
		"Rows of the query log that were read and counted, each once.", metric.Live())
	rowsDropped = metric.NewCounter("dns_query_rows_dropped_total",
		"Rows of the query log that are counted nowhere because they could not be read.", metric.Closed("reason", dropMalformed), metric.Live())
	gaps = metric.NewCounter("dns_query_gaps_total",
		"Times that the server deleted rows before they were read, or may have.", metric.Live())
	gapRows = metric.NewCounter("dns_query_gap_rows_total",
		"About how many rows are missing, by the server's own count of queries (version 15); gaps of unknown size add nothing.", metric.Live())
	lateRows = metric.NewCounter("dns_query_late_rows_total",
		"Rows whose time lies before one that was read earlier: bulk inserts and steps of the server's clock.", metric.Live())
	cursorTime = metric.NewGauge("dns_query_cursor_timestamp_seconds",
		"Time of the newest row that was read.", metric.Live())
	cursorLag = metric.NewGauge("dns_query_cursor_lag_seconds",
		"Seconds between the newest row that was read and the newest one at the server.")
	caughtUp = metric.NewGauge("dns_query_caught_up_timestamp_seconds",
		"When the exporter last had read all that the server's log held.", metric.Live())
	backlog = metric.NewGauge("dns_query_backlog_rows", "Rows at the server that were not read yet.")
	apiUp   = metric.NewGauge("dns_query_api_up",
		"1 if the query log could be read the last time, 0 if not.", metric.Live())
	apiErrors = metric.NewCounter("dns_query_api_errors_total",
		"Calls of the server's API that failed.", metric.Closed("reason", technitium.Reasons()...), metric.Live())
	stateResets = metric.NewCounter("dns_query_state_resets_total",
		"Times that kept state was there and could not be used, so that reading began anew.", metric.Live())
	statePersistent = metric.NewGauge("dns_query_state_persistent",
		"1 if position and counts survive the exporter, 0 if it has no folder to keep them in.", metric.Live())

	lokiConfigured = metric.NewGauge("dns_query_loki_configured",
		"1 if rows are sent to Loki, 0 if not.", metric.Live())
	lokiUp = metric.NewGauge("dns_query_loki_up",
		"1 if Loki took the last push, 0 if not.", metric.Live())
	lokiSuccess = metric.NewGauge("dns_query_loki_last_success_timestamp_seconds",
		"When Loki last took a push.", metric.Live())
	lokiPush = metric.NewHistogram("dns_query_loki_push_seconds",
		"Seconds from a push to Loki's answer.", []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}, metric.Live())
	lokiQueueRows = metric.NewGauge("dns_query_loki_queue_rows",
		"Rows on disk that Loki has not taken yet.", metric.Live())
	lokiQueueBytes = metric.NewGauge("dns_query_loki_queue_bytes",
		"Bytes on disk that Loki has not taken yet.", metric.Live())
	lokiQueueMax = metric.NewGauge("dns_query_loki_queue_max_bytes",
		"Bytes from which on reading the query log waits for Loki.", metric.Live())
	rowsPushed = metric.NewCounter("dns_query_rows_pushed_total",
		"Rows that Loki took.", metric.Live())
	lokiDropped = metric.NewCounter("dns_query_loki_dropped_total",
		"Rows that will never be in Loki: it refused them, or they were lost on our disk.", metric.Closed("reason", append(loki.DropReasons(), dropLost)...), metric.Live())
	lokiFailures = metric.NewCounter("dns_query_loki_push_failures_total",
		"Pushes that failed and are tried again.", metric.Closed("reason", loki.FailReasons()...), metric.Live())

	lifetimeQueries = metric.NewCounter("dns_query_server_lifetime_queries_total",
		"Queries since the server started, by outcome, as it counts them itself (version 15).", metric.Closed("outcome", append([]string{"total"}, outcomes...)...))
	windowQueries = metric.NewGauge("dns_query_server_window_queries",
		"Queries of the last hour, by outcome, as the server's dashboard shows them.", metric.Closed("outcome", append([]string{"total"}, outcomes...)...))
	serverStart = metric.NewGauge("dns_query_server_start_timestamp_seconds", "When the server was started.")
	serverZones = metric.NewGauge("dns_query_server_zones",
		"Zones of the server, of its allowed and blocked zones and of its lists.", metric.Closed("type", zoneTypes...))
	cachedEntries = metric.NewGauge("dns_query_server_cached_entries", "Entries in the server's cache.")
	blocking      = metric.NewGauge("dns_query_server_blocking_enabled", "1 if the server blocks names, 0 if blocking is off.")
	listsUpdated  = metric.NewGauge("dns_query_server_blocklist_updated_timestamp_seconds", "When the server last fetched its block lists.")
	listsNext     = metric.NewGauge("dns_query_server_blocklist_next_update_timestamp_seconds", "When the server will fetch its block lists next.")
	updateThere   = metric.NewGauge("dns_query_server_update_available", "1 if a newer version of the server is there, 0 if not; asked once a day.")
	serverInfo    = metric.NewInfo("dns_query_server_info", "Version of the server.", metric.Labels("version"))
)

var declared = []metric.Metric{
	queries, byQType, byProtocol, byClient, clientInfo, responses, distinctClients, distinctDomains, topDomains,
	rowsRead, rowsDropped, gaps, gapRows, lateRows, cursorTime, cursorLag, caughtUp, backlog, apiUp, apiErrors,
	stateResets, statePersistent,
	lokiConfigured, lokiUp, lokiSuccess, lokiPush, lokiQueueRows, lokiQueueBytes, lokiQueueMax, rowsPushed, lokiDropped, lokiFailures,
	lifetimeQueries, windowQueries, serverStart, serverZones, cachedEntries, blocking, listsUpdated, listsNext, updateThere, serverInfo,
}

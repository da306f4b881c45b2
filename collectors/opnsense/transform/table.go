package transform

// Builtin is the table of the known mismatches between the answers of OPNsense
// 24.7 to 26.7 and the types of opnsense-exporter v0.0.11 and later, with the
// reports of what breaks. One table serves all versions: where a version
// answers as the exporter wants, its rules find nothing to do.
func Builtin() []Rule {
	var rules []Rule
	add := func(endpoint string, want Want, paths ...string) {
		for _, p := range paths {
			rules = append(rules, Rule{Endpoint: endpoint, Path: p, Want: want})
		}
	}
	status(&rules, add)
	gateways(add)
	lists(add)
	counters(add)

	// The map of new packages and the check's result are empty arrays until an
	// update check has run (#41 #47 #65 #74). An absent needs_reboot stays
	// absent: "0" would say that no reboot is needed.
	add("core/firmware/status", String, "last_check", "needs_reboot", "os_version", "product_id",
		"product_version", "product_abi", "status", "product.product_check.upgrade_needs_reboot")
	add("core/firmware/status", Object, "product", "product.product_check")
	add("core/firmware/status", Array, "new_packages", "upgrade_packages")

	// Without extended statistics these two are missing, and the reader's Atoi
	// of "" drops the endpoint with the uptime in it (#12 #41 #74). It publishes
	// neither of them.
	unbound := "unbound/diagnostics/stats"
	add(unbound, Object, "data", "data.time", "data.num", "data.num.answer", "data.num.answer.rcode", "data.num.query")
	add(unbound, String, "data.time.*", "data.total.*", "data.total.num.*", "data.num.answer.rcode.*")
	for _, field := range []string{"data.num.answer.bogus", "data.num.answer.secure"} {
		rules = append(rules, Rule{Endpoint: unbound, Path: field, Want: String, Inject: `"0"`})
	}
	return rules
}

type adder func(endpoint string, want Want, paths ...string)

// statusCodes are the severities of OPNsense\System\SystemStatusCode.
func statusCodes() map[string]string {
	return map[string]string{"ERROR": "-1", "WARNING": "0", "NOTICE": "1", "OK": "2"}
}

// status: metadata.system.status is the number 2 while nothing is to be said
// and a word from the first notice on, "OK" included; from v0.0.12 on a word
// keeps opnsense_up at 0 (#48 #63 #82 #119).
func status(rules *[]Rule, add adder) {
	const endpoint = "core/system/status"
	for _, path := range []string{"metadata.system.status", "metadata.firewall.status", "metadata.crashreporter.status"} {
		*rules = append(*rules, Rule{Endpoint: endpoint, Path: path, Want: Int, Values: statusCodes()})
	}
	add(endpoint, Object, "metadata", "metadata.system", "metadata.firewall", "system", "firewall", "crashreporter")
	add(endpoint, Int, "firewall.statusCode", "crashreporter.statusCode")
	add(endpoint, String, "system.status", "firewall.status", "firewall.message", "crashreporter.status", "crashreporter.message")
}

// gateways: monitor_disable is true for implicit gateways and 0 for legacy ones
// up to 25.7.7, weight a number up to 25.1.8, priority a number in all versions
// (#58 #59 #70 #74, core#8805 core#9356). The reader takes every text but "0"
// for true, so false must become "0".
func gateways(add adder) {
	const endpoint = "routing/settings/searchGateway"
	add(endpoint, Int, "total", "rowCount", "current", "rows[].attribute")
	add(endpoint, Bool, "rows[].disabled", "rows[].defaultgw", "rows[].dynamic", "rows[].virtual", "rows[].upstream")
	add(endpoint, Array, "rows")
	for _, name := range []string{
		"monitor_disable", "monitor_noroute", "force_down", "fargw", "weight", "priority", "monitor", "gateway",
		"latencylow", "latencyhigh", "losslow", "losshigh", "interval", "time_period", "loss_interval", "data_length",
		"current_latencylow", "current_latencyhigh", "current_losslow", "current_losshigh", "current_interval",
		"current_time_period", "current_loss_interval", "current_data_length",
		"name", "descr", "interface", "ipprotocol", "uuid", "if", "interface_descr", "status", "delay", "stddev", "loss", "label_class",
	} {
		add(endpoint, String, "rows[]."+name)
	}
}

// lists are grids whose rows have texts, some numbers and few booleans.
func lists(add adder) {
	kea := []string{"if", "address", "hwaddr", "client_id", "duid", "valid_lifetime", "expire", "if_descr", "if_name",
		"mac_info", "hostname", "state", "subnet_id", "pool_id"}
	for endpoint, texts := range map[string][]string{
		"core/service/search":              {"id", "name", "description"},
		"diagnostics/interface/search_arp": {"mac", "ip", "intf", "type", "manufacturer", "hostname", "intf_description"},
		"cron/settings/searchJobs":         {"uuid", "enabled", "minutes", "hours", "days", "months", "weekdays", "description", "command", "origin"},
		"wireguard/service/show":           {"if", "type", "status", "name", "ifname", "peer-status"},
		"openvpn/instances/search":         {"uuid", "description", "role", "dev_type", "enabled"},
		"openvpn/service/search_sessions":  {"description", "username", "virtual_address", "real_address", "status"},
		"ipsec/sessions/search_phase1":     {"phase1desc", "name", "ikeid", "install-time"},
		"ipsec/sessions/search_phase2":     {"phase2desc", "name", "spi-in", "spi-out", "install-time", "rekey-time", "life-time", "bytes-in", "bytes-out", "packets-in", "packets-out"},
		"kea/leases4/search":               kea,
		"kea/leases6/search":               kea,
		"dhcpv4/leases/searchLease":        nil,
	} {
		add(endpoint, Int, "total", "rowCount", "current")
		add(endpoint, Array, "rows")
		for _, name := range texts {
			add(endpoint, String, "rows[]."+name)
		}
	}
	add("core/service/search", Int, "rows[].locked", "rows[].running")
	add("diagnostics/interface/search_arp", Bool, "rows[].permanent", "rows[].expired")
	add("diagnostics/interface/search_arp", Int, "rows[].expires")
	add("wireguard/service/show", Number, "rows[].latest-handshake", "rows[].transfer-rx", "rows[].transfer-tx")
	add("ipsec/sessions/search_phase1", Bool, "rows[].connected")
	add("ipsec/sessions/search_phase1", Int, "rows[].bytes-in", "rows[].bytes-out", "rows[].packets-in", "rows[].packets-out")
	// An empty map of interfaces is [] while the plugin is off.
	for _, endpoint := range []string{"kea/leases4/search", "kea/leases6/search", "dhcpv4/leases/searchLease"} {
		add(endpoint, Object, "interfaces")
	}
}

// counters: an empty PHP map is [], and the counter of delivered UDP packets
// underflows to 1.8446744073709087e+19, which no int holds (#82).
func counters(add adder) {
	add("diagnostics/traffic/interface", Object, "interfaces", "interfaces.*")
	add("diagnostics/traffic/interface", String, "interfaces.*.*")
	add("diagnostics/firewall/pf_statistics/interfaces", Object, "interfaces", "interfaces.*")
	add("diagnostics/firewall/pf_statistics/interfaces", Int, "interfaces.*.*")
	const protocols = "diagnostics/interface/getProtocolStatistics"
	add(protocols, Object, "statistics", "statistics.*")
	add(protocols, Int, "statistics.*.*", "statistics.*.*.*")
	add(protocols, String, "statistics.icmp.icmp-address-responses")
	add("diagnostics/system/systemTemperature", String, "[].temperature", "[].device", "[].type")
	add("diagnostics/system/systemTemperature", Int, "[].device_seq")
}

package dashboards

import "strings"

// The story is what one host's exporters say over a day: the names that this project's own
// examples use, values that are in order, and a few faults. Metrics, labels and closed values
// are the declared ones; the story only fills in what a declaration leaves open.

type labelSet map[string]string

// things are the label sets of the metrics whose names begin with a prefix; the longest wins.
// A metric takes of each set the labels that it has.
var things = map[string][]labelSet{
	"": {{"source": "default"}},
	"backup_": merge(labelSet{"units": "restic-backups-*.service"}, each("backup", func(n string) labelSet {
		return labelSet{"name": "restic-backups-" + n + ".service", "units": "restic-backups-*.service"}
	}, "Audio", "Databases", "Home", "Nextcloud", "Photos", "Video", "doc", "src")),
	"backup_artifact_": {{"backup": "postgresql"}, {"backup": "git-workspace"}},
	"restic_": each("repository", func(string) labelSet {
		return labelSet{"host": "vulcan", "paths": "/tank", "tags": "", "username": "root", "version": "0.18.0", "id": "1a2b3c4d", "pid": "1", "exclusive": "false"}
	}, "Audio", "Databases", "Home", "Nextcloud", "Photos", "Video", "doc", "src"),
	"zfs_": {
		{"pool": "tank", "class": "root", "vdev": "tank", "name": "tank", "type": "filesystem", "names": "autosnap_*", "datasets": "tank/**", "message_id": "ZFS-8000-9P"},
		{"pool": "tank", "class": "normal", "vdev": "mirror-0/sda", "name": "tank/home", "type": "filesystem", "names": "autosnap_*"},
		{"pool": "tank", "class": "normal", "vdev": "mirror-0/sdb", "name": "tank/media", "type": "filesystem", "names": "autosnap_*"},
		{"pool": "tank", "class": "normal", "vdev": "mirror-1/sdc", "name": "tank/backups", "type": "filesystem", "names": "autosnap_*"},
		{"pool": "tank", "class": "log", "vdev": "nvme0n1p4", "name": "tank/postgres", "type": "filesystem", "names": "autosnap_*"},
	},
	"certificate_": append(each("name", func(n string) labelSet {
		return labelSet{"type": "nginx", "path": "/var/lib/nginx/certs/" + n + ".crt", "endpoint": "", "position": "0", "glob": "/var/lib/nginx/certs/*.crt",
			"subject": "CN=" + n, "issuer": "CN=Vulcan Intermediate CA", "serial": "1f", "san_count": "1", "key_type": "ECDSA P-256"}
	}, "git.vulcan.lan", "home.vulcan.lan", "nextcloud.vulcan.lan", "grafana.vulcan.lan"),
		labelSet{"name": "imap", "type": "endpoint", "path": "", "endpoint": "imap.vulcan.lan:993", "position": "0", "cipher": "TLS_AES_128_GCM_SHA256",
			"glob": "/etc/ssl/dovecot/*.crt", "issuer": "CN=Vulcan Intermediate CA"}),
	"certificate_served_":   {{"name": "imap", "endpoint": "imap.vulcan.lan:993", "path": "/etc/ssl/dovecot/imap.crt"}},
	"certificate_endpoint_": {{"name": "imap", "endpoint": "imap.vulcan.lan:993"}, {"name": "web", "endpoint": "home.vulcan.lan:443"}},
	"certificate_ocsp_":     {{"name": "web", "endpoint": "home.vulcan.lan:443"}},
	"certificate_crl_":      {{"name": "vulcan", "type": "crl", "path": "/var/lib/step-ca/crl.pem", "issuer": "CN=Vulcan Intermediate CA"}},
	"critical_service_": each("name", nil, "postgresql.service", "nginx.service", "step-ca.service", "dovecot.service", "postfix.service", "prometheus.service",
		"alertmanager.service", "grafana.service", "loki.service", "home-assistant.service", "technitium-dns-server.service", "redis-litellm.service", "sshd.service"),
	"systemd_": each("name", func(string) labelSet {
		return labelSet{"type": "service", "result": "exit-code", "load_state": "bad-setting"}
	}, "postgresql.service", "nginx.service", "home-assistant.service", "litellm.service", "logrotate.service", "zpool-trim.service"),
	"systemd_timer_": each("name", nil, "nextcloud-cron.timer", "mbsync-johnw.timer", "logrotate.timer", "sanoid.timer", "restic-check.timer", "podman-prune.timer"),
	"container_": each("name", func(n string) labelSet { return labelSet{"image": "ghcr.io/" + n + ":latest"} },
		"litellm", "wallabag", "silly-tavern", "speedtest", "opnsense-exporter", "technitium-dns-exporter"),
	"pg_": {
		{"source": "main", "datname": "litellm", "datid": "16401", "slot_name": "standby", "slot_type": "physical", "queryid": "41", "limit": "1m", "version": "17", "application_name": "standby", "client_addr": ""},
		{"source": "main", "datname": "nextcloud", "datid": "16402", "queryid": "42", "limit": "5m"},
		{"source": "main", "datname": "homeassistant", "datid": "16403", "queryid": "43", "limit": "30m"},
	},
	"redis_": {
		{"source": "litellm", "db": "db0", "err": "OOM", "version": "7.0", "role": "master", "mode": "standalone", "maxmemory_policy": "allkeys-lru"},
		{"source": "nextcloud", "db": "db0", "err": "WRONGTYPE", "version": "7.0", "role": "master", "mode": "standalone", "maxmemory_policy": "noeviction"},
	},
	"litellm_": {
		{"model_group": "claude-sonnet", "provider": "anthropic", "team": "family", "key": "home-assistant", "class": "RateLimitError", "code": "429"},
		{"model_group": "gpt-mini", "provider": "openai", "team": "family", "key": "open-webui", "class": "Timeout", "code": "408"},
		{"model_group": "qwen-local", "provider": "ollama", "team": "lab", "key": "agents"},
	},
	"litellm_budget_": {{"kind": "team", "name": "family"}, {"kind": "team", "name": "lab"}, {"kind": "key", "name": "agents"}},
	"opnsense_": {
		{"source": "home", "name": "WAN_DHCP", "endpoint": "gateways/status", "field": "monitor_disable", "device": "cpu0", "mountpoint": "/", "type": "zfs", "interface": "wan", "protocol": "inet"},
		{"source": "home", "name": "LTE_BACKUP", "endpoint": "firmware/status", "field": "needs_reboot", "device": "cpu1", "mountpoint": "/var/log", "type": "zfs", "interface": "lte", "protocol": "inet"},
	},
	"mbsync_": {
		{"account": "johnw", "name": "mbsync-johnw.service", "mailbox": "INBOX", "units": "mbsync-*.service"},
		{"account": "assembly", "name": "mbsync-assembly.service", "mailbox": "Archive", "units": "mbsync-*.service"},
	},
	"vulcan_collector_": each("collector", func(string) labelSet { return labelSet{"source": "default"} },
		"backup", "certificate", "container", "criticalservice", "dnsquery", "homeassistant", "litellm", "mbsync", "opnsense", "postgres", "redis", "restic", "systemd", "zfs"),
	"dns_query_":       {{"version": "15.2", "server": "dns"}},
	"node_cpu_":        {{"cpu": "0"}, {"cpu": "1"}, {"cpu": "2"}, {"cpu": "3"}},
	"node_filesystem_": {{"device": "/dev/nvme0n1p2", "fstype": "ext4", "mountpoint": "/"}, {"device": "/dev/nvme0n1p1", "fstype": "vfat", "mountpoint": "/boot"}},
	"node_disk_":       {{"device": "nvme0n1"}, {"device": "sda"}},
	"node_network_":    {{"device": "enp1s0"}, {"device": "lo"}},
	"nginx_log_":       {{"server_name": "nextcloud.vulcan.lan"}, {"server_name": "home.vulcan.lan"}},
	"homeassistant_": {
		{"entity": "sensor.power", "friendly_name": "Power", "domain": "sensor"}, {"entity": "light.hall", "friendly_name": "Hall", "domain": "light"},
		{"entity": "switch.pump", "friendly_name": "Pump", "domain": "switch"},
	},
	"postfix_smtp_":           {{"stage": "before_queue_manager"}, {"stage": "transmission"}},
	"alertmanager_":           {{"integration": "email", "reason": "other", "version": "v2"}},
	"prometheus_":             {{"alertmanager": "http://127.0.0.1:9093/api/v2/alerts", "rule_group": "exporter"}},
	"node_uname_info":         {{"nodename": "vulcan", "machine": "aarch64", "release": "6.12", "sysname": "Linux"}},
	"container_socket_":       {{}},
	"home_assistant_":         {{}},
	"opnsense_gateway_":       {{"name": "WAN_DHCP"}, {"name": "LTE_BACKUP"}},
	"dns_query_by_client_":    {{"client": "192.168.1.20"}, {"client": "192.168.1.31"}, {"client": "192.168.1.7"}, {"client": "other"}},
	"dns_query_by_qtype_":     {{"qtype": "A"}, {"qtype": "AAAA"}, {"qtype": "HTTPS"}, {"qtype": "PTR"}},
	"dns_query_by_protocol_":  {{"protocol": "Udp"}, {"protocol": "Tcp"}, {"protocol": "Tls"}},
	"dns_query_total":         {{"rcode": "ServerFailure", "response_type": "Recursive"}, {"rcode": "NoError", "response_type": "Cached"}, {"rcode": "NoError", "response_type": "Recursive"}, {"rcode": "NoError", "response_type": "Blocked"}, {"rcode": "NxDomain", "response_type": "Recursive"}},
	"dns_query_top_domain_":   {{"domain": "example.org"}},
	"litellm_redis_":          {{}},
	"systemd_unit_load_error": {{"name": "broken.service", "load_state": "bad-setting"}},
}

func merge(first labelSet, rest []labelSet) []labelSet { return append([]labelSet{first}, rest...) }

// each makes a set for each name, with further labels.
func each(label string, more func(string) labelSet, names ...string) []labelSet {
	var sets []labelSet
	for _, name := range names {
		set := labelSet{label: name}
		if more != nil {
			for k, v := range more(name) {
				set[k] = v
			}
		}
		sets = append(sets, set)
	}
	return sets
}

// setsFor are the label sets of a metric, reduced to the labels that it has.
func setsFor(name string) []labelSet {
	best := ""
	for prefix := range things {
		if strings.HasPrefix(name, prefix) && len(prefix) > len(best) {
			best = prefix
		}
	}
	return things[best]
}

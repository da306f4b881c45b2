// Package collectors is the one list of what the exporter can observe.
package collectors

import (
	"vulcan.lan/vulcan_exporter/collectors/backup"
	"vulcan.lan/vulcan_exporter/collectors/certificate"
	"vulcan.lan/vulcan_exporter/collectors/container"
	"vulcan.lan/vulcan_exporter/collectors/criticalservice"
	"vulcan.lan/vulcan_exporter/collectors/dnsquery"
	"vulcan.lan/vulcan_exporter/collectors/homeassistant"
	"vulcan.lan/vulcan_exporter/collectors/litellm"
	"vulcan.lan/vulcan_exporter/collectors/mbsync"
	"vulcan.lan/vulcan_exporter/collectors/opnsense"
	"vulcan.lan/vulcan_exporter/collectors/postgres"
	"vulcan.lan/vulcan_exporter/collectors/redis"
	"vulcan.lan/vulcan_exporter/collectors/restic"
	"vulcan.lan/vulcan_exporter/collectors/systemd"
	"vulcan.lan/vulcan_exporter/collectors/zfs"
	"vulcan.lan/vulcan_exporter/internal/collector"
)

// All lists every collector, by name.
func All() []*collector.Definition {
	return []*collector.Definition{
		backup.Definition(),
		certificate.Definition(),
		container.Definition(),
		criticalservice.Definition(),
		dnsquery.Definition(),
		homeassistant.Definition(),
		litellm.Definition(),
		mbsync.Definition(),
		opnsense.Definition(),
		postgres.Definition(),
		redis.Definition(),
		restic.Definition(),
		systemd.Definition(),
		zfs.Definition(),
	}
}

package main

func machine(all alerts) *board {
	b := &board{
		all: all, uid: "host", title: "Host", hours: 24,
		about:    "Is there processor, memory and disk space left, and is the network up?",
		watch:    append(all.named("system_alerts", ""), all.named("network_alerts", "Interface")...),
		anywhere: append(all.named("network_alerts", "Host"), all.named("network_alerts", "High")...),
		alive:    `up{job="node", #} == 1`,
	}
	filled := all.limit("HighCPUUsage", "")
	b.first(
		number("How busy is the CPU?", "Share of all processors' time, of the busiest host.", "percentunit", q(`max(`+busy+`)`, "")).limit(filled).w(5),
		number("How full is the memory?", "Of the fullest host; what ZFS's cache can give back counts as free.", "percentunit",
			q(`max(`+memory+`)`, "")).limit(all.limit("HighMemoryUsage", "")).w(4),
		plain("How full is the fullest disk?", "Used part of file systems that are not ZFS.", "percentunit", q(`max(`+disk+`)`, "")).w(5),
	)
	b.line(8,
		graph("What does the CPU do?", "Processors in use, by mode.", "none",
			q(`sum by (mode) (rate(node_cpu_seconds_total{job="node", #, mode!="idle"}[$__rate_interval]))`, "{{mode}}")).stacked().shows("HighCPUUsage").w(8),
		graph("Is the CPU busy all the time?", "Share of all processors' time over 5 minutes.", "percentunit", q(busy, "{{instance}}")).limit(filled).between(0, 1).w(8),
		graph("Do tasks wait?", "Share of time in which at least one task waits for CPU, or all for disk or memory.", "percentunit",
			q(`rate(node_pressure_cpu_waiting_seconds_total{job="node", #}[$__rate_interval])`, "CPU {{instance}}"),
			q(`rate(node_pressure_io_stalled_seconds_total{job="node", #}[$__rate_interval])`, "disk {{instance}}"),
			q(`rate(node_pressure_memory_stalled_seconds_total{job="node", #}[$__rate_interval])`, "memory {{instance}}")).w(8),
	)
	b.line(8,
		graph("Is memory running out?", "Used part; what ZFS's cache can give back counts as free.", "percentunit", q(memory, "{{instance}}")).
			limit(all.limit("HighMemoryUsage", "")).between(0, 1).w(8),
		graph("How much memory is there?", "Available to programs, and all of it.", "bytes",
			q(`node_memory_MemAvailable_bytes{job="node", #}`, "available {{instance}}"), q(`node_memory_MemTotal_bytes{job="node", #}`, "total {{instance}}")).w(8),
		graph("Did the kernel kill a program?", "Kills for want of memory, in the 15 minutes before.", "none",
			q(`increase(node_vmstat_oom_kill{job="node", #}[15m])`, "{{instance}}")).limit(all.limit("OutOfMemoryKill", "")).w(8),
	)
	low, limit1 := all.left("DiskSpaceLow", "node_filesystem_avail_bytes")
	b.line(9,
		ranking("Which file system is full?", "Used part of each device that is not ZFS.", "percentunit", q(`sort_desc(`+disk+`)`, "{{device}} {{instance}}")).neutral().between(0, 1),
		graph("How much space is left?", "Bytes that are left until the alert; below 0 space is low.", "bytes",
			q(`min by (device, instance) (`+low+`)`, "{{device}} {{instance}}")).limit(limit1).free().shows("DiskSpaceCritical"),
	)
	b.line(6,
		list("Can every file system be used?", "One row for each device.", []string{"device", "fstype", "instance"},
			col("Free", "bytes", `node_filesystem_avail_bytes{job="node", #}`),
			col("Free inodes", "percentunit", `node_filesystem_files_free{job="node", #} / node_filesystem_files{job="node", #}`).limit(all.limit("InodesLow", "")),
			col("Read-only", "none", `node_filesystem_readonly{job="node", #}`).says(map[string]word{"1": {"yes", "red"}, "0": {"no", "text"}}),
			col("Readable", "none", `1 - node_filesystem_device_error{job="node", #}`).yes("yes", "no"),
		).sorted("Free", false).shows("FilesystemReadOnly", "FilesystemUnreadable"),
	)
	b.line(8,
		graph("How busy are the disks?", "Share of time in which a request was worked on.", "percentunit",
			q(`topk(8, rate(node_disk_io_time_seconds_total{job="node", #}[$__rate_interval]))`, "{{device}} {{instance}}")).w(8),
		graph("How much is read and written?", "Bytes a second, of all disks.", "Bps",
			q(`sum by (instance) (rate(node_disk_read_bytes_total{job="node", #}[$__rate_interval]))`, "read {{instance}}"),
			q(`sum by (instance) (rate(node_disk_written_bytes_total{job="node", #}[$__rate_interval]))`, "written {{instance}}")).w(8),
		graph("How much goes over the network?", "Bytes a second, but for the loopback; the 8 busiest.", "Bps",
			q(`topk(4, rate(node_network_receive_bytes_total{job="node", #, device!="lo"}[$__rate_interval]))`, "in {{device}} {{instance}}"),
			q(`topk(4, rate(node_network_transmit_bytes_total{job="node", #, device!="lo"}[$__rate_interval]))`, "out {{device}} {{instance}}")).w(8),
	)
	b.line(8,
		states("When had an interface no link?", "Interfaces with a cable; virtual ones are left out.",
			q(`node_network_carrier{job="node", #, device!~"lo|(veth|vb-|ve-|vnet|tap|tun|wg|docker|podman|cni|br-|virbr|lxc|cali|flannel|ifb|dummy).*"}`, "{{device}} {{instance}}")).
			yes("link", "no link").shows("InterfaceDown").w(8),
		graph("Do hosts lose packets?", "Part of the pings of 15 minutes without an answer.", "percentunit",
			q(`1 - avg_over_time(probe_success{job="blackbox_icmp"}[15m])`, "{{instance}}")).limit(all.limit("HighPacketLoss", "")).between(0, 1).shows("HostUnreachable").w(8),
		graph("Is the clock right?", "Difference to the time servers, as the kernel's clock discipline knows it.", "s",
			q(`abs(node_timex_offset_seconds{job="node", #})`, "{{instance}}")).limit(all.limit("ClockSkew", "node_timex_offset_seconds")).shows("ClockNotSynchronised").w(8),
	)
	b.line(7,
		list("What is each host?", "As node_exporter says.", []string{"instance"},
			col("Up since", "dateTimeFromNow", `1000 * node_boot_time_seconds{job="node", #}`),
			col("Load", "none", `node_load5{job="node", #}`),
			col("Clock", "none", `node_timex_sync_status{job="node", #}`).yes("synchronised", "NOT"),
		).w(8).shows("ClockNotSynchronised"),
		list("What could not be measured?", "Parts of node_exporter that failed.", []string{"collector", "instance"},
			col("State", "none", `node_scrape_collector_success{job="node", #} == 0`).says(map[string]word{"0": {"failed", "orange"}}),
		).none("nothing").shows("NodeCollectorFailing").w(8),
		states("When was it not measured?", "Whether Prometheus reached node_exporter.", q(`up{job="node", #}`, "{{instance}}")).yes("up", "down").shows("NodeExporterDown").w(8),
	)
	return b
}

const (
	busy   = `1 - avg without (cpu) (sum without (mode) (rate(node_cpu_seconds_total{job="node", #, mode=~"idle|iowait"}[5m])))`
	memory = `1 - (node_memory_MemAvailable_bytes{job="node", #} + (clamp_min(node_zfs_arc_size{job="node", #} - node_zfs_arc_c_min{job="node", #}, 0) or 0 * node_memory_MemAvailable_bytes{job="node", #})) / node_memory_MemTotal_bytes{job="node", #}`
	disk   = `max by (device, instance) (1 - node_filesystem_avail_bytes{job="node", #, fstype!~"zfs|tmpfs|ramfs|overlay|squashfs|erofs|iso9660|udf"} / node_filesystem_size_bytes{job="node", #})`
)

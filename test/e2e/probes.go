package e2e

import (
	"fmt"
	"strings"
)

// Probe is one target of a blackbox exporter, scraped as deploy/prometheus does it.
type Probe struct {
	// Job is also, without "blackbox_", the module, unless Module is given.
	Job, Module string
	// Target is what is probed, and becomes the label instance.
	Target string
	// Service is the label of that name, as file_sd sets it; empty: none.
	Service string
}

// probeJobs returns the scrape configuration for Options.Probes. All probes of a job are made
// every Options.ProbeInterval.
func (o Options) probeJobs() string {
	interval := o.ProbeInterval
	if interval == "" {
		interval = "1s"
	}
	var config strings.Builder
	for _, job := range o.jobsOfProbes() {
		fmt.Fprintf(&config, "  - job_name: %s\n    metrics_path: /probe\n    scrape_interval: %s\n    scrape_timeout: %s\n",
			job, interval, interval)
		config.WriteString("    static_configs:\n")
		for _, probe := range o.Probes {
			if probe.Job == job {
				fmt.Fprintf(&config, "      - {targets: [%q], labels: {service: %q, __param_module: %q}}\n",
					probe.Target, probe.Service, probe.module())
			}
		}
		fmt.Fprintf(&config, `    relabel_configs:
      - {source_labels: [__address__], target_label: __param_target}
      - {source_labels: [__param_target], target_label: instance}
      - {target_label: __address__, replacement: %q}
`, o.Blackbox)
	}
	return config.String()
}

func (o Options) jobsOfProbes() []string {
	var jobs []string
	for _, probe := range o.Probes {
		jobs = addOnce(jobs, probe.Job)
	}
	return jobs
}

func (p Probe) module() string {
	if p.Module != "" {
		return p.Module
	}
	return strings.TrimPrefix(p.Job, "blackbox_")
}

// Certificates with a negative serial number exist, against RFC 5280, and are
// to be shown, not refused.
//go:debug x509negativeserial=1

// Command vulcan_exporter is a Prometheus exporter for a self-hosted server.
package main

import (
	"os"

	"vulcan.lan/vulcan_exporter/alerts"
	"vulcan.lan/vulcan_exporter/collectors"
	"vulcan.lan/vulcan_exporter/internal/app"
)

func main() {
	a := app.App{
		Definitions:   collectors.All(),
		DefaultConfig: collectors.DefaultConfig(),
		Alerts:        alerts.Files,
		Stdout:        os.Stdout,
		Stderr:        os.Stderr,
	}
	os.Exit(a.Main(os.Args[1:]))
}

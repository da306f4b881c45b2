package collectors

import (
	"testing"

	"vulcan.lan/vulcan_exporter/internal/collector"
)

// Every part of the default configuration is valid, whatever machine this is.
func TestDefaultConfig(t *testing.T) {
	for _, p := range defaults() {
		sources, err := collector.Load("default", []byte(p.yaml), All())
		if err != nil || len(sources) == 0 {
			t.Errorf("%d sources, %v in%s", len(sources), err, p.yaml)
		}
	}
	if sources, err := collector.Load("default", DefaultConfig(), All()); err != nil || len(sources) == 0 {
		t.Errorf("this machine: %d sources, %v", len(sources), err)
	}
}

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// catalogued fails unless the scraped exporters of a job publish what alerts/catalogue/ declares
// of them: each metric but those absent, with the declared labels and label values. Call it when
// everything has happened that makes series.
func (h *Harness) catalogued(t *testing.T, job, file string, absent ...string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(testenv.Root(t), "alerts", "catalogue", file+".yml"))
	if err != nil {
		t.Fatal(err)
	}
	var declared struct {
		Metrics []struct {
			Name   string              `yaml:"name"`
			Type   string              `yaml:"type"`
			Labels []string            `yaml:"labels"`
			Values map[string][]string `yaml:"values"`
		} `yaml:"metrics"`
	}
	if err := yaml.Unmarshal(content, &declared); err != nil {
		t.Fatal(err)
	}
	for _, m := range declared.Metrics {
		name := m.Name
		if m.Type == "histogram" {
			name += "_count"
		}
		samples := h.Query(fmt.Sprintf(`last_over_time(%s{job=%q}[1d])`, name, job))
		if missing := len(samples) == 0; missing != slices.Contains(absent, m.Name) {
			t.Errorf("%s: %s: published: %v", file, m.Name, !missing)
		}
		want := slices.Sorted(slices.Values(append([]string{"instance", "job"}, m.Labels...)))
		for _, sample := range samples {
			delete(sample.Labels, "__name__")
			if got := slices.Sorted(maps.Keys(sample.Labels)); !slices.Equal(got, want) {
				t.Errorf("%s: %s has the labels %q, declared are %q", file, m.Name, got, want)
			}
			for label, values := range m.Values {
				if !slices.Contains(values, sample.Labels[label]) {
					t.Errorf("%s: %s: %s=%q is not declared", file, m.Name, label, sample.Labels[label])
				}
			}
		}
	}
}

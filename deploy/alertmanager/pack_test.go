// Package alertmanager holds the configuration of Alertmanager for the shipped alerts. The tests
// take every alert from alerts/ and show which way it goes (amtool), what silences it and how it
// reads as a mail (a real Alertmanager, a real SMTP conversation).
package alertmanager

import (
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"
)

const config = "alertmanager.yml"

// shipped is one alert with the labels that it has when it fires: those of its rule, and those
// that its unit test in alerts/tests/ expects.
type shipped struct {
	name    string
	labels  map[string]string   // from the rule: severity, condition
	samples []map[string]string // all labels but alertname
}

type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Alert  string            `yaml:"alert"`
			Labels map[string]string `yaml:"labels"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

type unitTests struct {
	Tests []struct {
		Checks []struct {
			Alert    string `yaml:"alertname"`
			Expected []struct {
				Labels map[string]string `yaml:"exp_labels"`
			} `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

// alerts returns all shipped alerts by name.
func alerts(t *testing.T) map[string]*shipped {
	t.Helper()
	all := map[string]*shipped{}
	for _, path := range glob(t, "../../alerts/*.yml") {
		var file ruleFile
		decode(t, path, &file)
		for _, group := range file.Groups {
			for _, rule := range group.Rules {
				if rule.Alert != "" {
					all[rule.Alert] = &shipped{name: rule.Alert, labels: rule.Labels}
				}
			}
		}
	}
	for _, path := range glob(t, "../../alerts/tests/*.yml") {
		var file unitTests
		decode(t, path, &file)
		for _, test := range file.Tests {
			for _, check := range test.Checks {
				for _, expected := range check.Expected {
					if a := all[check.Alert]; a != nil {
						a.samples = append(a.samples, expected.Labels)
					}
				}
			}
		}
	}
	for name, a := range all {
		if len(a.samples) == 0 {
			t.Fatalf("%s fires in no unit test: its labels are not known", name)
		}
	}
	return all
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: no files (%v)", pattern, err)
	}
	return paths
}

func decode(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

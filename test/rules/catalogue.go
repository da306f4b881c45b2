// Package rules holds the contract between rules and metrics: every metric, label and label
// value that a rule names is declared, by a collector of the exporter or in alerts/catalogue/
// by somebody who looked at the other exporter's output. A rule over a series that does not
// exist is valid, healthy and silent for ever; this is where it is found.
//
// It is a module of its own so that the parser of Prometheus is not a dependency of the exporter.
package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Metric is a declared metric.
type Metric struct {
	Name string `yaml:"name" json:"name"`
	// Type is gauge, counter, histogram or summary.
	Type   string   `yaml:"type" json:"type"`
	Labels []string `yaml:"labels" json:"labels"`
	// Values are all values of those labels whose set is closed.
	Values map[string][]string `yaml:"values" json:"values"`
	// Compat names the other exporter that has the same metric.
	Compat string `yaml:"-" json:"compat"`
	// Owner is the collector, or the exporter of a catalogue file.
	Owner string `yaml:"-" json:"collector"`
}

// File is one file of alerts/catalogue: what another exporter publishes, as far as rules and
// dashboards use it.
type File struct {
	Exporter string `yaml:"exporter"`
	// Version is the one whose output was read.
	Version string `yaml:"version"`
	// Jobs are the scrape jobs whose targets publish these metrics; empty: all jobs.
	Jobs    []string `yaml:"jobs"`
	Metrics []Metric `yaml:"metrics"`
}

// Catalogue is all that rules may name.
type Catalogue struct {
	Metrics map[string]Metric
	Jobs    []string
}

// Load reads the catalogue files below root and asks the exporter for its own metrics. It
// returns what the two disagree on as problems.
func Load(root string) (Catalogue, []string, error) {
	c := Catalogue{Metrics: map[string]Metric{}, Jobs: []string{"vulcan_exporter"}}
	var problems []string
	paths, err := filepath.Glob(filepath.Join(root, "alerts", "catalogue", "*.yml"))
	if err != nil {
		return c, nil, err
	}
	for _, path := range paths {
		file, err := readFile(path)
		if err != nil {
			return c, nil, err
		}
		c.Jobs = append(c.Jobs, file.Jobs...)
		for _, m := range file.Metrics {
			m.Owner = file.Exporter
			if other, taken := c.Metrics[m.Name]; taken && !same(m, other) {
				problems = append(problems, fmt.Sprintf("%s: %s and %s disagree", m.Name, m.Owner, other.Owner))
			}
			c.Metrics[m.Name] = m
		}
	}
	own, err := declared(root)
	if err != nil {
		return c, nil, err
	}
	for _, m := range own {
		if other, taken := c.Metrics[m.Name]; taken && (m.Compat != other.Owner || !compatible(m, other)) {
			problems = append(problems, fmt.Sprintf(
				"%s: collector %s (%s %v, compat %q) clashes with %s (%s %v)",
				m.Name, m.Owner, m.Type, m.Labels, m.Compat, other.Owner, other.Type, other.Labels))
		}
		c.Metrics[m.Name] = m
	}
	return c, problems, nil
}

func readFile(path string) (File, error) {
	var file File
	content, err := os.ReadFile(path)
	if err != nil {
		return file, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return file, fmt.Errorf("%s: %w", path, err)
	}
	if file.Exporter == "" || file.Version == "" || len(file.Metrics) == 0 {
		return file, fmt.Errorf("%s: exporter, version and metrics are required", path)
	}
	for _, m := range file.Metrics {
		if !slices.Contains([]string{"gauge", "counter", "histogram", "summary"}, m.Type) {
			return file, fmt.Errorf("%s: %s: type is %q", path, m.Name, m.Type)
		}
	}
	return file, nil
}

// declared asks the exporter itself, so that there is no second list to keep.
func declared(root string) ([]Metric, error) {
	cmd := exec.Command("go", "run", "./cmd/vulcan_exporter", "docs", "--json")
	cmd.Dir = root
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, failure.String())
	}
	var metrics []Metric
	if err := json.Unmarshal(out, &metrics); err != nil {
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	return metrics, nil
}

func same(a, b Metric) bool {
	return a.Type == b.Type && slices.Equal(slices.Sorted(slices.Values(a.Labels)), slices.Sorted(slices.Values(b.Labels)))
}

// compatible says whether a metric of ours can stand for another exporter's: ours has `source`
// in addition, which the runner adds to every series.
func compatible(ours, theirs Metric) bool {
	ours.Labels = slices.DeleteFunc(slices.Clone(ours.Labels), func(l string) bool {
		return l == "source" && !slices.Contains(theirs.Labels, l)
	})
	return same(ours, theirs)
}

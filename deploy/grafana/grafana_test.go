// Package grafana checks that Grafana's provisioning fits what it provisions.
package grafana

import (
	"bytes"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"vulcan.lan/vulcan_exporter/dashboards"
)

// read decodes strictly: Grafana ignores a key that is misspelt.
func read(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// datasources has the keys of
// https://grafana.com/docs/grafana/latest/administration/provisioning/#data-sources that are used.
type datasources struct {
	APIVersion  int `yaml:"apiVersion"`
	Datasources []struct {
		Name      string `yaml:"name"`
		UID       string `yaml:"uid"`
		Type      string `yaml:"type"`
		Access    string `yaml:"access"`
		URL       string `yaml:"url"`
		IsDefault bool   `yaml:"isDefault"`
		Editable  bool   `yaml:"editable"`
		JSONData  struct {
			HTTPMethod                 string `yaml:"httpMethod"`
			PrometheusType             string `yaml:"prometheusType"`
			TimeInterval               string `yaml:"timeInterval"`
			Implementation             string `yaml:"implementation"`
			HandleGrafanaManagedAlerts bool   `yaml:"handleGrafanaManagedAlerts"`
		} `yaml:"jsonData"`
	} `yaml:"datasources"`
}

// providers has the keys of .../provisioning/#dashboards that are used.
type providers struct {
	APIVersion int `yaml:"apiVersion"`
	Providers  []struct {
		Name                  string `yaml:"name"`
		Type                  string `yaml:"type"`
		Folder                string `yaml:"folder"`
		FolderUID             string `yaml:"folderUid"`
		AllowUIUpdates        bool   `yaml:"allowUiUpdates"`
		DisableDeletion       bool   `yaml:"disableDeletion"`
		UpdateIntervalSeconds int    `yaml:"updateIntervalSeconds"`
		Options               struct {
			Path                      string `yaml:"path"`
			FoldersFromFilesStructure bool   `yaml:"foldersFromFilesStructure"`
		} `yaml:"options"`
	} `yaml:"providers"`
}

// TestDatasources: each kind that a dashboard chooses among is there, and it is what
// deploy/prometheus scrapes.
func TestDatasources(t *testing.T) {
	var file datasources
	read(t, "provisioning/datasources/vulcan_exporter.yml", &file)
	var scraped struct {
		Global struct {
			Interval string `yaml:"scrape_interval"`
		} `yaml:"global"`
		Jobs []struct {
			Name     string `yaml:"job_name"`
			Interval string `yaml:"scrape_interval"`
		} `yaml:"scrape_configs"`
	}
	content, err := os.ReadFile("../prometheus/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &scraped); err != nil {
		t.Fatal(err)
	}
	longest := duration(t, scraped.Global.Interval)
	var jobs []string
	for _, job := range scraped.Jobs {
		jobs = append(jobs, job.Name)
		if job.Interval != "" {
			longest = max(longest, duration(t, job.Interval))
		}
	}
	kinds := map[string]bool{}
	defaults := 0
	for _, d := range file.Datasources {
		kinds[d.Type] = true
		if u, err := url.Parse(d.URL); err != nil || u.Hostname() != "127.0.0.1" {
			t.Errorf("%s: url %q", d.Name, d.URL)
		}
		if !slices.Contains(jobs, d.Type) {
			t.Errorf("%s is in no scrape job", d.Type)
		}
		if d.IsDefault {
			defaults++
		}
		if d.Type == "prometheus" && duration(t, d.JSONData.TimeInterval) != longest {
			t.Errorf("timeInterval is %s, the longest scrape interval %s", d.JSONData.TimeInterval, longest)
		}
	}
	if defaults != 1 {
		t.Errorf("%d default data sources", defaults)
	}
	for _, d := range shipped(t) {
		for _, v := range d.Templating.List {
			if kind, ok := v.Query.(string); ok && v.Type == "datasource" && !kinds[kind] {
				t.Errorf("%s: no data source of type %s", d.File, kind)
			}
		}
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func shipped(t *testing.T) []dashboards.Dashboard {
	t.Helper()
	all, err := dashboards.Load("../../dashboards")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestProvider: the folder holds the dashboards and nothing else that Grafana would read, they
// refuse to be edited as the provider does, and their links lead to each other.
func TestProvider(t *testing.T) {
	var file providers
	read(t, "provisioning/dashboards/vulcan_exporter.yml", &file)
	if len(file.Providers) != 1 || file.Providers[0].Type != "file" || file.Providers[0].AllowUIUpdates {
		t.Fatalf("%+v", file.Providers)
	}
	uids := map[string]bool{}
	all := shipped(t)
	for _, d := range all {
		uids[d.UID] = true
		if d.Editable {
			t.Errorf("%s may be edited, and the change would be lost", d.File)
		}
		if len(d.Annotations.List) != 1 || d.Annotations.List[0].Name != "Alerts" {
			t.Errorf("%s has no annotations of alerts", d.File)
		}
	}
	links := 0
	for _, d := range all {
		content, err := os.ReadFile("../../dashboards/" + d.File)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(content), `"/d/`)[1:] {
			links++
			if uid, _, _ := strings.Cut(part, "?"); !uids[uid] {
				t.Errorf("%s links %s, which is no dashboard", d.File, uid)
			}
		}
	}
	if links < len(all)-1 {
		t.Errorf("%d links between %d dashboards", links, len(all))
	}
	packaged, err := os.ReadFile("../deb/nfpm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(packaged), "{src: dashboards/*.json, dst: "+file.Providers[0].Options.Path+",") {
		t.Error("deploy/deb does not put dashboards/*.json to " + file.Providers[0].Options.Path)
	}
}

// Command gen writes the dashboards, dashboards/*.json, from Go and from the shipped alerts: the
// thresholds, names and runbooks in them are those of alerts/*.yml.
//
// It is a module of its own, so that neither Grafana's SDK nor the parser of Prometheus is a
// dependency of the exporter. The JSON is Grafana's classic schema, for Grafana 10 to 12.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	if err := run("../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string) error {
	files, err := render(root)
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(root, "dashboards", name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// boards are all dashboards.
func boards(all alerts) []*board {
	areas := []*board{
		backups(all), storage(all), certificates(all), services(all), containers(all), databases(all),
		dns(all), litellm(all), mail(all), homeAssistant(all), opnsense(all), web(all), machine(all), monitoring(all), exporter(all),
	}
	return append([]*board{overview(all, areas)}, areas...)
}

// render returns the content of each file.
func render(root string) (map[string][]byte, error) {
	all, err := readAlerts(filepath.Join(root, "alerts"))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, b := range boards(all) {
		content, err := encode(b.build())
		if err != nil {
			return nil, err
		}
		files[b.uid+".json"] = content
	}
	return files, nil
}

// encode writes the JSON with sorted keys, and what the SDK has no field for: how Prometheus's
// annotations are named.
func encode(d dashboard.Dashboard) ([]byte, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, err
	}
	for _, a := range tree["annotations"].(map[string]any)["list"].([]any) {
		annotation := a.(map[string]any)
		annotation["titleFormat"], annotation["textFormat"], annotation["tagKeys"] = "{{alertname}}", "{{instance}} {{name}} {{source}}", "severity"
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(tree); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

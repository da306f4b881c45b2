package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Dashboard is what the contract and the lint need of a dashboard of Grafana's classic schema.
type Dashboard struct {
	File       string      `json:"-"`
	Editable   bool        `json:"editable"`
	Panels     []Panel     `json:"panels"`
	Templating Templating  `json:"templating"`
	Notes      Annotations `json:"annotations"`
}

// Templating has the variables.
type Templating struct {
	List []Variable `json:"list"`
}

// Annotations has the queries of annotations.
type Annotations struct {
	List []struct {
		Expr   string `json:"expr"`
		Target Target `json:"target"`
	} `json:"list"`
}

// Variable is a template variable.
type Variable struct {
	Name       string `json:"name"`
	Label      string `json:"label"`
	Type       string `json:"type"`
	Query      any    `json:"query"`
	Definition string `json:"definition"`
	Multi      bool   `json:"multi"`
	AllValue   string `json:"allValue"`
	Refresh    int    `json:"refresh"`
}

// Panel is a panel; its type is row for a heading.
type Panel struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	Type        string `json:"type"`
	Datasource  struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	Targets []Target `json:"targets"`
	Links   []struct {
		Title string `json:"title"`
		URL   string `json:"url"`
	} `json:"links"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

// Target is one query.
type Target struct {
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat"`
	Datasource   struct {
		Type string `json:"type"`
	} `json:"datasource"`
}

// LoadDashboards reads dashboards/*.json.
func LoadDashboards(root string) ([]Dashboard, error) {
	paths, err := filepath.Glob(filepath.Join(root, "dashboards", "*.json"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no dashboards below %s", root)
	}
	var all []Dashboard
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		d := Dashboard{File: filepath.Base(path)}
		if err := json.Unmarshal(content, &d); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, d)
	}
	return all, nil
}

// Substitute puts something in the place of Grafana's own variables, so that the rest is PromQL.
func Substitute(expr string) string {
	return strings.NewReplacer("$__rate_interval", "271s", "$__interval", "31s", "$__range", "3607s").Replace(expr)
}

// rateInterval is what Substitute writes for $__rate_interval.
const rateInterval = "4m31s"

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// TestFresh holds the committed dashboards against what the source and the alerts make now.
func TestFresh(t *testing.T) {
	files, err := render("../..")
	if err != nil {
		t.Fatal(err)
	}
	committed, err := filepath.Glob("../*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(committed) != len(files) {
		t.Errorf("%d files, %d dashboards", len(committed), len(files))
	}
	for name, content := range files {
		present, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Error(err)
		} else if string(present) != string(content) {
			t.Errorf("%s is not what `make dashboards` writes", name)
		}
	}
}

// TestThresholds shows that a limit follows the alert.
func TestThresholds(t *testing.T) {
	all := alerts{
		"Full":  {Expr: "used_ratio > 0.8 or reserved_ratio > 0.95", Labels: map[string]string{"severity": "warning"}},
		"Low":   {Expr: "left < 14 * 86400", Labels: map[string]string{"severity": "critical"}},
		"Lower": {Expr: "left < 2 ^ 10", Labels: map[string]string{"severity": "critical"}},
		"Old":   {Expr: "time() - done > 1.5 * allowed", Labels: map[string]string{"severity": "critical"}},
	}
	if l := all.limit("Full", "reserved_ratio"); l.value != 0.95 || l.color != "orange" || l.op != parser.GTR {
		t.Errorf("%+v", l)
	}
	if l := all.limit("Low", ""); l.value != 1209600 || l.color != "red" {
		t.Errorf("%+v", l)
	}
	if l := all.limit("Lower", ""); l.value != 1024 {
		t.Errorf("%+v", l)
	}
	if got, l := all.share("Old", "done"); got != `(time() - done{instance=~"$instance(:[0-9]+)?",job="vulcan_exporter"}) / (1.5 * allowed{instance=~"$instance(:[0-9]+)?",job="vulcan_exporter"})` || l.value != 1 {
		t.Errorf("%s %+v", got, l)
	}
	all["Soon"] = alert{Expr: "left <= margin > day", Labels: map[string]string{"severity": "warning"}}
	if got, _ := all.left("Soon", ""); got != `(left{instance=~"$instance(:[0-9]+)?",job="vulcan_exporter"}) - (margin{instance=~"$instance(:[0-9]+)?",job="vulcan_exporter"})` {
		t.Errorf("%s", got)
	}
	config := thresholds([]limit{all.limit("Low", ""), {color: "orange", op: parser.LSS, value: 2e6}})
	if len(config.Steps) != 3 || config.Steps[0].Color != "red" || config.Steps[1].Color != "orange" || config.Steps[2].Color != "green" {
		t.Errorf("falling: %+v", config.Steps)
	}
}

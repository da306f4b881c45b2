package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"vulcan.lan/vulcan_exporter/alerts"
)

func TestRunbooks(t *testing.T) {
	files := fstest.MapFS{
		"b.yml":            {Data: []byte("groups: [{rules: [{record: x, expr: y}, {alert: Down, expr: up == 0, for: 2m, labels: {severity: critical}}]}]")},
		"a.yml":            {Data: []byte("groups: [{rules: [{alert: Slow, expr: s > 1, labels: {severity: info}}]}]")},
		"runbooks/Down.md": {Data: []byte("# Down\n\n## Meaning\nNot [Slow](Slow.md).\n```\n# as root\nls\n```\n## Impact\n")},
		"runbooks/Slow.md": {Data: []byte("# Slow\n")},
	}
	got, err := Runbooks(files)
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ = strings.Cut(got, "--runbooks`.\n")
	const want = "\n**a**\n\n- [Slow](#slow) (info)\n\n**b**\n\n- [Down](#down) (critical)\n" +
		"\n## Slow\n\ninfo:\n```\ns > 1\n```\n" +
		"\n## Down\n\ncritical for 2m:\n```\nup == 0\n```\n\n### Meaning\nNot [Slow](#slow).\n```\n# as root\nls\n```\n### Impact\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	delete(files, "runbooks/Slow.md")
	if _, err := Runbooks(files); err == nil || !strings.Contains(err.Error(), "Slow.md") {
		t.Errorf("an alert without a runbook: %v", err)
	}
}

var (
	link   = regexp.MustCompile(`\]\(([^)]+)\)`)
	titles = regexp.MustCompile(`(?m)^## (.+)$`)
)

// TestShippedRunbooks: every link of the page leads somewhere, and the committed page is current.
func TestShippedRunbooks(t *testing.T) {
	page, err := Runbooks(alerts.Files)
	if err != nil {
		t.Fatal(err)
	}
	anchors := map[string]bool{}
	for _, title := range titles.FindAllStringSubmatch(page, -1) {
		anchor := "#" + strings.ToLower(title[1])
		if anchors[anchor] {
			t.Errorf("%s is there twice", title[1])
		}
		anchors[anchor] = true
	}
	linked := map[string]bool{}
	for _, l := range link.FindAllStringSubmatch(page, -1) {
		linked[l[1]] = true
		if strings.HasPrefix(l[1], "https://") || anchors[l[1]] {
			continue
		}
		if _, err := os.Stat(filepath.Join("../../docs", l[1])); err != nil {
			t.Errorf("link to %s: %v", l[1], err)
		}
	}
	for anchor := range anchors {
		if !linked[anchor] {
			t.Errorf("the index does not lead to %s", anchor)
		}
	}
	file := "../../docs/runbooks.md"
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if committed, err := os.ReadFile(file); err != nil || string(committed) != page {
		t.Errorf("%s is not current, run make docs: %v", file, err)
	}
}

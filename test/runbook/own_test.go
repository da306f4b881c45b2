package runbook

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/collectors"
	"vulcan.lan/vulcan_exporter/internal/runner"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// What the runbooks call the exporter's things, as the shipped units have them (deploy/systemd):
// the patterns also find the instances of the template, and what is done to services leaves out
// the socket.
const (
	unit       = "'vulcan-exporter*'"
	service    = "'vulcan-exporter*.service'"
	configFile = "/etc/vulcan_exporter.yml"
)

var (
	ownUnit   = regexp.MustCompile(`(--unit[= ]|systemctl [a-z-]+ (?:--\S+ )*)([^\s\x60]*vulcan[^\s\x60]*)`)
	ownConfig = regexp.MustCompile(`/etc/vulcan\S*`)
)

func TestOwnNames(t *testing.T) {
	for file, page := range pages(t) { // also in what the prose proposes
		for _, m := range ownUnit.FindAllStringSubmatch(page, -1) {
			want := unit
			if strings.HasPrefix(m[1], "systemctl re") {
				want = service
			}
			if m[2] != want {
				t.Errorf("%s: %s: the unit is %s", file, m[0], want)
			}
		}
	}
	for _, c := range commands(t) {
		for _, path := range ownConfig.FindAllString(c.text, -1) {
			if strings.TrimPrefix(path, "--config.file=") != configFile {
				t.Errorf("%s:%d: the configuration is %s, want %s", c.file, c.line, path, configFile)
			}
		}
		if strings.Contains(c.text, "vulcan_exporter collect") && !strings.Contains(c.text, "--config.file="+configFile) {
			t.Errorf("%s:%d: collects from the embedded default: %s", c.file, c.line, c.text)
		}
	}
}

var ownMetrics = regexp.MustCompile(`:9847/metrics['"]? \| grep (-E |--extended-regexp )?['"]?(\^?)([^'" ]+)`)

// TestMetrics: what is looked for on the exporter's page is there.
func TestMetrics(t *testing.T) {
	var names []string
	for _, d := range collectors.All() {
		for _, m := range d.Metrics {
			names = append(names, m.Desc().Name)
		}
	}
	for _, m := range runner.Declared() {
		names = append(names, m.Desc().Name)
	}
	looked := 0
	for _, c := range commands(t) {
		m := ownMetrics.FindStringSubmatch(c.text)
		if m == nil {
			continue
		}
		looked++
		name, _, _ := strings.Cut(strings.ReplaceAll(m[3], ".*", "{"), "{") // labels and values follow
		if m[1] == "" {
			name = strings.NewReplacer(`\(`, "(", `\)`, ")", `\|`, "|").Replace(name)
		}
		for _, alternative := range alternatives(name) {
			pattern, err := regexp.Compile("^(?:" + alternative + ")")
			if err != nil {
				t.Errorf("%s:%d: %v", c.file, c.line, err)
			} else if !slices.ContainsFunc(names, pattern.MatchString) {
				t.Errorf("%s:%d: no metric begins with %s", c.file, c.line, alternative)
			}
		}
	}
	if looked < 30 {
		t.Errorf("only %d commands look at metrics: are they still written so?", looked)
	}
}

var group = regexp.MustCompile(`\(([^()]*)\)`)

// alternatives are the names that a pattern like a_(b|c)_d stands for; histograms' and summaries'
// parts are those of one metric.
func alternatives(pattern string) []string {
	m := group.FindStringSubmatchIndex(pattern)
	if m == nil {
		return []string{pattern}
	}
	var out []string
	for word := range strings.SplitSeq(pattern[m[2]:m[3]], "|") {
		if word == "sum" || word == "count" {
			word = ""
		}
		out = append(out, alternatives(strings.TrimSuffix(pattern[:m[0]]+word, "_")+pattern[m[1]:])...)
	}
	return out
}

var ownLog = regexp.MustCompile(`--unit[= ]'vulcan-exporter\*'.*(?:--grep|\| grep(?: -i)?) ('[^']+'|\S+)`)

// TestLogMessages: what is looked for in the exporter's log is a message of it, or a collector.
func TestLogMessages(t *testing.T) {
	source := strings.ToLower(sources(t))
	for _, d := range collectors.All() {
		source += d.Name + "\n"
	}
	looked := 0
	for _, c := range commands(t) {
		m := ownLog.FindStringSubmatch(c.text)
		if m == nil || m[1] == "COLLECTOR" {
			continue
		}
		looked++
		for text := range strings.SplitSeq(strings.ToLower(strings.Trim(m[1], "'")), ".*") {
			if !strings.Contains(source, text) {
				t.Errorf("%s:%d: nothing is logged of %q", c.file, c.line, text)
			}
		}
	}
	if looked < 10 {
		t.Errorf("only %d commands look at the log: are they still written so?", looked)
	}
}

var literal = regexp.MustCompile(`"(?:[^"\\\n]|\\.)*"`)

// sources are the texts that the program holds.
func sources(t *testing.T) string {
	t.Helper()
	var texts strings.Builder
	for _, dir := range []string{"collectors", "internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(testenv.Root(t), dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			for _, text := range literal.FindAll(content, -1) {
				texts.Write(text)
				texts.WriteByte('\n')
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return texts.String()
}

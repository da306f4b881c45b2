// Package runbook holds the commands of alerts/runbooks against the real programs and against what
// vulcan_exporter really shows and logs. At three in the morning nobody has the time to find out
// that an option does not exist or that a unit has another name.
package runbook

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// block is one fenced block of commands.
type block struct {
	file    string
	line    int
	section string
	text    string
}

// pages are the runbooks by name of their file.
func pages(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testenv.Root(t), "alerts", "runbooks", "*.md"))
	if err != nil || len(files) == 0 {
		t.Fatal("no runbooks", err)
	}
	found := map[string]string{}
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(path)] = string(content)
	}
	return found
}

func blocks(t testing.TB) (found []block) {
	t.Helper()
	pages := pages(t)
	for _, file := range slices.Sorted(maps.Keys(pages)) {
		found = append(found, parse(file, pages[file])...)
	}
	return found
}

func parse(file, content string) (found []block) {
	section, open := "", false
	for i, line := range strings.Split(content, "\n") {
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			if open = !open; open {
				found = append(found, block{file: file, line: i + 2, section: section})
			}
		case open:
			found[len(found)-1].text += line + "\n"
		case strings.HasPrefix(line, "## "):
			section = strings.TrimPrefix(line, "## ")
		}
	}
	return found
}

// command is one line of a block.
type command struct {
	file string
	line int
	text string
}

func commands(t testing.TB) (found []command) {
	t.Helper()
	for _, b := range blocks(t) {
		for i, text := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
			found = append(found, command{b.file, b.line + i, text})
		}
	}
	return found
}

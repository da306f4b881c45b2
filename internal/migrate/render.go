package migrate

import (
	"fmt"
	"strings"
)

const rulesHead = `# Old names for dashboards and rules that still select them, while they are changed; then remove
# this file. Generated from internal/migrate by "go test ./deploy/prometheus -update". Do not edit.
# The series have job and instance of vulcan_exporter, no longer those of node_exporter's textfiles.
# Not here: names that stayed, and those of which nothing honest can be recorded (docs/migration.md).
groups:
  - name: vulcan_legacy_names
    rules:
`

// Rules renders recording rules that give the old names.
func Rules() string {
	var b strings.Builder
	b.WriteString(rulesHead)
	for _, n := range Names() {
		if n.Expr != "" {
			fmt.Fprintf(&b, "      - record: %s\n        expr: >-\n          %s\n", n.Old, n.Expr)
		}
	}
	return b.String()
}

// ScriptTable renders the replaced scripts in Markdown.
func ScriptTable() string {
	var b strings.Builder
	b.WriteString("| script | was | collector | what changes |\n|---|---|---|---|\n")
	for _, s := range Scripts() {
		fmt.Fprintf(&b, "| %s | %s | [%s](collectors/%s.md) | %s |\n", s.Name, s.Was, s.Collector, s.Collector, s.Changes)
	}
	return b.String()
}

// NameTable renders old and new metrics in Markdown.
func NameTable() string {
	var b strings.Builder
	b.WriteString("| old | new | recorded | what changes |\n|---|---|---|---|\n")
	for _, n := range Names() {
		recorded := "no"
		switch {
		case n.Kept():
			recorded = "same name"
		case n.Expr != "":
			recorded = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", n.Old, strings.Join(n.New, "` `"), recorded, n.Note)
	}
	return b.String()
}

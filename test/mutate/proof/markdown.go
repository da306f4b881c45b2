package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

const head = `# What is proven of each alert

Written by ` + "`make proof`" + `, not by hand; a test fails when a rule or its tests have changed since.

- **Contract**: every metric, label and label value of the rule is declared by a collector or in alerts/catalogue/.
- **Unit**: promtool on the shipped file; how often a check expects the alert + how often none, in so many tests.
- **Mutation**: small mistakes in the rule that a unit test notices. test/mutate/explained.yml has the others.
- **Fault**: an end-to-end test with a real Prometheus and Alertmanager in which a fault fired the alert, its message
  was delivered; nearly all of them assert that nothing else fired. *made up* names what the test played itself; all else
  was real software.

%s

| Alert | Contract | Unit | Mutation | Fault | Date |
|---|---|---|---|---|---|
`

func (t *Table) write(stored, markdown string) error {
	content, err := json.MarshalIndent(t, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(stored, append(content, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(markdown, []byte(t.markdown()), 0o644)
}

func (t *Table) markdown() string {
	var out strings.Builder
	_, _ = fmt.Fprintf(&out, head, t.summary())
	file := ""
	for _, r := range t.Alerts {
		if r.File != file {
			file = r.File
			_, _ = fmt.Fprintf(&out, "| **%s** | | | | | |\n", strings.TrimSuffix(file, ".yml"))
		}
		_, _ = fmt.Fprintf(&out, "| [%s](../alerts/runbooks/%s.md) | yes | %d + %d in %d | %s | %s | %s |\n",
			r.Alert, r.Alert, r.Unit.Fires, r.Unit.Quiet, r.Unit.Tests, r.score(), r.faults(), r.date())
	}
	return out.String()
}

func (t *Table) summary() string {
	var killed, mutants, measured, fault, real, ended int
	for _, r := range t.Alerts {
		if r.Mutation != nil {
			killed += r.Mutation.Killed
			mutants += r.Mutation.Mutants
			measured++
		}
		if len(r.Faults) > 0 {
			fault++
			if r.Faults[0].Fake == "" {
				real++
			}
			if r.ended() {
				ended++
			}
		}
	}
	return fmt.Sprintf("%d alerts. Mutation: %d of %d killed (%.1f %%), of %d alerts. Fault: %d alerts, %d of them by real software; %d ended when it was mended.",
		len(t.Alerts), killed, mutants, 100*float64(killed)/float64(max(mutants, 1)), measured, fault, real, ended)
}

// ended tells whether a test saw the alert end.
func (r *Row) ended() bool {
	return slices.ContainsFunc(r.Faults, func(f Fault) bool { return f.Resolved })
}

func (r *Row) score() string {
	if r.Mutation == nil {
		return "not run"
	}
	return fmt.Sprintf("%d of %d", r.Mutation.Killed, r.Mutation.Mutants)
}

func (r *Row) faults() string {
	var parts []string
	for _, f := range r.Faults {
		text := f.Test
		if f.Fake != "" {
			text += ", *made up: " + f.Fake + "*"
		}
		if !f.Resolved {
			text += ", end not waited for"
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, "; ")
}

// date is that of the newest proof.
func (r *Row) date() string {
	date := r.Unit.Date
	if r.Mutation != nil {
		date = max(date, r.Mutation.Date)
	}
	for _, f := range r.Faults {
		date = max(date, f.Date)
	}
	return date
}

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vulcan.lan/vulcan_exporter/test/mutate/pack"
)

// Table is docs/proof.json.
type Table struct {
	Alerts []*Row `json:"alerts"`
}

// Row is what is proven about one alert. Each proof has the hash of what it was about.
type Row struct {
	Alert string `json:"alert"`
	File  string `json:"file"`
	// Contract is the hash of the rule whose metrics, labels and values are all declared.
	Contract string `json:"contract"`
	Unit     Unit   `json:"unit"`
	// Mutation is nil until all mutants were run.
	Mutation *Mutation `json:"mutation,omitempty"`
	Faults   []Fault   `json:"faults,omitempty"`
}

// Unit counts the unit tests and their checks.
type Unit struct {
	Tests, Fires, Quiet int
	Hash, Date          string
}

// Mutation is a full run over the mutants.
type Mutation struct {
	Killed, Mutants int
	Hash, Date      string
}

// Fault is an end-to-end test in which a fault made the alert fire.
type Fault struct {
	Test     string `json:"test"`
	Fake     string `json:"fake,omitempty"`
	Resolved bool   `json:"resolved"`
	Hash     string `json:"hash"`
	Date     string `json:"date"`
}

func readTable(path string) (*Table, error) {
	var t Table
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &t, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &t)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &t, nil
}

func (t *Table) row(alert string) *Row {
	for _, r := range t.Alerts {
		if r.Alert == alert {
			return r
		}
	}
	return nil
}

// addTests notes that contract and unit tests passed, for the alerts that there are now.
func (t *Table) addTests(p *pack.Pack, date string) error {
	var rows []*Row
	for _, rule := range p.Rules {
		if rule.Record {
			continue
		}
		row := t.row(rule.Name)
		if row == nil {
			row = &Row{Alert: rule.Name}
		}
		suite, err := p.Suite(rule)
		if err != nil {
			return err
		}
		row.File, row.Contract = rule.File, p.RuleHash(rule)
		if row.Unit.Hash != suite.Hash {
			row.Unit = Unit{suite.Tests, suite.Fires, suite.Quiet, suite.Hash, date}
		}
		row.forget(suite.Hash, p.FaultHash(rule))
		rows = append(rows, row)
	}
	t.Alerts = rows
	return nil
}

// forget drops what was proven about another version of the rule or of its tests, and says so.
func (r *Row) forget(suite, fault string) {
	if r.Mutation != nil && r.Mutation.Hash != suite {
		fmt.Fprintf(os.Stderr, "%s: its mutation score was of another version\n", r.Alert)
		r.Mutation = nil
	}
	r.Faults = slices.DeleteFunc(r.Faults, func(f Fault) bool {
		if f.Hash != fault {
			fmt.Fprintf(os.Stderr, "%s: %s has proven another version\n", r.Alert, f.Test)
		}
		return f.Hash != fault
	})
}

// addMutation takes the rules of which all mutants ran.
func (t *Table) addMutation(p *pack.Pack, path, date string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var scores []struct {
		Rule, Hash           string
		Mutants, Ran, Killed int
	}
	if err := json.Unmarshal(content, &scores); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, s := range scores {
		if row := t.row(s.Rule); row != nil && s.Ran == s.Mutants && s.Ran > 0 {
			row.Mutation = &Mutation{s.Killed, s.Mutants, s.Hash, date}
		}
	}
	return nil
}

// addFaults takes the lines that are about the rule files as they are now.
func (t *Table) addFaults(p *pack.Pack, alerts, path, date string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		var line struct {
			Alert, Test, Fake string
			Resolved          bool
			Rules             map[string]string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		row, rule := t.row(line.Alert), p.Rule(line.Alert)
		if row == nil || rule == nil {
			continue
		}
		now, err := os.ReadFile(filepath.Join(alerts, rule.File))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(now)
		if line.Rules[strings.TrimSuffix(rule.File, ".yml")] != hex.EncodeToString(sum[:]) {
			fmt.Fprintf(os.Stderr, "%s: %s has changed since, not taken: run it again\n", line.Test, rule.File)
			continue
		}
		row.Faults = slices.DeleteFunc(row.Faults, func(f Fault) bool { return f.Test == line.Test })
		row.Faults = append(row.Faults, Fault{line.Test, line.Fake, line.Resolved, p.FaultHash(rule), date})
		// Real software first, then what resolved.
		slices.SortFunc(row.Faults, func(a, b Fault) int {
			return cmp.Or(cmp.Compare(a.Fake, b.Fake), cmp.Compare(b2i(b.Resolved), b2i(a.Resolved)), cmp.Compare(a.Test, b.Test))
		})
	}
	return lines.Err()
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// stale says what the table claims of rules or tests that are no longer these.
func (t *Table) stale(p *pack.Pack, markdown string) []error {
	var problems []error
	add := func(alert, what string) {
		problems = append(problems, fmt.Errorf("%s: %s; run make proof", alert, what))
	}
	alerts := map[string]bool{}
	for _, rule := range p.Rules {
		if rule.Record {
			continue
		}
		alerts[rule.Name] = true
		row := t.row(rule.Name)
		if row == nil {
			add(rule.Name, "not in docs/proof.md")
			continue
		}
		suite, err := p.Suite(rule)
		if err != nil {
			return append(problems, err)
		}
		if row.Contract != p.RuleHash(rule) || row.Unit.Hash != suite.Hash {
			add(rule.Name, "the rule or its unit tests have changed since")
		}
		if row.Mutation != nil && row.Mutation.Hash != suite.Hash {
			add(rule.Name, "the mutation score is of another version")
		}
		for _, f := range row.Faults {
			if f.Hash != p.FaultHash(rule) {
				add(rule.Name, "proven by a fault in another version: "+f.Test)
			}
		}
	}
	for _, row := range t.Alerts {
		if !alerts[row.Alert] {
			add(row.Alert, "in docs/proof.md, but there is no such alert")
		}
	}
	if content, err := os.ReadFile(markdown); err != nil || string(content) != t.markdown() {
		problems = append(problems, fmt.Errorf("docs/proof.md is not what docs/proof.json says (%w)", err))
	}
	return problems
}

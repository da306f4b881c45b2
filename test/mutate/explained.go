package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"vulcan.lan/vulcan_exporter/test/mutate/mutation"
)

// explanation says why mutants of one rule may survive.
type explanation struct {
	Rule    string `yaml:"rule"`
	Mutants []struct {
		Kind   string `yaml:"kind"`
		Change string `yaml:"change"`
	} `yaml:"mutants"`
	Why string `yaml:"why"`
}

type explained map[string]string // why, by the name of the mutant

func readExplained(path string) (explained, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []explanation
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&list); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	known := explained{}
	for _, e := range list {
		if len(e.Why) < 20 || len(e.Mutants) == 0 {
			return nil, fmt.Errorf("%s: %s: mutants and a reason are required", path, e.Rule)
		}
		for _, m := range e.Mutants {
			name := mutation.Mutant{Rule: e.Rule, Kind: m.Kind, Change: m.Change}.String()
			if _, again := known[name]; again {
				return nil, fmt.Errorf("%s: %s is there twice", path, name)
			}
			known[name] = e.Why
		}
	}
	return known, nil
}

func (e explained) has(m mutation.Mutant) bool { _, ok := e[m.String()]; return ok }

// unknown are the explanations of mutants that no longer exist; only when all rules are looked at.
func (e explained) unknown(jobs []job, o options) []string {
	if o.only.String() != "" || o.known != "" {
		return nil
	}
	var problems []string
	for name := range e {
		if !slices.ContainsFunc(jobs, func(j job) bool { return j.mutant.String() == name }) {
			problems = append(problems, "explained, but there is no such mutant: "+name)
		}
	}
	slices.Sort(problems)
	return problems
}

// readProven returns the hashes of the suites whose score is in docs/proof.json, by alert.
func readProven(path string) (map[string]string, error) {
	proven := map[string]string{}
	if path == "" {
		return proven, nil
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return proven, nil
	}
	if err != nil {
		return nil, err
	}
	var table struct {
		Alerts []struct {
			Alert    string
			Mutation struct{ Hash string }
		}
	}
	if err := json.Unmarshal(content, &table); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, row := range table.Alerts {
		proven[row.Alert] = row.Mutation.Hash
	}
	return proven, nil
}

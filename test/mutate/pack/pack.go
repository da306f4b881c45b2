// Package pack reads the shipped rules and their unit tests as data, finds which tests can tell
// anything about one rule, and writes just those, so that a run of promtool takes milliseconds.
package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// Rule is one alerting or recording rule.
type Rule struct {
	// Name is that of the alert or of the recorded series.
	Name, Expr, For, KeepFiringFor string
	// File is the name of the rule file, such as service_alerts.yml.
	File   string
	Record bool

	fields map[string]any
	uses   []string // metrics in the expression
}

// Pack is all of alerts/.
type Pack struct {
	Rules []*Rule

	groups map[string][]group // by file
	tests  []testFile
}

type group struct {
	fields map[string]any // without the rules
	rules  []*Rule
}

type testFile struct {
	path      string
	fields    map[string]any // without rule_files and tests
	ruleFiles []string       // names
	tests     []map[string]any
}

// Parse parses an expression of PromQL.
func Parse(expr string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{}).ParseExpr(expr)
}

// Load reads the rule files of a folder and the tests in its sub-folder tests.
func Load(dir string) (*Pack, error) {
	p := &Pack{groups: map[string][]group{}}
	for pattern, read := range map[string]func(string) error{"*.yml": p.readRules, "tests/*.yml": p.readTests} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(paths) == 0 {
			return nil, fmt.Errorf("%s: no %s: %w", dir, pattern, err)
		}
		for _, path := range paths {
			if err := read(path); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return p, nil
}

// Decoding into maps resolves anchors: a test can be taken out of its file.
func decode(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return yaml.Unmarshal(content, into)
}

func (p *Pack) readRules(path string) error {
	var file struct {
		Groups []map[string]any `yaml:"groups"`
	}
	if err := decode(path, &file); err != nil {
		return err
	}
	name := filepath.Base(path)
	for _, fields := range file.Groups {
		g := group{fields: fields}
		list, _ := fields["rules"].([]any)
		delete(fields, "rules")
		for _, item := range list {
			r, err := newRule(name, item)
			if err != nil {
				return err
			}
			g.rules = append(g.rules, r)
		}
		p.Rules = append(p.Rules, g.rules...)
		p.groups[name] = append(p.groups[name], g)
	}
	return nil
}

func newRule(file string, item any) (*Rule, error) {
	fields, ok := item.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a rule is no map: %v", item)
	}
	text := func(key string) string { s, _ := fields[key].(string); return s }
	r := &Rule{
		Name: text("alert"), Expr: text("expr"), For: text("for"), KeepFiringFor: text("keep_firing_for"),
		File: file, fields: fields,
	}
	if r.Name == "" {
		r.Name, r.Record = text("record"), true
	}
	expr, err := Parse(r.Expr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	r.uses = metrics(expr)
	return r, nil
}

func metrics(expr parser.Expr) []string {
	var names []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			names = append(names, selector.Name)
		}
		return nil
	})
	return names
}

func (p *Pack) readTests(path string) error {
	f := testFile{path: path}
	if err := decode(path, &f.fields); err != nil {
		return err
	}
	tests, _ := f.fields["tests"].([]any)
	files, _ := f.fields["rule_files"].([]any)
	delete(f.fields, "tests")
	delete(f.fields, "rule_files")
	for _, name := range files {
		f.ruleFiles = append(f.ruleFiles, filepath.Base(fmt.Sprint(name)))
	}
	for _, item := range tests {
		test, ok := item.(map[string]any)
		if !ok {
			return fmt.Errorf("a test is no map: %v", item)
		}
		f.tests = append(f.tests, test)
	}
	p.tests = append(p.tests, f)
	return nil
}

// affected are the rules whose result may change with this one: itself, and those that use what
// it records.
func (p *Pack) affected(r *Rule) []*Rule {
	result := []*Rule{r}
	for i := 0; i < len(result); i++ {
		for _, user := range p.Rules {
			if result[i].Record && slices.Contains(user.uses, result[i].Name) && !slices.Contains(result, user) {
				result = append(result, user)
			}
		}
	}
	return result
}

// needed are these rules and those that record what they use.
func (p *Pack) needed(rules []*Rule) []*Rule {
	result := slices.Clone(rules)
	for i := 0; i < len(result); i++ {
		for _, r := range p.Rules {
			if r.Record && slices.Contains(result[i].uses, r.Name) && !slices.Contains(result, r) {
				result = append(result, r)
			}
		}
	}
	return result
}

// RuleHash changes with the rule and with those that record what it uses.
func (p *Pack) RuleHash(r *Rule) string {
	var all []any
	for _, needed := range p.needed([]*Rule{r}) {
		all = append(all, needed.fields)
	}
	return hash(all)
}

func hash(value any) string {
	content, err := json.Marshal(value)
	if err != nil { // YAML has been decoded into maps with string keys: there is nothing JSON lacks
		panic(err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:6])
}

func encode(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return out.Bytes(), encoder.Close()
}

// Rule returns the alert of that name, nil without one.
func (p *Pack) Rule(alert string) *Rule {
	for _, r := range p.Rules {
		if r.Name == alert && !r.Record {
			return r
		}
	}
	return nil
}

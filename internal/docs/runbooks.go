package docs

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// alertRule is what the index tells of an alert.
type alertRule struct {
	Alert  string            `yaml:"alert"`
	Expr   string            `yaml:"expr"`
	For    string            `yaml:"for"`
	Labels map[string]string `yaml:"labels"`
}

var (
	heading = regexp.MustCompile(`(?m)^#`)
	sibling = regexp.MustCompile(`\]\(([A-Za-z0-9]+)\.md\)`)
)

// Runbooks renders one page of all runbooks, in the order of the rules: files are *.yml and
// runbooks/<Alert>.md. It is an error if an alert has no runbook.
func Runbooks(files fs.FS) (string, error) {
	paths, err := fs.Glob(files, "*.yml")
	if err != nil {
		return "", err
	}
	var index, body strings.Builder
	for _, p := range paths {
		rules, err := alertRules(files, p)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&index, "\n**%s**\n\n", strings.TrimSuffix(p, ".yml"))
		for _, r := range rules {
			text, err := fs.ReadFile(files, path.Join("runbooks", r.Alert+".md"))
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&index, "- [%s](#%s) (%s)\n", r.Alert, strings.ToLower(r.Alert), r.Labels["severity"])
			body.WriteString("\n" + section(r, string(text)))
		}
	}
	return "# Runbooks\n\nWhat to do when an alert fires: made of alerts/*.yml and alerts/runbooks/ by `vulcan_exporter docs --runbooks`.\n" +
		index.String() + body.String(), nil
}

func alertRules(files fs.FS, p string) ([]alertRule, error) {
	content, err := fs.ReadFile(files, p)
	if err != nil {
		return nil, err
	}
	var file struct {
		Groups []struct {
			Rules []alertRule `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	var rules []alertRule
	for _, group := range file.Groups {
		for _, r := range group.Rules {
			if r.Alert != "" {
				rules = append(rules, r)
			}
		}
	}
	return rules, nil
}

// section is a runbook one level lower, with its rule behind the title.
func section(r alertRule, text string) string {
	text = sibling.ReplaceAllStringFunc(text, func(link string) string {
		return "](#" + strings.ToLower(strings.TrimSuffix(link[2:], ".md)")) + ")"
	})
	title, rest, _ := strings.Cut(lower(text), "\n")
	wait := ""
	if r.For != "" {
		wait = " for " + r.For
	}
	return fmt.Sprintf("%s\n\n%s%s:\n```\n%s\n```\n%s", title, r.Labels["severity"], wait, strings.TrimSpace(r.Expr), rest)
}

// lower makes each heading one level lower; a comment in a block of code is none.
func lower(text string) string {
	parts := strings.Split(text, "```")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = heading.ReplaceAllString(parts[i], "##")
	}
	return strings.Join(parts, "```")
}

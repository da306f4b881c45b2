// Package config reads the configuration file: YAML (https://yaml.org/spec/1.2.2/)
// decoded strictly into Go structs, with every error told at once as
//
//	file:line:column: path: message
//
// The decoder walks the yaml.Node tree itself because yaml.v3's strict mode
// names no column and no path, stops at the first error of a custom type and
// cannot decode strictly from a Node.
package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Error is one fault of the configuration and its place. Line and Column
// count from 1; they are 0 where the fault is the whole file, and Column is 0
// for a fault of the YAML syntax, whose parser tells none.
type Error struct {
	File         string
	Line, Column int
	Path         string // for example restic.sources[2].max_age
	Message      string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	for _, n := range []int{e.Line, e.Column} {
		if n > 0 {
			fmt.Fprintf(&b, ":%d", n)
		}
	}
	if e.Path != "" {
		b.WriteString(": " + e.Path)
	}
	b.WriteString(": " + e.Message)
	return b.String()
}

// Errors are all faults of one file.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Err sorts the errors by place, sets their file and returns nil if there are
// none.
func (e Errors) Err(file string) error {
	if len(e) == 0 {
		return nil
	}
	for _, err := range e {
		err.File = file
	}
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return e
}

// Add records a fault at a node.
func (e *Errors) Add(n *yaml.Node, path, format string, args ...any) {
	err := &Error{Path: path, Message: fmt.Sprintf(format, args...)}
	if n != nil {
		err.Line, err.Column = n.Line, n.Column
	}
	*e = append(*e, err)
}

// A Validator checks a decoded config beyond its types. report takes a path
// relative to the config, such as "units[2]", and what was expected there.
type Validator interface {
	Validate(report func(path, format string, args ...any))
}

// Locate finds the node that a relative path such as "files[2].glob" names,
// or the nearest one above it that exists.
func Locate(n *yaml.Node, path string) *yaml.Node {
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next := child(n, step)
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

func child(n *yaml.Node, step string) *yaml.Node {
	n = resolve(n)
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		var index int
		if _, err := fmt.Sscanf(step, "%d", &index); err == nil && index >= 0 && index < len(n.Content) {
			return n.Content[index]
		}
	}
	return nil
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

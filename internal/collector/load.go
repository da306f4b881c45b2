package collector

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"vulcan.lan/vulcan_exporter/internal/config"
)

// LoadFile reads a configuration file; see Load.
func LoadFile(path string, definitions []*Definition) ([]Source, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Load(path, content, definitions)
}

// Load decodes a configuration whose top-level keys are collectors. A
// collector runs if and only if its key is present. All errors of the file
// are reported at once, as a config.Errors.
func Load(path string, content []byte, definitions []*Definition) ([]Source, error) {
	var doc yaml.Node
	var errs config.Errors
	dec := yaml.NewDecoder(bytes.NewReader(content))
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntax(err).Err(path)
	}
	if doc.Kind == 0 || len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		errs.Add(nil, "", "no collector is configured; expected at least one of %s", names(definitions))
		return nil, errs.Err(path)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		errs.Add(root, "", "expected a mapping of collectors (%s)", names(definitions))
		return nil, errs.Err(path)
	}
	var more yaml.Node
	switch err := dec.Decode(&more); {
	case err == nil:
		errs.Add(&more, "", "more than one YAML document; expected one")
	case !errors.Is(err, io.EOF):
		errs = append(errs, syntax(err)...)
	}
	var sources []Source
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		d := find(definitions, key.Value)
		switch {
		case d == nil:
			errs.Add(key, key.Value, "unknown collector; expected one of %s", names(definitions))
		case seen[key.Value]:
			errs.Add(key, key.Value, "collector is configured twice")
		default:
			found, more := d.decode(value)
			sources, errs = append(sources, found...), append(errs, more...)
		}
		seen[key.Value] = true
	}
	if err := errs.Err(path); err != nil {
		return nil, err
	}
	return sources, nil
}

// syntax turns "yaml: line 3: ..." into an Error with its line.
func syntax(err error) config.Errors {
	e := &config.Error{Message: strings.TrimPrefix(err.Error(), "yaml: ")}
	if rest, ok := strings.CutPrefix(e.Message, "line "); ok {
		for i, c := range rest {
			if c < '0' || c > '9' {
				e.Message = strings.TrimPrefix(rest[i:], ": ")
				break
			}
			e.Line = e.Line*10 + int(c-'0')
		}
	}
	return config.Errors{e}
}

func find(definitions []*Definition, name string) *Definition {
	for _, d := range definitions {
		if d.Name == name {
			return d
		}
	}
	return nil
}

func names(definitions []*Definition) string {
	list := make([]string, len(definitions))
	for i, d := range definitions {
		list[i] = d.Name
	}
	return strings.Join(list, ", ")
}

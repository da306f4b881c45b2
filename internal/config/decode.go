package config

import (
	"encoding"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Decode sets targets, which are pointers to structs, from a mapping. A key
// goes to the first target that has it; one that none has is an error. What
// the mapping does not name keeps its value, so defaults are set before.
func Decode(n *yaml.Node, path string, targets ...any) Errors {
	d := &decoder{}
	values := make([]reflect.Value, len(targets))
	for i, t := range targets {
		values[i] = reflect.ValueOf(t).Elem()
	}
	d.mapping(n, path, values)
	return d.errs
}

type decoder struct{ errs Errors }

func (d *decoder) mapping(n *yaml.Node, path string, targets []reflect.Value) {
	n = resolve(n)
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // "criticalservice:" with nothing behind it: all defaults
	}
	if n.Kind != yaml.MappingNode {
		d.errs.Add(n, path, "expected a mapping of keys, found %s", describe(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		if seen[key.Value] {
			d.errs.Add(key, at, "key is given twice")
			continue
		}
		seen[key.Value] = true
		field, ok := lookup(targets, key.Value)
		if !ok {
			d.errs.Add(key, at, "unknown key; expected %s", oneOf(keys(targets)))
			continue
		}
		d.value(value, at, field)
	}
}

func (d *decoder) value(n *yaml.Node, path string, v reflect.Value) {
	n = resolve(n)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	if node, ok := v.Addr().Interface().(*yaml.Node); ok {
		*node = *n // decoded later, by whoever asked for it
		return
	}
	text, isText := v.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case isText && n.Kind == yaml.ScalarNode:
		d.text(n, path, text)
	case v.Kind() == reflect.Struct:
		d.mapping(n, path, []reflect.Value{v})
	case v.Kind() == reflect.Slice:
		d.sequence(n, path, v)
	case v.Kind() == reflect.Map:
		d.dictionary(n, path, v)
	default:
		d.scalar(n, path, v)
	}
}

func (d *decoder) text(n *yaml.Node, path string, target encoding.TextUnmarshaler) {
	s, err := expand(n.Value)
	if err == nil {
		err = target.UnmarshalText([]byte(s))
	}
	if err != nil {
		d.errs.Add(n, path, "%v", err)
	}
}

func (d *decoder) sequence(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.errs.Add(n, path, "expected a list, found %s", describe(n))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(item, fmt.Sprintf("%s[%d]", path, i), list.Index(i))
	}
	v.Set(list)
}

func (d *decoder) dictionary(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.errs.Add(n, path, "expected a mapping of keys, found %s", describe(n))
		return
	}
	m := reflect.MakeMap(v.Type())
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := reflect.ValueOf(n.Content[i].Value).Convert(v.Type().Key())
		if m.MapIndex(key).IsValid() {
			d.errs.Add(n.Content[i], join(path, n.Content[i].Value), "key is given twice")
		}
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(n.Content[i+1], join(path, n.Content[i].Value), item)
		m.SetMapIndex(key, item)
	}
	v.Set(m)
}

func (d *decoder) scalar(n *yaml.Node, path string, v reflect.Value) {
	if v.Kind() == reflect.String && n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		s, err := expand(n.Value)
		if err != nil {
			d.errs.Add(n, path, "%v", err)
			return
		}
		v.SetString(s)
		return
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" || n.Decode(v.Addr().Interface()) != nil {
		d.errs.Add(n, path, "expected %s, found %s", kindName(v.Kind()), describe(n))
	}
}

// lookup finds the field of a key. Struct fields are named by their yaml tag.
func lookup(targets []reflect.Value, key string) (reflect.Value, bool) {
	for _, target := range targets {
		for i := range target.NumField() {
			if tagName(target.Type().Field(i)) == key {
				return target.Field(i), true
			}
		}
	}
	return reflect.Value{}, false
}

func keys(targets []reflect.Value) []string {
	var names []string
	for _, target := range targets {
		for i := range target.NumField() {
			if name := tagName(target.Type().Field(i)); name != "" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func tagName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if name == "-" {
		return ""
	}
	return name
}

var variable = regexp.MustCompile(`\$\{[^}]*\}`)

// expand replaces ${NAME} by the environment variable, such as systemd's
// ${CREDENTIALS_DIRECTORY}.
func expand(s string) (string, error) {
	var missing error
	out := variable.ReplaceAllStringFunc(s, func(ref string) string {
		value, ok := os.LookupEnv(ref[2 : len(ref)-1])
		if !ok {
			missing = fmt.Errorf("environment variable %s is not set", ref)
		}
		return value
	})
	return out, missing
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return fmt.Sprintf("%q", n.Value)
}

func kindName(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "a whole number"
	case reflect.String:
		return "a text"
	}
	return "a " + k.String()
}

func oneOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return "one of " + strings.Join(names, ", ")
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

package shape

import (
	"encoding/json"
	"errors"
	"slices"
)

// sample is the shape of one body.
type sample struct {
	dec     *json.Decoder
	dynamic []string
	seen    map[string]*Field
}

var errDeep = errors.New("nested too deep")

func (s *sample) walk(path, parent string, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	s.dec.UseNumber()
	token, err := s.dec.Token()
	if err != nil {
		return err
	}
	f := s.seen[path]
	if f == nil {
		f = &Field{Parent: parent}
		s.seen[path] = f
	}
	delim, ok := token.(json.Delim)
	if t := typeOf(token); t != "" && (!ok || s.dec.More()) {
		f.learn([]string{t})
	}
	if !ok {
		return nil
	}
	for s.dec.More() {
		next := path + "[]"
		if delim == '{' {
			if next, err = s.key(path); err != nil {
				return err
			}
		}
		if err := s.walk(next, path, depth+1); err != nil {
			return err
		}
	}
	_, err = s.dec.Token()
	return err
}

// key reads an object's next key and returns the path to its value.
func (s *sample) key(path string) (string, error) {
	token, err := s.dec.Token()
	if err != nil {
		return "", err
	}
	key, _ := token.(string)
	if slices.Contains(s.dynamic, path) {
		key = "*"
	}
	if path == "" {
		return key, nil
	}
	return path + "." + key, nil
}

func typeOf(token json.Token) string {
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return "object"
		}
		return "array"
	case string:
		return "string"
	case json.Number:
		return "number"
	case bool:
		return "boolean"
	}
	return ""
}

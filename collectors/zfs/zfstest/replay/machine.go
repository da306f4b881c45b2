package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// answer is what a command gave; rc is hangs where it never came back.
type answer struct {
	out, err string
	rc       int
}

const hangs = -1

// machine holds the recorded answers by command line, in order of precedence.
type machine struct {
	layers []map[string]answer
	order  []string // command lines as recorded, for the order of rows
}

func load(files []string) (*machine, error) {
	m := &machine{}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			return nil, err
		}
		parts := map[string]string{}
		for _, f := range archive.Files {
			parts[f.Name] = string(f.Data)
		}
		layer := map[string]answer{}
		for _, f := range archive.Files {
			base, ok := strings.CutSuffix(f.Name, ".cmd")
			if !ok {
				continue
			}
			line := unquote(strings.TrimSpace(parts[f.Name]))
			a := answer{out: parts[base+".out"], err: parts[base+".err"]}
			if rc := strings.TrimSpace(parts[base+".rc"]); rc == "HANG" {
				a.rc = hangs
			} else if rc != "" {
				a.rc, _ = strconv.Atoi(rc)
			}
			layer[line] = a
			m.order = append(m.order, line)
		}
		m.layers = append(m.layers, layer)
	}
	return m, nil
}

// unquote undoes the shell quotes of the few recorded names with a space.
func unquote(line string) string { return strings.ReplaceAll(line, "'", "") }

func (m *machine) find(line string) (answer, bool) {
	for _, layer := range m.layers {
		if a, ok := layer[line]; ok {
			return a, true
		}
	}
	return answer{}, false
}

// all lists recorded answers whose command line has the prefix, those of the
// first state first.
func (m *machine) all(prefix string) (lines []string, answers []answer) {
	for _, layer := range m.layers {
		for _, line := range m.order {
			if a, ok := layer[line]; ok && strings.HasPrefix(line, prefix) {
				lines, answers = append(lines, line), append(answers, a)
			}
		}
	}
	return lines, answers
}

func (m *machine) pools() []string {
	a, _ := m.find("zpool list -Ho name")
	return strings.Fields(a.out)
}

func (m *machine) answer(argv []string) (answer, bool) {
	line := strings.Join(argv, " ")
	if a, ok := m.find("*"); ok {
		return a, true
	}
	// A later state's answer about all pools would hide the first's about one.
	if a, ok := m.layers[0][line]; ok {
		return a, true
	}
	if _, ok := m.find("zpool list -Ho name"); !ok {
		_, answers := m.all("z")
		return answer{rc: hangs}, slices.ContainsFunc(answers, func(a answer) bool { return a.rc == hangs })
	}
	switch {
	case strings.HasPrefix(line, "zpool list -Hp -o "):
		return m.zpoolList(strings.Split(argv[4], ",")), true
	case line == "zpool status -p":
		return m.statusText()
	case line == "zpool status -j --json-int":
		return m.statusJSON()
	case argv[0] == "zfs" && argv[1] == "list":
		return m.zfsList(argv[2:]), true
	}
	return answer{}, false
}

// zpoolList joins the rows of `zpool get -Hp all`.
func (m *machine) zpoolList(columns []string) answer {
	props := map[string]map[string]string{}
	_, answers := m.all("zpool get -Hp all")
	for _, a := range answers {
		add(props, a.out, 0, 1, 2)
	}
	var out strings.Builder
	for _, pool := range m.pools() {
		out.WriteString(row(pool, props[pool], columns))
	}
	return answer{out: out.String()}
}

func (m *machine) statusText() (answer, bool) {
	var parts []string
	for _, pool := range m.pools() {
		a, ok := m.find("zpool status -p " + pool)
		if !ok {
			return answer{}, false
		}
		parts = append(parts, a.out)
	}
	return answer{out: strings.Join(parts, "\n")}, true
}

func (m *machine) statusJSON() (answer, bool) {
	pools := map[string]any{}
	whole := map[string]any{"pools": pools}
	for _, pool := range m.pools() {
		a, ok := m.find("zpool status -j --json-int " + pool)
		if !ok {
			a, ok = m.find("zpool status -j")
		}
		if !ok {
			return answer{}, false
		}
		var doc map[string]any
		dec := json.NewDecoder(strings.NewReader(a.out))
		dec.UseNumber()
		if err := dec.Decode(&doc); err != nil {
			return answer{}, false
		}
		recorded, _ := doc["pools"].(map[string]any)
		pools[pool], whole["output_version"] = integers(recorded[pool]), doc["output_version"]
	}
	out, err := json.Marshal(whole)
	return answer{out: string(out) + "\n"}, err == nil
}

// integers makes --json-int's form of that without: numbers for strings of
// digits, and none for abbreviated sizes.
func integers(v any) any {
	object, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for key, value := range object {
		text, isText := value.(string)
		switch {
		case !isText:
			object[key] = integers(value)
		case digits.MatchString(text):
			object[key] = json.Number(text)
		case strings.HasSuffix(key, "_space"):
			delete(object, key)
		}
	}
	return object
}

var digits = regexp.MustCompile(`^[0-9]+$`)

package main

import (
	"slices"
	"strings"
)

// zfsList answers zfs list [-Hpr] [-d N] -t TYPES -o COLUMNS NAME...
func (m *machine) zfsList(args []string) answer {
	var types, columns, names []string
	deep := false
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-t":
			i++
			types = strings.Split(args[i], ",")
		case a == "-o":
			i++
			columns = strings.Split(args[i], ",")
		case a == "-d":
			i++
		case strings.HasPrefix(a, "-"):
			deep = deep || strings.Contains(a, "r")
		default:
			names = append(names, a)
		}
	}
	order, props := m.datasets()
	var a answer
	for _, name := range names {
		if _, ok := props[name]; !ok {
			a.err, a.rc = a.err+m.refusal(name), 1
			continue
		}
		for _, ds := range order {
			of, snapshot, isSnapshot := strings.Cut(ds, "@")
			in := of == name || (deep && strings.HasPrefix(of, name+"/"))
			kind := props[ds]["type"]
			if isSnapshot {
				kind = "snapshot"
			}
			if in && slices.Contains(types, kind) && (isSnapshot || snapshot == "") {
				a.out += row(ds, props[ds], columns)
			}
		}
	}
	return a
}

// refusal is how zfs list failed for a name.
func (m *machine) refusal(name string) string {
	lines, answers := m.all("zfs list")
	for i, line := range lines {
		if strings.HasSuffix(line, " "+name) && answers[i].rc > 0 {
			return answers[i].err
		}
	}
	return "cannot open '" + name + "': dataset does not exist\n"
}

// datasets joins all that was recorded about datasets and snapshots.
func (m *machine) datasets() (order []string, props map[string]map[string]string) {
	props = map[string]map[string]string{}
	lines, answers := m.all("zfs list")
	for i, line := range lines {
		args := strings.Fields(line)
		at := slices.Index(args, "-o")
		if at < 0 {
			continue
		}
		columns := strings.Split(args[at+1], ",")
		for _, text := range strings.Split(strings.TrimSuffix(answers[i].out, "\n"), "\n") {
			fields := strings.Split(text, "\t")
			if len(fields) != len(columns) {
				continue // a tab inside of a value; other columns tell the rest
			}
			for j, column := range columns {
				set(props, fields[0], alias(column), fields[j])
			}
		}
	}
	_, answers = m.all("zfs get -Hp all")
	for _, a := range answers {
		add(props, a.out, 0, 1, 2)
	}
	for _, pool := range m.pools() {
		for name := range props {
			if name == pool || strings.HasPrefix(name, pool+"/") || strings.HasPrefix(name, pool+"@") {
				order = append(order, name)
			}
		}
	}
	slices.Sort(order)
	return order, props
}

func add(props map[string]map[string]string, out string, name, prop, value int) {
	for line := range strings.Lines(out) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) > value {
			set(props, f[name], f[prop], f[value])
		}
	}
}

// set keeps what the first state said.
func set(props map[string]map[string]string, name, prop, value string) {
	if props[name] == nil {
		props[name] = map[string]string{}
	}
	if _, ok := props[name][prop]; !ok {
		props[name][prop] = value
	}
}

func alias(column string) string {
	switch column {
	case "avail":
		return "available"
	case "refer":
		return "referenced"
	}
	return column
}

func row(name string, props map[string]string, columns []string) string {
	fields := make([]string, len(columns))
	for i, c := range columns {
		switch value, ok := props[c]; {
		case c == "name":
			fields[i] = name
		case ok:
			fields[i] = value
		default:
			fields[i] = "-"
		}
	}
	return strings.Join(fields, "\t") + "\n"
}

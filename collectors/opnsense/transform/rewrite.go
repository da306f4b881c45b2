package transform

import (
	"encoding/json"
	"math/bits"
)

// Report tells what a rewrite did, by the index of the rule's field.
type Report struct {
	// Transformed counts values given another type, Injected values that the
	// body did not have. Both are nil where nothing was changed.
	Transformed, Injected []uint64
}

// Apply rewrites one body. Where nothing had to be changed it returns body
// itself. On an error (ErrNotJSON) body is to be used as it is.
func (p *Program) Apply(body []byte) ([]byte, Report, error) {
	r := rewriter{scanner: scanner{src: body}, fields: len(p.fields)}
	if err := r.value(p.root, 0); err != nil {
		return nil, Report{}, err
	}
	if r.peek(); r.pos != len(body) {
		return nil, Report{}, ErrNotJSON
	}
	if r.copied == 0 && r.out == nil {
		return body, r.report, nil
	}
	return append(r.out, body[r.copied:]...), r.report, nil
}

type rewriter struct {
	scanner
	out    []byte
	copied int // how much of src is in out
	fields int
	report Report
}

// replace puts raw in the place of src[from:to], which lies behind all
// replacements so far.
func (r *rewriter) replace(from, to int, raw string) {
	if r.out == nil {
		r.out = make([]byte, 0, len(r.src)+len(r.src)/8+256)
	}
	r.out = append(append(r.out, r.src[r.copied:from]...), raw...)
	r.copied = to
}

func (r *rewriter) transformed(rule int) {
	r.count()
	r.report.Transformed[rule]++
}

func (r *rewriter) injected(rules ...int) {
	r.count()
	for _, rule := range rules {
		r.report.Injected[rule]++
	}
}

func (r *rewriter) count() {
	if r.report.Transformed == nil {
		both := make([]uint64, 2*r.fields)
		r.report.Transformed, r.report.Injected = both[:r.fields], both[r.fields:]
	}
}

// value reads one value; n is nil where no rule is about it.
func (r *rewriter) value(n *node, depth int) error {
	c := r.peek()
	from := r.pos
	switch {
	case c == '{':
		return r.object(n, depth+1)
	case c == '[':
		return r.array(n, depth+1)
	case c == '"':
		escaped, err := r.text()
		if err == nil && n != nil && n.rule >= 0 {
			r.str(n, from, escaped)
		}
		return err
	case c == '-' || digit(c):
		err := r.number()
		if err == nil && n != nil && n.rule >= 0 {
			r.num(n, from)
		}
		return err
	case c == 't':
		return r.constant(n, "true")
	case c == 'f':
		return r.constant(n, "false")
	case c == 'n':
		return r.constant(n, "null")
	}
	return ErrNotJSON
}

func (r *rewriter) constant(n *node, word string) error {
	from := r.pos
	err := r.literal(word)
	if err == nil && n != nil && n.rule >= 0 {
		r.word(n, from, word)
	}
	return err
}

func (r *rewriter) object(n *node, depth int) error {
	if depth > maxDepth {
		return ErrNotJSON
	}
	from := r.pos
	r.pos++
	var seen uint64 // bit i: required[i] is there
	empty := true
	if r.peek() == '}' {
		r.pos++
	} else {
		empty = false
		for more := true; more; {
			child, missing, err := r.key(n, &seen)
			if err != nil {
				return err
			}
			if err := r.member(child, missing, depth); err != nil {
				return err
			}
			if more, err = r.next('}'); err != nil {
				return err
			}
		}
	}
	if n == nil {
		return nil
	}
	if empty && n.rule >= 0 && n.want == Array {
		r.replace(from, r.pos, "[]")
		r.transformed(n.rule)
		return nil
	}
	if bits.OnesCount64(seen) < len(n.required) {
		r.complete(n, seen, empty)
	}
	return nil
}

// key reads a key and its colon and finds what the rules say of it.
func (r *rewriter) key(n *node, seen *uint64) (child *node, must *required, err error) {
	if r.peek() != '"' {
		return nil, nil, ErrNotJSON
	}
	from := r.pos
	escaped, err := r.text()
	if err != nil {
		return nil, nil, err
	}
	to := r.pos
	if r.peek() != ':' {
		return nil, nil, ErrNotJSON
	}
	r.pos++
	if n == nil {
		return nil, nil, nil
	}
	child = n.child(r.src[from:to], escaped)
	for i := range n.required {
		if n.required[i].child == child {
			*seen |= 1 << i
			must = &n.required[i]
		}
	}
	return child, must, nil
}

// child finds the node of a quoted key.
func (n *node) child(quoted []byte, escaped bool) *node {
	if n.byLength == nil {
		return n.others
	}
	key := quoted[1 : len(quoted)-1]
	if escaped {
		var s string
		if json.Unmarshal(quoted, &s) != nil {
			return n.others
		}
		key = []byte(s)
	}
	if len(key) < len(n.byLength) {
		for _, e := range n.byLength[len(key)] {
			if foldEqual(key, e.key) {
				return e.child
			}
		}
	}
	return n.others
}

// foldEqual compares with a text in lower case of the same length.
func foldEqual(key []byte, lower string) bool {
	if string(key) == lower {
		return true
	}
	for i := range key {
		c := key[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// member reads a member's value. A required one that is null, or an empty
// array where an object must be, is as good as missing.
func (r *rewriter) member(child *node, must *required, depth int) error {
	if must == nil {
		return r.value(child, depth)
	}
	if r.peek() == 'n' {
		from := r.pos
		if err := r.literal("null"); err != nil {
			return err
		}
		r.replace(from, r.pos, must.raw)
		r.injected(must.rules...)
		return nil
	}
	return r.value(child, depth)
}

func (r *rewriter) array(n *node, depth int) error {
	if depth > maxDepth {
		return ErrNotJSON
	}
	from := r.pos
	r.pos++
	if r.peek() == ']' {
		r.pos++
		if n != nil && (n.rule >= 0 && n.want == Object || n.made && len(n.required) > 0) {
			r.replace(from, r.pos, "{")
			if n.rule >= 0 {
				r.transformed(n.rule)
			}
			r.missing(n, 0, true)
			r.out = append(r.out, '}')
		}
		return nil
	}
	var items *node
	if n != nil {
		items = n.items
	}
	for more := true; more; {
		if err := r.value(items, depth); err != nil {
			return err
		}
		var err error
		if more, err = r.next(']'); err != nil {
			return err
		}
	}
	return nil
}

// next reads a comma, or the end of the container.
func (r *rewriter) next(end byte) (more bool, err error) {
	switch c := r.peek(); c {
	case ',', end:
		r.pos++
		return c == ',', nil
	}
	return false, ErrNotJSON
}

// complete adds what the object that was just read lacks, before its brace.
func (r *rewriter) complete(n *node, seen uint64, empty bool) {
	r.replace(r.pos-1, r.pos, "")
	r.missing(n, seen, empty)
	r.out = append(r.out, '}')
}

func (r *rewriter) missing(n *node, seen uint64, first bool) {
	for i := range n.required {
		if seen&(1<<i) != 0 {
			continue
		}
		m := &n.required[i]
		if !first {
			r.out = append(r.out, ',')
		}
		first = false
		r.out = append(append(append(r.out, quote(m.key)...), ':'), m.raw...)
		r.injected(m.rules...)
	}
}

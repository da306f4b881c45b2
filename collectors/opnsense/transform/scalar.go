package transform

import "encoding/json"

// set replaces the scalar that was just read.
func (r *rewriter) set(n *node, from int, raw string) {
	r.replace(from, r.pos, raw)
	r.transformed(n.rule)
}

// unknown replaces a scalar that says nothing: by what the rule injects, else
// by null, which a strict reader takes for a field that is not there.
func (r *rewriter) unknown(n *node, from int) {
	raw := n.inject
	if raw == "" {
		raw = "null"
	}
	r.replace(from, r.pos, raw)
	r.injected(n.rule)
}

// mapped applies the rule's Values to a scalar's text.
func (r *rewriter) mapped(n *node, from int, text []byte) bool {
	if n.values == nil {
		return false
	}
	raw, ok := n.values[string(text)]
	if ok && raw != string(r.src[from:r.pos]) {
		r.set(n, from, raw)
	}
	return ok
}

// str handles a string, src[from:pos] with its quotes.
func (r *rewriter) str(n *node, from int, escaped bool) {
	text := r.src[from+1 : r.pos-1]
	if escaped {
		var s string
		if json.Unmarshal(r.src[from:r.pos], &s) != nil {
			return
		}
		text = []byte(s)
	}
	switch {
	case r.mapped(n, from, text):
	case len(text) == 0 && (n.inject != "" || n.want == Int || n.want == Number):
		r.unknown(n, from)
	case n.want == Bool:
		switch string(text) {
		case "1", "true":
			r.set(n, from, "true")
		case "0", "false", "":
			r.set(n, from, "false")
		}
	case n.want == Int && isNumber(string(text)):
		if whole, ok := integer(string(text)); ok {
			r.set(n, from, whole)
		} else {
			r.unknown(n, from)
		}
	case n.want == Number && isNumber(string(text)):
		if finite(string(text)) {
			r.set(n, from, string(text))
		} else {
			r.unknown(n, from)
		}
	}
}

// num handles a number, src[from:pos].
func (r *rewriter) num(n *node, from int) {
	text := r.src[from:r.pos]
	switch {
	case r.mapped(n, from, text):
	case n.want == String:
		r.set(n, from, `"`+decimal(string(text))+`"`)
	case n.want == Bool && string(text) == "1":
		r.set(n, from, "true")
	case n.want == Bool && string(text) == "0":
		r.set(n, from, "false")
	case n.want == Int:
		if whole, ok := integer(string(text)); !ok {
			r.unknown(n, from)
		} else if whole != string(text) {
			r.set(n, from, whole)
		}
	case n.want == Number && !finite(string(text)):
		r.unknown(n, from)
	}
}

// word handles true, false and null.
func (r *rewriter) word(n *node, from int, word string) {
	if word == "null" || r.mapped(n, from, []byte(word)) {
		return // a null that a rule injects for is handled by member
	}
	digit := "0"
	if word == "true" {
		digit = "1"
	}
	switch n.want {
	case String:
		r.set(n, from, `"`+digit+`"`)
	case Int, Number:
		r.set(n, from, digit)
	}
}

package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

func compile(t testing.TB, rules ...Rule) *Program {
	t.Helper()
	for i := range rules {
		if rules[i].Endpoint == "" {
			rules[i].Endpoint = "a/b/c"
		}
	}
	table, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return table.For(rules[0].Endpoint)
}

func TestMappings(t *testing.T) {
	text := Rule{Path: "v", Want: String}
	whole := Rule{Path: "v", Want: Int}
	number := Rule{Path: "v", Want: Number}
	truth := Rule{Path: "v", Want: Bool}
	code := Rule{Path: "v", Want: Int, Values: map[string]string{"OK": "2", "true": "7"}}
	inject := Rule{Path: "a.b.v", Want: String, Inject: `"0"`}
	for _, test := range []struct {
		rule                  Rule
		in, out               string
		transformed, injected uint64
	}{
		{text, `{"v":true}`, `{"v":"1"}`, 1, 0},
		{text, `{"v":false}`, `{"v":"0"}`, 1, 0},
		{text, `{"v":254}`, `{"v":"254"}`, 1, 0},
		{text, `{"v":-0.10}`, `{"v":"-0.10"}`, 1, 0},
		{text, `{"v":18446744073709087000}`, `{"v":"18446744073709087000"}`, 1, 0},
		{text, `{"v":123456789012345678901234567890.123456789}`, `{"v":"123456789012345678901234567890.123456789"}`, 1, 0},
		{text, `{"v":1.8446744073709087e+19}`, `{"v":"18446744073709087000"}`, 1, 0},
		{text, `{"v":1.50e-3}`, `{"v":"0.0015"}`, 1, 0},
		{text, `{"v":1e999999999}`, `{"v":"1e999999999"}`, 1, 0},
		{text, `{"v":"1e2"}`, `{"v":"1e2"}`, 0, 0},
		{text, `{"v":null}`, `{"v":null}`, 0, 0},
		{text, `{}`, `{}`, 0, 0},
		{text, `{"v":[1]}`, `{"v":[1]}`, 0, 0},
		{text, `[{"v":1}]`, `[{"v":1}]`, 0, 0},
		{text, `{"V":1,"\u0076":2,"w":3}`, `{"V":"1","\u0076":"2","w":3}`, 2, 0},
		{text, " {\t\"v\" :\n1 } ", " {\t\"v\" :\n\"1\" } ", 1, 0},
		{whole, `{"v":"12"}`, `{"v":12}`, 1, 0},
		{whole, `{"v":12.0}`, `{"v":12}`, 1, 0},
		{whole, `{"v":1e3}`, `{"v":1000}`, 1, 0},
		{whole, `{"v":true}`, `{"v":1}`, 1, 0},
		{whole, `{"v":""}`, `{"v":null}`, 0, 1},
		{whole, `{"v":1.8446744073709087e+19}`, `{"v":null}`, 0, 1},
		{whole, `{"v":0.5}`, `{"v":null}`, 0, 1},
		{whole, `{"v":"N/A"}`, `{"v":"N/A"}`, 0, 0},
		{whole, `{"v":9223372036854775807}`, `{"v":9223372036854775807}`, 0, 0},
		{number, `{"v":"1.50"}`, `{"v":1.50}`, 1, 0},
		{number, `{"v":1e999}`, `{"v":null}`, 0, 1},
		{number, `{"v":" 1"}`, `{"v":" 1"}`, 0, 0},
		{truth, `{"v":"1"}`, `{"v":true}`, 1, 0},
		{truth, `{"v":0}`, `{"v":false}`, 1, 0},
		{truth, `{"v":""}`, `{"v":false}`, 1, 0},
		{truth, `{"v":"yes"}`, `{"v":"yes"}`, 0, 0},
		{code, `{"v":"OK"}`, `{"v":2}`, 1, 0},
		{code, `{"v":true}`, `{"v":7}`, 1, 0},
		{code, `{"v":"ODD"}`, `{"v":"ODD"}`, 0, 0},
		{Rule{Path: "v", Want: Object}, `{"v":[ ]}`, `{"v":{}}`, 1, 0},
		{Rule{Path: "v", Want: Object}, `{"v":[1]}`, `{"v":[1]}`, 0, 0},
		{Rule{Path: "v", Want: Array}, `{"v":{}}`, `{"v":[]}`, 1, 0},
		{Rule{Path: "[].v", Want: Int}, `[{"v":"1"},{"v":2},3]`, `[{"v":1},{"v":2},3]`, 1, 0},
		{Rule{Path: "m.*.*", Want: String}, `{"m":{"x":{"y":1},"z":2}}`, `{"m":{"x":{"y":"1"},"z":2}}`, 1, 0},
		{inject, `{"a":{"b":{"v":"7"}}}`, `{"a":{"b":{"v":"7"}}}`, 0, 0},
		{inject, `{"a":{"b":{"v":null}}}`, `{"a":{"b":{"v":"0"}}}`, 0, 1},
		{inject, `{"a":{"b":{"v":""}}}`, `{"a":{"b":{"v":"0"}}}`, 0, 1},
		{inject, `{"a":{"b":{"x":1 } }}`, `{"a":{"b":{"x":1 ,"v":"0"} }}`, 0, 1},
		{inject, `{"a":{"b":null}}`, `{"a":{"b":{"v":"0"}}}`, 0, 1},
		{inject, `{"a":{"b":[]}}`, `{"a":{"b":{"v":"0"}}}`, 0, 1},
		{inject, `{"a":{}}`, `{"a":{"b":{"v":"0"}}}`, 0, 1},
		{inject, `{"a":null}`, `{"a":null}`, 0, 0},
		{inject, `{}`, `{}`, 0, 0},
		{inject, `{"a":{"b":3}}`, `{"a":{"b":3}}`, 0, 0},
		{Rule{Path: "v", Want: Int, Inject: "0"}, `{"x":1}`, `{"x":1,"v":0}`, 0, 1},
		{Rule{Path: "v", Want: Int, Inject: "0"}, `{"v":0.5}`, `{"v":0}`, 0, 1},
	} {
		out, report, err := compile(t, test.rule).Apply([]byte(test.in))
		if err != nil || string(out) != test.out {
			t.Errorf("%s %s: %s, %v, want %s", test.rule.Want, test.in, out, err, test.out)
		}
		if got := sum(report.Transformed); got != test.transformed {
			t.Errorf("%s %s: %d transformed, want %d", test.rule.Want, test.in, got, test.transformed)
		}
		if got := sum(report.Injected); got != test.injected {
			t.Errorf("%s %s: %d injected, want %d", test.rule.Want, test.in, got, test.injected)
		}
	}
}

func sum(counts []uint64) (total uint64) {
	for _, c := range counts {
		total += c
	}
	return total
}

// A rule of the operator takes the place of the built-in one about the field,
// and named keys inherit from wildcards.
func TestPrecedence(t *testing.T) {
	p := compile(t, Rule{Path: "m.*.*", Want: Int}, Rule{Path: "m.icmp.text", Want: Bool}, Rule{Path: "m.icmp.text", Want: String},
		Rule{Path: "m.icmp.gone", Want: String, Inject: `"x"`}, Rule{Path: "m.icmp.gone", Want: String})
	out, _, err := p.Apply([]byte(`{"m":{"icmp":{"text":1,"n":"2"},"tcp":{"text":"3"}}}`))
	if want := `{"m":{"icmp":{"text":"1","n":2},"tcp":{"text":3}}}`; err != nil || string(out) != want {
		t.Errorf("%s, %v, want %s", out, err, want)
	}
}

func TestBadRules(t *testing.T) {
	for _, test := range []struct {
		rule Rule
		want string
	}{
		{Rule{Path: "", Want: String}, "expected keys"},
		{Rule{Path: "a..b", Want: String}, "expected keys"},
		{Rule{Path: strings.Repeat("k", 65), Want: String}, "expected keys"},
		{Rule{Path: "v", Want: "text"}, "expected a type of"},
		{Rule{Path: "v", Want: Int, Values: map[string]string{"a": "x"}}, "is not JSON"},
		{Rule{Path: "v", Want: Int, Values: map[string]string{"a": `"x"`}}, "is no int"},
		{Rule{Path: "v", Want: String, Values: map[string]string{"a": `"b"`, "b": `"c"`}}, "no end"},
		{Rule{Path: "v", Want: Int, Inject: `"0"`}, "cannot be injected"},
		{Rule{Path: "v", Want: Int, Inject: "1e3"}, "cannot be injected"},
		{Rule{Path: "v", Want: String, Inject: `""`}, "cannot be injected"},
		{Rule{Path: "v.*", Want: String, Inject: `"0"`}, "only a key"},
	} {
		if _, err := Compile([]Rule{test.rule}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.rule, err, test.want)
		}
	}
	var many []Rule
	for i := range 65 {
		many = append(many, Rule{Path: fmt.Sprintf("k%d", i), Want: Int, Inject: "0"})
	}
	if _, err := Compile(many); err == nil {
		t.Error("65 injected keys in one object are accepted")
	}
}

func TestNotJSON(t *testing.T) {
	p := compile(t, Rule{Path: "v", Want: String})
	for _, in := range []string{"", "<html>", `{"v":1`, `{"v":1}}`, `{"v":01}`, `{"v":1,}`, "{\"v\":\"\n\"}", `{"v":"\x"}`, "\ufeff{}", `{"v":1} x`,
		strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001)} {
		if out, _, err := p.Apply([]byte(in)); !errors.Is(err, ErrNotJSON) {
			t.Errorf("%.30q: %.30q, %v", in, out, err)
		}
	}
}

// everything is a program that has something to say about most values.
func everything(t testing.TB) *Program {
	return compile(t,
		Rule{Path: "s", Want: String}, Rule{Path: "i", Want: Int}, Rule{Path: "b", Want: Bool}, Rule{Path: "n", Want: Number},
		Rule{Path: "o", Want: Object}, Rule{Path: "a", Want: Array}, Rule{Path: "a[].s", Want: String, Inject: `"x"`},
		Rule{Path: "e", Want: Int, Values: map[string]string{"OK": "2"}}, Rule{Path: "o.p.q", Want: Int, Inject: "7"},
		Rule{Path: "m.*", Want: String}, Rule{Path: "m.k", Want: Int}, Rule{Path: "z", Want: String, Inject: `"0"`})
}

var seeds = []string{
	`{"s":1,"i":"2","b":"1","n":"1.5","o":[],"a":{},"e":"OK","m":{"x":1,"k":"2"}}`,
	`{"a":[{"t":1},{"s":null},[],{}],"o":{"p":null},"z":"x"}`,
	`{"o":{"p":[]},"o":{"p":{"q":""}},"I":1.8446744073709087e+19,"i":1E-2}`,
	`[{"s":true}]`, `"s"`, `-0.0e+00`, `{"\u0073":1,"s\u0000":2," s":3}`, `{"z":null}`, `{"x":{"s":1,"i":"1"},"y":[1.0,1.00,1e0]}`, `nul`, "{\"s\":\xff}",
	"{\"s\":\"\xff\",\"z\":1}", `{"b":false,"s":false,"i":true,"n":true,"m":{"a":-0,"b":{"k":1}}}`,
}

// FuzzApply: for any bytes the rewrite accepts what encoding/json does, is
// idempotent, and changes nothing but the named fields.
func FuzzApply(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	p := everything(f)
	named := map[string]bool{".s": true, ".i": true, ".b": true, ".n": true, ".o": true, ".a": true, ".e": true, ".z": true,
		".a[].s": true, ".o.p": true, ".o.p.q": true, ".m.*": true}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		out, _, err := p.Apply(in)
		if !bytes.Equal(before, in) {
			t.Fatal("the input was written to")
		}
		if valid := json.Valid(in); valid != (err == nil) {
			t.Fatalf("valid %v, error %v", valid, err)
		}
		if err != nil {
			return
		}
		if !json.Valid(out) {
			t.Fatalf("not JSON: %s", out)
		}
		again, report, err := p.Apply(out)
		if err != nil || !bytes.Equal(again, out) || report.Transformed != nil {
			t.Fatalf("not idempotent: %s then %s, %v", out, again, err)
		}
		want, got := flatten(t, in, named), flatten(t, out, named)
		if strings.Join(want, "\n") != strings.Join(got, "\n") {
			t.Fatalf("other fields changed:\n%s\n%s", in, out)
		}
	})
}

// flatten lists keys and values in their order, with the text of numbers,
// without the values of named fields.
func flatten(t testing.TB, in []byte, named map[string]bool) []string {
	dec := json.NewDecoder(bytes.NewReader(in))
	dec.UseNumber()
	var out []string
	var walk func(path string, hidden bool)
	walk = func(path string, hidden bool) {
		token, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		hidden = hidden || named[path]
		if delim, ok := token.(json.Delim); ok {
			for dec.More() {
				next := path + "[]"
				if delim == '{' {
					key, err := dec.Token()
					if err != nil {
						t.Fatal(err)
					}
					next = path + "." + strings.ToLower(key.(string))
					if path == ".m" {
						next = ".m.*"
					}
					if !hidden && !named[next] {
						out = append(out, next)
					}
				}
				// What stands inside of a renamed container is not hidden, only
				// whether the container is {} or [].
				walk(next, false)
			}
			if _, err := dec.Token(); err != nil {
				t.Fatal(err)
			}
			if !hidden {
				out = append(out, path+fmt.Sprint(delim))
			}
			return
		}
		if !hidden {
			out = append(out, fmt.Sprintf("%s=%T:%v", path, token, token))
		}
	}
	walk("", false)
	return out
}

// What becomes text or an integer has exactly the number's value.
func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"0", "-0", "1e3", "1.8446744073709087e+19", "12.50E-1", "1e64", "1e65", "-9.9e-64"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !isNumber(text) || len(text) > 200 {
			return
		}
		written := decimal(text)
		if !isNumber(written) {
			t.Fatalf("%s became %s", text, written)
		}
		if written == text {
			return
		}
		want, ok1 := new(big.Rat).SetString(text)
		got, ok2 := new(big.Rat).SetString(written)
		if !ok1 || !ok2 || want.Cmp(got) != 0 {
			t.Fatalf("%s became %s", text, written)
		}
	})
}

func TestBuiltin(t *testing.T) {
	rules := Builtin()
	table, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	if table.For("routing/settings/search_gateway") != table.For("routing/settings/searchGateway") {
		t.Error("the two spellings of an endpoint have other programs")
	}
	if table.For("core/menu/search") != nil {
		t.Error("an endpoint without rules has a program")
	}
}

package shape

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func observe(l *Learner, times int, body string) (all []Change) {
	for range times {
		all = append(all, l.Observe("e", []byte(body), now)...)
	}
	return all
}

func TestChanges(t *testing.T) {
	const gateways = `{"rows":[{"name":"WAN","monitor_disable":true,"virtual":true},{"name":"LTE","monitor_disable":"0","virtual":false}]}`
	for _, test := range []struct {
		name   string
		bodies []string
		want   []Change
	}{
		{"same", []string{gateways}, nil},
		{"order and values", []string{`{"rows":[{"virtual":true,"monitor_disable":"1","name":"X"}]}`}, nil},
		{"no rows", []string{`{"rows":[]}`}, nil},
		{"null", []string{`{"rows":[{"name":null,"monitor_disable":"0","virtual":false}]}`}, nil},
		{"not JSON", []string{"<html>"}, nil},
		{"type", []string{`{"rows":[{"name":7,"monitor_disable":"0","virtual":false}]}`},
			[]Change{{"e", "rows[].name", Type, "string", "number"}}},
		{"added", []string{`{"total":1,"rows":[]}`}, []Change{{"e", "total", Added, "", "number"}}},
		{"removed", []string{`{"rows":[{"name":"WAN","virtual":false}]}`},
			[]Change{{"e", "rows[].monitor_disable", Removed, "boolean,string", ""}}},
		{"removed and back", []string{`{"rows":[{"name":"WAN","virtual":false}]}`, gateways, `{"rows":[{"name":"WAN","virtual":false}]}`},
			[]Change{{"e", "rows[].monitor_disable", Removed, "boolean,string", ""}, {"e", "rows[].monitor_disable", Added, "", "boolean,string"}}},
		{"map for list", []string{`{"rows":{"a":1}}`}, []Change{{"e", "rows", Type, "array", "object"}, {"e", "rows.a", Added, "", "number"}}},
		{"empty map for list", []string{`{"rows":{}}`}, nil},
		{"an object", []string{`{"rows":[],"total":{"a":{"b":1}}}`}, []Change{{"e", "total", Added, "", "object"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := New(nil)
			if early := observe(l, learning, gateways); early != nil {
				t.Errorf("told while learning: %v", early)
			}
			var got []Change
			for _, body := range test.bodies {
				got = append(got, observe(l, 2*away, body)...)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestDynamicKeys(t *testing.T) {
	l := New(map[string][]string{"e": {"interfaces"}})
	observe(l, learning, `{"interfaces":{"lan":{"mtu":"1500"}}}`)
	if got := observe(l, away, `{"interfaces":{"opt1":{"mtu":"1500"}}}`); got != nil {
		t.Errorf("another interface is no change of shape: %v", got)
	}
	if got := fmt.Sprint(observe(l, 1, `{"interfaces":{"opt1":{"mtu":1500}}}`)); !strings.Contains(got, "interfaces.*.mtu type string number") {
		t.Errorf("got %s", got)
	}
}

func TestDue(t *testing.T) {
	l := New(nil)
	for i, test := range []struct {
		endpoint string
		after    time.Duration
		want     bool
	}{{"a", 0, true}, {"a", time.Second, false}, {"b", time.Second, true}, {"a", every, true}, {"a", -time.Hour, true}} {
		if got := l.Due(test.endpoint, now.Add(test.after)); got != test.want {
			t.Errorf("%d: %v, want %v", i, got, test.want)
		}
	}
}

// What is kept and loaded again continues as if nothing happened.
func TestState(t *testing.T) {
	l := New(nil)
	observe(l, learning, `{"a":1}`)
	var kept []byte
	save := func(m map[string]*Endpoint) (err error) { kept, err = json.Marshal(m); return err }
	if err := l.Export(save); err != nil {
		t.Fatal(err)
	}
	kept, l = nil, restore(t, kept)
	if err := l.Export(save); err != nil || kept != nil {
		t.Errorf("saved without a change: %s, %v", kept, err)
	}
	if got := observe(l, 1, `{"a":"1"}`); len(got) != 1 || got[0].Kind != Type {
		t.Errorf("after a restart: %v", got)
	}
	if err := l.Export(save); err != nil || kept == nil {
		t.Errorf("not saved after a change: %v", err)
	}
	called := 0
	restore(t, kept).Endpoints(func(endpoint string, fields int, last map[Kind]time.Time) {
		called++
		if endpoint != "e" || fields != 2 || len(last) != 1 || !last[Type].Equal(now) {
			t.Errorf("%s %d %v", endpoint, fields, last)
		}
	})
	if called != 1 {
		t.Errorf("%d endpoints", called)
	}
	l.Import(map[string]*Endpoint{"x": nil, "y": {Fields: map[string]*Field{"z": nil}}, "w": {}})
	l.Observe("y", []byte(`{"z":1}`), now)
	l.Observe("w", []byte(`{"z":1}`), now)
}

func restore(t *testing.T, kept []byte) *Learner {
	t.Helper()
	var m map[string]*Endpoint
	if err := json.Unmarshal(kept, &m); err != nil {
		t.Fatal(err)
	}
	l := New(nil)
	l.Import(m)
	return l
}

func TestBounds(t *testing.T) {
	l := New(nil)
	var b strings.Builder
	for i := range 3 * maxFields {
		fmt.Fprintf(&b, `,"k%d":1`, i)
	}
	observe(l, 2*learning, "{"+b.String()[1:]+"}")
	if got := len(l.endpoints["e"].Fields); got != maxFields {
		t.Errorf("%d fields kept", got)
	}
	if got := observe(New(nil), 2*learning, strings.Repeat("[", 100)+strings.Repeat("]", 100)); got != nil {
		t.Error(got)
	}
}

func FuzzObserve(f *testing.F) {
	for _, s := range []string{`{"a":[{"b":1},{"b":"2"}]}`, `[]`, `{"":{"":null}}`, `{"a":`, `{"a":1,"a":{}}`} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		l := New(nil)
		observe(l, learning, first)
		if got := observe(l, 2*away, first); got != nil {
			t.Errorf("the same body again: %v", got)
		}
		observe(l, away, second)
		if got := observe(l, away, second); len(got) > 0 && got[0].Kind != Removed {
			t.Errorf("told twice: %v", got)
		}
	})
}

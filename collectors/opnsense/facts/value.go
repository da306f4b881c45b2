// Package facts reads what OPNsense's API tells of the machine and its
// gateways, whatever type a firmware version gives a field.
//
// Parsers are pure and lenient in types only: what is missing, "N/A", "~" or
// not to be understood is unknown and stays so. None of it ever becomes 0.
package facts

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// Value is a scalar of any JSON type, as text; "" where there is none.
// Booleans are "1" and "0", as PHP would print the first of them.
type Value string

// UnmarshalJSON implements json.Unmarshaler. It accepts everything.
func (v *Value) UnmarshalJSON(raw []byte) error {
	*v = ""
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0 || raw[0] == '{' || raw[0] == '[' || raw[0] == 'n':
	case raw[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		*v = Value(s)
	case raw[0] == 't':
		*v = "1"
	case raw[0] == 'f':
		*v = "0"
	default:
		*v = Value(raw)
	}
	return nil
}

// Opt is a measurement that may be unknown.
type Opt struct {
	V  float64
	OK bool
}

// Some is a known measurement.
func Some(v float64) Opt { return Opt{v, true} }

// number reads a plain decimal number, with an optional unit behind it.
func (v Value) number(units ...string) Opt {
	text := strings.TrimSpace(string(v))
	for _, unit := range units {
		text = strings.TrimSpace(strings.TrimSuffix(text, unit))
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return Opt{}
	}
	return Some(f)
}

// over divides a known measurement.
func (o Opt) over(by float64) Opt { return Opt{o.V / by, o.OK} }

// flag reads "1" and "0"; anything else is unknown.
func (v Value) flag() Opt {
	switch strings.TrimSpace(string(v)) {
	case "1", "true":
		return Some(1)
	case "0", "false":
		return Some(0)
	}
	return Opt{}
}

// is tells whether the value is true, taking what is missing for false.
func (v Value) is() bool { return v.flag() == Some(1) }

// list is an array, or the map or nothing that PHP makes of one.
type list[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (l *list[T]) UnmarshalJSON(raw []byte) error {
	*l = nil
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) > 0 && raw[0] == '[':
		return json.Unmarshal(raw, (*[]T)(l))
	case len(raw) > 0 && raw[0] == '{':
		var m map[string]T
		if err := json.Unmarshal(raw, &m); err != nil {
			return err
		}
		for _, v := range m {
			*l = append(*l, v)
		}
	}
	return nil
}

// object is a T, or the empty array, null or text that stands for none.
type object[T any] struct {
	V  T
	OK bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *object[T]) UnmarshalJSON(raw []byte) error {
	*o = object[T]{}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	o.OK = true
	return json.Unmarshal(raw, &o.V)
}

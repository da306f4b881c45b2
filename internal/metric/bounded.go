package metric

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Other is the label value for all that a Bounded did not admit.
const Other = "other"

// MaxLabelBytes is the longest label value that a Bounded gives out; longer ones are cut.
const MaxLabelBytes = 200

// Bounded keeps the values of an open label few. The values on the operator's list are admitted
// or, without a list, the first ones that come, up to a limit; all others are counted as Other.
//
// Admission is for ever: a value that has a series keeps it, so no counter falls and sums over
// the label stay exact. The JSON form of a Bounded is what it has admitted, to be kept in the
// state of the collector. A raised limit admits further values from then on; what they had
// counted before stays in Other. It is not safe for concurrent use.
type Bounded struct {
	limit    int
	listed   bool
	admitted map[string]struct{}
}

// NewBounded admits the listed values or, where none are listed, the first limit values.
func NewBounded(limit int, list ...string) *Bounded {
	b := &Bounded{limit: limit, listed: len(list) > 0, admitted: make(map[string]struct{})}
	for _, v := range list {
		b.admitted[LabelValue(v)] = struct{}{}
	}
	return b
}

// Admit gives the label value to use for value: itself or Other.
func (b *Bounded) Admit(value string) string {
	value = LabelValue(value)
	if _, ok := b.admitted[value]; ok {
		return value
	}
	if b.listed || len(b.admitted) >= b.limit {
		return Other
	}
	b.admitted[value] = struct{}{}
	return value
}

// Full tells whether a new value would be counted as Other.
func (b *Bounded) Full() bool { return b.listed || len(b.admitted) >= b.limit }

// Clone gives a copy that admits on its own.
func (b *Bounded) Clone() *Bounded {
	return &Bounded{limit: b.limit, listed: b.listed, admitted: maps.Clone(b.admitted)}
}

// MarshalJSON gives the admitted values.
func (b *Bounded) MarshalJSON() ([]byte, error) {
	values := slices.AppendSeq([]string{}, maps.Keys(b.admitted)) // none is [], for null would be no Bounded
	slices.Sort(values)
	return json.Marshal(values)
}

// UnmarshalJSON adds values that were admitted earlier, whatever the limit is now. It is for a
// Bounded that NewBounded made.
func (b *Bounded) UnmarshalJSON(data []byte) error {
	var values []string
	if err := json.Unmarshal(data, &values); err != nil {
		return err
	}
	if b.admitted == nil {
		b.admitted = make(map[string]struct{}, len(values))
	}
	for _, v := range values {
		b.admitted[LabelValue(v)] = struct{}{}
	}
	return nil
}

// LabelValue makes any text fit for a label: UTF-8, at most MaxLabelBytes long.
func LabelValue(text string) string {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	if len(text) <= MaxLabelBytes {
		return text
	}
	cut := MaxLabelBytes
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}

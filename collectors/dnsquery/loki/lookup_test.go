package loki

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestParseFound(t *testing.T) {
	const one = `{"data":{"resultType":"streams","result":[{"stream":{"job":"x"},"values":[["5","l",{"structuredMetadata":{"a":"b"}}],["4","k"]]}]}}`
	got, err := parseFound(strings.NewReader(one))
	if err != nil || len(got) != 2 || got[0].line != "k" || got[1].nanos != 5 || got[1].metadata["a"] != "b" || got[1].stream["job"] != "x" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "<html>", `{"data":{"resultType":"matrix"}}`,
		strings.Replace(one, `"5"`, `5`, 1), strings.Replace(one, `"5"`, `"x"`, 1), strings.Replace(one, `"l"`, `1`, 1), strings.Replace(one, `{"a":"b"}`, `1`, 1)} {
		if _, err := parseFound(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		} else if len(bad) > 10 && !errors.Is(err, errForbidden) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzParseFound(f *testing.F) {
	f.Add([]byte(`{"data":{"resultType":"streams","result":[{"stream":{"job":"x"},"values":[["5","l",{"structuredMetadata":{"a":"b"}}],["4","k"]]}]}}`))
	f.Add([]byte(`{"data":{"resultType":"streams","result":[{"values":[[null,null,null]]}]}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		all, err := parseFound(bytes.NewReader(answer))
		for i := range all {
			if err != nil || i > 0 && all[i].nanos < all[i-1].nanos {
				t.Fatalf("%+v, %v", all, err)
			}
		}
	})
}

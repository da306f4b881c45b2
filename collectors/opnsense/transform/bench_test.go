package transform

import (
	"encoding/json"
	"fmt"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// BenchmarkApply rewrites an answer with ten gateways, against decoding it to
// a tree and back and against only checking that it is JSON.
func BenchmarkApply(b *testing.B) {
	body, ok := testenv.OPNsenseAnswer("25.1", "routing/settings/searchGateway")
	if !ok {
		b.Fatal("no answer")
	}
	table, err := Compile(Builtin())
	if err != nil {
		b.Fatal(err)
	}
	p := table.For("routing/settings/searchGateway")
	for name, f := range map[string]func() error{
		"apply": func() error { _, _, err := p.Apply(body); return err },
		"tree": func() error {
			var v any
			if err := json.Unmarshal(body, &v); err != nil {
				return err
			}
			_, err := json.Marshal(v)
			return err
		},
		"valid": func() error {
			if !json.Valid(body) {
				return fmt.Errorf("not JSON")
			}
			return nil
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

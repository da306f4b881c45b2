package loki

import (
	"reflect"
	"testing"
)

func FuzzRecord(f *testing.F) {
	b, err := appendRecord(nil, rows(1, epoch)[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[recordHeader:])
	f.Add([]byte{recordVersion, 0, 0, 0, 0})
	f.Add([]byte{recordVersion, 2, 3, 'a', 'b', 'c', 1, 1, 'x', 1, 'y', 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := parseEntry(string(payload))
		if err != nil {
			return
		}
		again, err := appendRecord(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		body, size, err := record(again)
		if err != nil || size != len(again) {
			t.Fatal(size, err)
		}
		back, err := parseEntry(string(body))
		if err != nil {
			t.Fatal(err)
		}
		back.Labels, e.Labels = sorted(back.Labels), sorted(e.Labels)
		back.Metadata, e.Metadata = sorted(back.Metadata), sorted(e.Metadata)
		if !reflect.DeepEqual(back, e) {
			t.Fatalf("%+v became %+v", e, back)
		}
	})
}

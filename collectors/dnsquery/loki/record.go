package loki

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// A record is one entry on disk: the length of the payload and its CRC-32C, 4 bytes each,
// little-endian, then the payload. A payload is the format's version, then varints and texts with
// their length before them: nanoseconds since 1970, line, number of labels, each name and value,
// number of metadata, each name and value.
const (
	recordHeader  = 8
	recordVersion = 1
	// maxPayload is far above what Loki takes (256 kB a line by default); a length above it is
	// damage.
	maxPayload = 16 << 20
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errRecord  = errors.New("not a record")
)

// appendRecord appends the entry's record to b.
func appendRecord(b []byte, e Entry) ([]byte, error) {
	start := len(b)
	b = append(b, make([]byte, recordHeader)...)
	b = append(b, recordVersion)
	b = binary.AppendVarint(b, e.Time.UnixNano())
	b = appendText(b, e.Line)
	b = appendLabels(b, sorted(e.Labels))
	b = appendLabels(b, sorted(e.Metadata))
	payload := b[start+recordHeader:]
	if len(payload) > maxPayload {
		return b[:start], fmt.Errorf("entry of %d bytes: at most %d fit into the queue", len(payload), maxPayload)
	}
	sealRecord(b[start:])
	return b, nil
}

// sealRecord fills in the header of a record whose payload is complete.
func sealRecord(b []byte) []byte {
	payload := b[recordHeader:]
	binary.LittleEndian.PutUint32(b, uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(payload, castagnoli))
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendLabels(b []byte, labels []Label) []byte {
	b = binary.AppendUvarint(b, uint64(len(labels)))
	for _, l := range labels {
		b = appendText(appendText(b, l.Name), l.Value)
	}
	return b
}

// record gives the payload of the record that b begins with and the record's length. It is
// errRecord if b does not begin with a whole and undamaged one.
func record(b []byte) (payload []byte, size int, err error) {
	if len(b) < recordHeader {
		return nil, 0, errRecord
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || n > maxPayload || len(b)-recordHeader < int(n) {
		return nil, 0, errRecord
	}
	payload = b[recordHeader : recordHeader+int(n)]
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, 0, errRecord
	}
	return payload, recordHeader + int(n), nil
}

// parseEntry reads a payload. The entry's texts are parts of it.
func parseEntry(payload string) (Entry, error) {
	r := reader{s: payload}
	if version := r.byte(); version != recordVersion {
		return Entry{}, fmt.Errorf("record version %d: %w", version, errRecord)
	}
	e := Entry{Time: time.Unix(0, r.varint()).UTC(), Line: r.text(), Labels: r.labels(), Metadata: r.labels()}
	if r.bad || r.s != "" {
		return Entry{}, errRecord
	}
	return e, nil
}

// reader takes a payload apart; bad is set by the first thing that is not there.
type reader struct {
	s   string
	bad bool
}

func (r *reader) take(n uint64) string {
	if r.bad || n > uint64(len(r.s)) {
		r.bad = true
		return ""
	}
	taken := r.s[:n]
	r.s = r.s[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != "" {
		return b[0]
	}
	return 0
}

// uvarint reads what binary.AppendUvarint wrote.
func (r *reader) uvarint() uint64 {
	v := uint64(0)
	for shift := 0; shift < 64 && !r.bad; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.bad = true
	return 0
}

// varint reads what binary.AppendVarint wrote.
func (r *reader) varint() int64 {
	u := r.uvarint()
	v := int64(u >> 1)
	if u&1 != 0 {
		v = ^v
	}
	return v
}

func (r *reader) text() string { return r.take(r.uvarint()) }

func (r *reader) labels() []Label {
	n := r.uvarint()
	if r.bad || n == 0 || n > uint64(len(r.s)) {
		r.bad = r.bad || n > 0
		return nil
	}
	labels := make([]Label, 0, min(n, 64))
	for range n {
		labels = append(labels, Label{r.text(), r.text()})
	}
	if r.bad {
		return nil
	}
	return labels
}

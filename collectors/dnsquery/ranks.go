package dnsquery

import (
	"encoding/binary"
	"encoding/json"
)

// ranks number rows that look alike: the k-th of them is sent to Loki k nanoseconds later, for
// Loki keeps one of two equal entries. The last rankedRows different rows at least are remembered,
// in two halves of which the older one is forgotten when the younger one is full: rows that look
// alike have the same time and so come close together.
type ranks struct{ young, old map[uint64]uint32 }

const (
	rankedRows = 4096
	rankBytes  = 12
)

func newRanks() *ranks { return &ranks{young: map[uint64]uint32{}} }

// next gives how many rows of this hash there were before.
func (r *ranks) next(hash uint64) uint32 {
	n, ok := r.young[hash]
	if !ok {
		if len(r.young) >= rankedRows {
			r.young, r.old = make(map[uint64]uint32, rankedRows), r.young
		}
		n = r.old[hash]
	}
	r.young[hash] = n + 1
	return n
}

// MarshalJSON gives the content as 12 bytes a row, hash and count.
func (r *ranks) MarshalJSON() ([]byte, error) {
	return json.Marshal([2][]byte{pack(r.young), pack(r.old)})
}

// UnmarshalJSON replaces the content.
func (r *ranks) UnmarshalJSON(data []byte) error {
	var kept [2][]byte
	if err := json.Unmarshal(data, &kept); err != nil {
		return err
	}
	r.young, r.old = unpack(kept[0]), unpack(kept[1])
	return nil
}

func pack(counts map[uint64]uint32) []byte {
	b := make([]byte, 0, rankBytes*len(counts))
	for hash, n := range counts {
		b = binary.LittleEndian.AppendUint64(b, hash)
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

func unpack(b []byte) map[uint64]uint32 {
	counts := make(map[uint64]uint32, len(b)/rankBytes)
	for ; len(b) >= rankBytes; b = b[rankBytes:] {
		counts[binary.LittleEndian.Uint64(b)] = binary.LittleEndian.Uint32(b[8:])
	}
	return counts
}

package latency

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// seen remembers the requests that were counted and whose start is not behind the horizon: 64
// bits of the digest of the id, and the start in Unix seconds. Two of a million ids share the 64
// bits with a probability of 3 in 100 million.
type seen map[uint64]uint32

const entrySize = 12

func digest(id string) uint64 {
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(sum[:8])
}

// forget drops what began before the moment: no row that old will be read again.
func (s seen) forget(before uint32) {
	for id, start := range s {
		if start < before {
			delete(s, id)
		}
	}
}

// MarshalJSON packs the entries: as JSON numbers they would be three times as long.
func (s seen) MarshalJSON() ([]byte, error) {
	packed := make([]byte, 0, len(s)*entrySize)
	for id, start := range s {
		packed = binary.BigEndian.AppendUint64(packed, id)
		packed = binary.BigEndian.AppendUint32(packed, start)
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(packed))
}

// UnmarshalJSON replaces the entries.
func (s *seen) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	if len(packed)%entrySize != 0 {
		return fmt.Errorf("%d bytes are not whole entries", len(packed))
	}
	*s = make(seen, len(packed)/entrySize)
	for ; len(packed) > 0; packed = packed[entrySize:] {
		(*s)[binary.BigEndian.Uint64(packed)] = binary.BigEndian.Uint32(packed[8:])
	}
	return nil
}

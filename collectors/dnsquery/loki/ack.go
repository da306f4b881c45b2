package loki

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The file ack says what needs not be sent again. It has two slots, each a record (see record.go)
// of JSON, that are written in turn, in place: a crash while one is written leaves the other, and a
// full disk cannot stop an acknowledgement, which is what frees the disk.
const (
	ackFile  = "ack"
	slotSize = 2048
)

// acknowledgement is the content of a slot.
type acknowledgement struct {
	Sequence int64            `json:"sequence"`
	Acked    Offset           `json:"acked"`
	Pushed   int64            `json:"pushed"`
	Lost     int64            `json:"lost"`
	Dropped  map[string]int64 `json:"dropped"`
}

// ackSlots is the open file.
type ackSlots struct {
	file     *os.File
	sequence int64
}

// openAck reads the newest slot; known is false where there is none that can be read, and damaged
// where there should be one.
func openAck(dir string) (s *ackSlots, ack acknowledgement, known, damaged bool, err error) {
	file, err := os.OpenFile(filepath.Join(dir, ackFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, ack, false, false, err
	}
	content := make([]byte, 2*slotSize)
	n, err := io.ReadFull(file, content)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, ack, false, false, errors.Join(err, file.Close())
	}
	for at := 0; at < len(content); at += slotSize {
		if found, ok := parseSlot(content[at : at+slotSize]); ok && (!known || found.Sequence > ack.Sequence) {
			ack, known = found, true
		}
	}
	if n < len(content) { // take the place now
		if _, err := file.WriteAt(content[n:], int64(n)); err != nil {
			return nil, ack, false, false, errors.Join(err, file.Close())
		}
	}
	return &ackSlots{file, ack.Sequence}, ack, known, n > 0 && !known, nil
}

func parseSlot(slot []byte) (ack acknowledgement, ok bool) {
	payload, _, err := record(slot)
	if err != nil || json.Unmarshal(payload, &ack) != nil || ack.Acked.Bytes < 0 || ack.Acked.Rows < 0 {
		return acknowledgement{}, false
	}
	return ack, true
}

// save writes the older slot, durably.
func (s *ackSlots) save(acked Offset, t Totals) error {
	payload, err := json.Marshal(acknowledgement{s.sequence + 1, acked, t.Pushed, t.Lost, t.Dropped})
	if err != nil {
		return err
	}
	slot := sealRecord(append(make([]byte, recordHeader, slotSize), payload...))
	if len(slot) > slotSize {
		return fmt.Errorf("acknowledgement of %d bytes", len(slot))
	}
	if _, err := s.file.WriteAt(slot, (s.sequence+1)%2*slotSize); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.sequence++
	return nil
}

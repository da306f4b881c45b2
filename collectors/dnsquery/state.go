package dnsquery

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/loki"
	"vulcan.lan/vulcan_exporter/collectors/dnsquery/tail"
	"vulcan.lan/vulcan_exporter/internal/state"
)

// position is all that must agree: how far the log was read, what was counted, and where the queue for
// Loki ended then. It is saved as one; what is in the queue after that end is cut off at start.
type position struct {
	Kind     string        `json:"kind"` // stateKind
	Position tail.Position `json:"position"`
	Counts   *counts       `json:"counts"`
	Ranks    *ranks        `json:"ranks"`
	Queue    loki.Offset   `json:"queue"`
	Sized    reading       `json:"sized"`
}

// reading is what the server had counted when all of its log had been read, to tell the size of
// gaps after it.
type reading struct {
	Started time.Time `json:"started"` // of the server; zero: nothing is known
	Total   int64     `json:"total"`   // queries since then
	Rows    float64   `json:"rows"`    // that we had counted
}

// stateKind tells a state of this collector from another's.
const stateKind = "dnsquery 1"

func (d *dnsquery) fresh() *position {
	return &position{
		Kind:     stateKind,
		Position: tail.Begin(d.env.Now().Add(-d.cfg.Overlap.Std())),
		Counts:   newCounts(&d.cfg), Ranks: newRanks(),
	}
}

// load gives the state to go on from: what was saved last, what is in memory where nothing can be
// saved, or a fresh one. One that cannot be used is said, counted and not used.
func (d *dnsquery) load() (*position, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unsaved != nil {
		return d.unsaved, nil
	}
	st := d.fresh()
	found, err := d.env.State.Load(st)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if !found {
		st = d.fresh()
	}
	st.Counts.complete()
	marker, err := d.marker()
	if err != nil || marker == "" {
		return st, err
	}
	_, err = os.Stat(marker)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return st, nil
	case err != nil:
		return nil, err
	case !found:
		st.Counts.Resets++
		d.env.Logger.Error("the state is gone or could not be read; counting anew", "from", st.Position.Start)
	}
	return st, nil
}

// marker is a file that is there once a state was saved, so that one that is lost later is told
// from one that never was. Empty where nothing is kept.
func (d *dnsquery) marker() (string, error) {
	folder, err := state.Folder(d.env.State)
	if err != nil || folder == "" {
		return "", err
	}
	return filepath.Join(folder, "begun"), nil
}

// mark makes the marker, after a state was saved.
func (d *dnsquery) mark() error {
	marker, err := d.marker()
	if err != nil || marker == "" {
		return err
	}
	file, err := os.OpenFile(marker, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

// UnmarshalJSON reads a state into one that fresh made; one of another program is an error.
func (s *position) UnmarshalJSON(data []byte) error {
	type plain position
	s.Kind = ""
	if err := json.Unmarshal(data, (*plain)(s)); err != nil {
		return err
	}
	if s.Kind != stateKind || s.Counts == nil || s.Ranks == nil || s.Counts.Rows != s.Counts.Queries.Sum() {
		return errors.New("not a state of this collector")
	}
	return nil
}

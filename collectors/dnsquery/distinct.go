package dnsquery

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/axiomhq/hyperloglog"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
)

// distinct estimates how many different clients and names there were in the last hour: a
// HyperLogLog sketch of 4 KiB each for every ten minutes of the rows' time.
type distinct struct{ slots map[int64]*sketches }

type sketches struct {
	Clients *hyperloglog.Sketch `json:"clients"`
	Domains *hyperloglog.Sketch `json:"domains"`
}

const (
	sketchPrecision = 12
	slotTime        = 10 * time.Minute
	windowSlots     = 6
)

func newDistinct() *distinct { return &distinct{map[int64]*sketches{}} }

func newSketch() *hyperloglog.Sketch {
	s, err := hyperloglog.NewSketch(sketchPrecision, true)
	if err != nil {
		panic(err) // the precision is a constant
	}
	return s
}

func slotOf(t time.Time) int64 { return t.Unix() / int64(slotTime/time.Second) }

// add takes a row that is of the window or ahead of our clock by up to a slot.
func (d *distinct) add(row *technitium.Row, now time.Time) {
	at, last := slotOf(row.Time), slotOf(now)
	if at <= last-windowSlots-1 || at > last+1 {
		return
	}
	s := d.slots[at]
	if s == nil {
		s = &sketches{newSketch(), newSketch()}
		d.slots[at] = s
		for old := range d.slots {
			if old < last-windowSlots-1 {
				delete(d.slots, old)
			}
		}
	}
	s.Clients.Insert([]byte(row.Client))
	if name := question(row); name != "" {
		s.Domains.Insert([]byte(name))
	}
}

// estimate counts over the last hour, which begins with a slot.
func (d *distinct) estimate(now time.Time) (clients, domains float64) {
	c, q := newSketch(), newSketch()
	for at, s := range d.slots {
		if at > slotOf(now)-windowSlots {
			if err := cmp.Or(c.Merge(s.Clients), q.Merge(s.Domains)); err != nil {
				continue // of another precision: of another version of this program
			}
		}
	}
	return float64(c.Estimate()), float64(q.Estimate())
}

// MarshalJSON gives the content.
func (d *distinct) MarshalJSON() ([]byte, error) {
	kept := map[int64][2][]byte{}
	for at, s := range d.slots {
		clients, err := s.Clients.MarshalBinary()
		if err != nil {
			return nil, err
		}
		domains, err := s.Domains.MarshalBinary()
		if err != nil {
			return nil, err
		}
		kept[at] = [2][]byte{clients, domains}
	}
	return json.Marshal(kept)
}

// UnmarshalJSON replaces the content.
func (d *distinct) UnmarshalJSON(data []byte) error {
	var kept map[int64][2][]byte
	if err := json.Unmarshal(data, &kept); err != nil {
		return err
	}
	d.slots = map[int64]*sketches{}
	for at, b := range kept {
		s := &sketches{newSketch(), newSketch()}
		if err := cmp.Or(s.Clients.UnmarshalBinary(b[0]), s.Domains.UnmarshalBinary(b[1])); err != nil {
			return err
		}
		d.slots[at] = s
	}
	return nil
}

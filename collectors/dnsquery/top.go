package dnsquery

import (
	"cmp"
	"container/heap"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// top finds the most frequent names of a clock hour by a space-saving sketch (Metwally, Agrawal, El
// Abbadi 2005): it counts few names exactly; a new one takes the place of the rarest with its
// count, so a count is never too small, and too large by at most the rows divided by the places.
type top struct {
	shown int
	hour  int64
	names map[string]*counted
	order byCount
}

type counted struct {
	name  string
	n     int64
	place int
}

// placesFor gives names to count for each shown one.
const placesFor = 20

func newTop(shown int) *top { return &top{shown: shown, names: map[string]*counted{}} }

// add counts a row of this hour or begins a later one; late rows of past hours are not counted.
func (t *top) add(row *technitium.Row) {
	name := question(row)
	hour := row.Time.Unix() / 3600
	if t.shown == 0 || name == "" || hour < t.hour {
		return
	}
	if hour > t.hour {
		t.hour, t.order = hour, nil
		clear(t.names)
	}
	t.count(strings.Clone(metric.LabelValue(name)), 1)
}

func (t *top) count(name string, n int64) {
	c := t.names[name]
	switch {
	case c != nil:
	case len(t.order) < placesFor*t.shown:
		c = &counted{name: name}
		t.names[name] = c
		heap.Push(&t.order, c)
	default:
		c = t.order[0]
		delete(t.names, c.name)
		c.name = name
		t.names[name] = c
	}
	c.n += n
	heap.Fix(&t.order, c.place)
}

// first gives the most frequent names of the hour of a time.
func (t *top) first(now time.Time) []counted {
	if t.shown == 0 || t.hour != now.Unix()/3600 {
		return nil
	}
	var all []counted
	for _, c := range t.order {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name))
	})
	return all[:min(len(all), t.shown)]
}

type topJSON struct {
	Hour  int64            `json:"hour"`
	Names map[string]int64 `json:"names"`
}

// MarshalJSON gives the content.
func (t *top) MarshalJSON() ([]byte, error) {
	kept := topJSON{t.hour, map[string]int64{}}
	for name, c := range t.names {
		kept.Names[name] = c.n
	}
	return json.Marshal(kept)
}

// UnmarshalJSON replaces the content of a sketch that newTop made, as far as it has places.
func (t *top) UnmarshalJSON(data []byte) error {
	var kept topJSON
	if err := json.Unmarshal(data, &kept); err != nil {
		return err
	}
	t.hour, t.order, t.names = kept.Hour, nil, map[string]*counted{}
	if t.shown == 0 {
		return nil
	}
	for _, name := range slices.SortedFunc(maps.Keys(kept.Names), func(a, b string) int {
		return cmp.Or(cmp.Compare(kept.Names[b], kept.Names[a]), cmp.Compare(a, b))
	}) {
		if len(t.order) < placesFor*t.shown {
			t.count(name, kept.Names[name])
		}
	}
	return nil
}

// byCount is a heap, the rarest name first.
type byCount []*counted

func (h byCount) Len() int           { return len(h) }
func (h byCount) Less(i, j int) bool { return h[i].n < h[j].n }
func (h byCount) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *byCount) Push(x any) {
	c := x.(*counted)
	c.place = len(*h)
	*h = append(*h, c)
}

// Pop implements heap.Interface.
func (h *byCount) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

package status

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

type jsonPool struct {
	Name       string     `json:"name"`
	State      string     `json:"state"`
	MsgID      string     `json:"msgid"`
	ErrorCount *uint64    `json:"error_count"`
	Scan       *jsonScan  `json:"scan_stats"`
	Vdevs      jsonVdevs  `json:"vdevs"`
	Special    *jsonVdevs `json:"special"`
	Dedup      *jsonVdevs `json:"dedup"`
	Logs       *jsonVdevs `json:"logs"`
	Cache      *jsonVdevs `json:"l2cache"`
	Spares     *jsonVdevs `json:"spares"`
}

type jsonVdevs map[string]jsonVdev

type jsonVdev struct {
	State    string    `json:"state"`
	Aux      string    `json:"aux"`
	Read     *uint64   `json:"read_errors"`
	Write    *uint64   `json:"write_errors"`
	Checksum *uint64   `json:"checksum_errors"`
	SlowIOs  *uint64   `json:"slow_ios"`
	Vdevs    jsonVdevs `json:"vdevs"`
}

type jsonScan struct {
	Function  string  `json:"function"`
	State     string  `json:"state"`
	Start     int64   `json:"start_time"`
	End       int64   `json:"end_time"`
	ToExamine uint64  `json:"to_examine"`
	Skipped   uint64  `json:"skipped"`
	Issued    *uint64 `json:"issued"`
	Processed *uint64 `json:"processed"`
	Errors    *uint64 `json:"errors"`
	Pause     int64   `json:"scrub_pause"`
}

// ParseJSON reads the output of `zpool status -j --json-int`.
//
//	{"output_version":{"command":"zpool status","vers_major":0,...},
//	 "pools":{"tank":{"name":"tank","state":"ONLINE","vdevs":{...},"error_count":0}}}
func ParseJSON(content []byte) ([]Pool, error) {
	var doc struct {
		Version *struct {
			Major int `json:"vers_major"`
		} `json:"output_version"`
		Pools map[string]jsonPool `json:"pools"`
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		return nil, fmt.Errorf("zpool status: %w", err)
	}
	switch {
	case doc.Version == nil || doc.Pools == nil:
		return nil, fmt.Errorf("zpool status: no output_version or pools in the JSON")
	case doc.Version.Major != 0:
		return nil, fmt.Errorf("zpool status: JSON version %d, expected 0", doc.Version.Major)
	}
	pools := make([]Pool, 0, len(doc.Pools))
	for name, p := range doc.Pools {
		pool, err := p.pool()
		if err != nil {
			return nil, fmt.Errorf("zpool status: pool %s: %w", name, err)
		}
		pools = append(pools, pool)
	}
	return sortPools(pools), nil
}

func (p jsonPool) pool() (Pool, error) {
	if p.Name == "" || p.State == "" || len(p.Vdevs) == 0 {
		return Pool{}, fmt.Errorf("name, state or vdevs are missing")
	}
	pool := Pool{Name: p.Name, State: p.State, MessageID: p.MsgID, Errors: p.ErrorCount, Scan: p.Scan.scan()}
	for name, root := range p.Vdevs {
		pool.Vdevs = append(pool.Vdevs, root.vdev("root", name))
		pool.Vdevs = append(pool.Vdevs, root.Vdevs.flat("normal")...)
	}
	for class, vdevs := range map[string]*jsonVdevs{
		"special": p.Special, "dedup": p.Dedup, "log": p.Logs, "cache": p.Cache, "spare": p.Spares,
	} {
		if vdevs != nil {
			pool.Vdevs = append(pool.Vdevs, vdevs.flat(class)...)
		}
	}
	for _, v := range pool.Vdevs {
		if v.State == "" {
			return Pool{}, fmt.Errorf("vdev %s has no state", v.Name)
		}
	}
	sortVdevs(pool.Vdevs)
	unique(pool.Vdevs)
	return pool, nil
}

func sortVdevs(vdevs []Vdev) {
	slices.SortFunc(vdevs, func(a, b Vdev) int {
		return cmp.Or(strings.Compare(a.Class, b.Class), strings.Compare(a.Name, b.Name), strings.Compare(a.State, b.State))
	})
}

func (v jsonVdev) vdev(class, name string) Vdev {
	return Vdev{Class: class, Name: name, State: v.state(), Read: v.Read, Write: v.Write, Checksum: v.Checksum, SlowIOs: v.SlowIOs}
}

// state gives the state in the words of the text. The JSON has the kernel's: a
// device that cannot be opened is CANT_OPEN, which the text calls after its cause.
func (v jsonVdev) state() string {
	switch {
	case v.State == "CLOSED":
		return "OFFLINE"
	case v.State == "CANT_OPEN" && (v.Aux == "CORRUPT_DATA" || v.Aux == "BAD_LOG"):
		return "FAULTED"
	case v.State == "CANT_OPEN" && v.Aux == "SPLIT_POOL":
		return "SPLIT"
	case v.State == "CANT_OPEN":
		return "UNAVAIL"
	}
	return v.State
}

func (m jsonVdevs) flat(class string) []Vdev {
	var out []Vdev
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[name].vdev(class, name))
		out = append(out, m[name].Vdevs.flat(class)...)
	}
	return out
}

func (s *jsonScan) scan() *Scan {
	if s == nil {
		return nil
	}
	out := &Scan{Start: s.Start, Errors: s.Errors, Repaired: s.Processed}
	switch s.Function {
	case "SCRUB":
		out.Function = "scrub"
	case "RESILVER":
		out.Function = "resilver"
	}
	switch s.State {
	case "SCANNING":
		out.State = "in_progress"
		if s.Pause > 0 {
			out.State = "paused"
		}
		out.Progress = s.progress()
	case "FINISHED":
		out.State, out.End = "finished", s.End
	case "CANCELED":
		out.State, out.End = "canceled", s.End
	default:
		out.Function = ""
	}
	return out
}

// progress is the part of the bytes that were issued, which is what zpool
// status shows as done: bytes found unneeded are not part of the whole.
func (s *jsonScan) progress() *float64 {
	if s.Issued == nil || s.ToExamine <= s.Skipped {
		return nil
	}
	done := min(1, float64(*s.Issued)/float64(s.ToExamine-s.Skipped))
	return &done
}

// Package status reads what `zpool status` says of the pools: the JSON form of
// OpenZFS 2.3 and later, and the text of all releases. Both give the same
// Pools; a fact that a form does not tell is absent, never 0.
package status

import (
	"slices"
	"strconv"
	"strings"
)

// Pool is one pool as zpool status describes it.
type Pool struct {
	Name string
	// State is the pool's health in ZFS' words: ONLINE, DEGRADED, SUSPENDED...
	State string
	// MessageID names the documented condition (ZFS-8000-9P), "" for none.
	MessageID string
	// Errors is the number of known permanent data errors, nil where ZFS could
	// not tell.
	Errors *uint64
	// Scan is the last scrub or resilver, nil where there never was one. A scan
	// of a kind that is not understood has the Function "".
	Scan *Scan
	// Rebuild is a sequential resilver that is told beside Scan; text only.
	Rebuild *Scan
	Vdevs   []Vdev
}

// Scan is a scrub or resilver.
type Scan struct {
	Function string // scrub, resilver
	State    string // in_progress, paused, finished, canceled
	// Start and End are Unix seconds, 0 where not known. End is set for
	// finished and canceled scans only.
	Start, End int64
	// Errors is the number of errors that the scan found.
	Errors *uint64
	// Progress is the part done, 0 to 1, of a scan in progress or paused.
	Progress *float64
	// Repaired is the number of bytes repaired or resilvered; JSON only, for
	// the text rounds it.
	Repaired *uint64
}

// Vdev is a device or a group of devices.
type Vdev struct {
	// Class is root, normal, special, dedup, log, cache or spare.
	Class string
	Name  string
	State string // in ZFS' words, for example ONLINE, UNAVAIL, AVAIL
	// Errors since the last zpool clear; nil where not shown, as for a spare.
	Read, Write, Checksum *uint64
	// SlowIOs is the number of requests slower than 30 s; JSON only.
	SlowIOs *uint64
}

// The classes of vdevs.
var classes = map[string]string{
	"special": "special", "dedup": "dedup", "logs": "log",
	"cache": "cache", "l2cache": "cache", "spares": "spare",
}

// Clean reports whether nothing at all is wrong: ONLINE alone is not, for a
// pool with data errors or a resilver under way reads ONLINE too.
func (p Pool) Clean() bool {
	if p.State != "ONLINE" || p.Errors == nil || *p.Errors > 0 {
		return false
	}
	for _, s := range []*Scan{p.Scan, p.Rebuild} {
		if s != nil && s.Function == "resilver" && s.End == 0 {
			return false
		}
	}
	for _, v := range p.Vdevs {
		if v.State != "ONLINE" && v.State != "AVAIL" {
			return false
		}
		if above0(v.Read) || above0(v.Write) || above0(v.Checksum) {
			return false
		}
	}
	return true
}

func above0(n *uint64) bool { return n != nil && *n > 0 }

// unique makes the names of a pool's vdevs unique within their class. ZFS may
// show a device twice while it is being moved.
func unique(vdevs []Vdev) {
	seen := map[[2]string]bool{}
	for i := range vdevs {
		name := vdevs[i].Name
		for n := 2; seen[[2]string{vdevs[i].Class, vdevs[i].Name}]; n++ {
			vdevs[i].Name = name + "#" + strconv.Itoa(n)
		}
		seen[[2]string{vdevs[i].Class, vdevs[i].Name}] = true
	}
}

func sortPools(pools []Pool) []Pool {
	slices.SortFunc(pools, func(a, b Pool) int { return strings.Compare(a.Name, b.Name) })
	return pools
}

// number reads a counter; an abbreviated or absent one (21.8K, -) is nil.
func number(s string) *uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

package zfs

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// poolColumns are asked of `zpool list -Hp`.
const poolColumns = "name,guid,health,size,allocated,free,freeing,leaked,fragmentation,capacity,dedupratio,readonly"

// pool is a row of zpool list. A value that ZFS does not know is nil.
type pool struct {
	name, guid, health                         string
	size, allocated, free, freeing, leaked     *float64
	fragmentationPercent, capacityPercent, dup *float64
	readonly                                   bool
}

// parsePools reads `zpool list -Hp -o name,guid,...`: a tab between columns, a
// dash for what is not known.
//
//	tank	16220129077573351399	ONLINE	1006632960	120758272	885874688	0	0	7	11	1.00	off
func parsePools(content []byte) ([]pool, error) {
	columns := strings.Count(poolColumns, ",") + 1
	var pools []pool
	for line := range bytes.Lines(content) {
		f := strings.Split(strings.TrimRight(string(line), "\n"), "\t")
		if len(f) != columns || f[0] == "" || f[2] == "" {
			return nil, fmt.Errorf("zpool list: expected %d columns, found %q", columns, line)
		}
		p := pool{name: f[0], guid: f[1], health: f[2], readonly: f[11] == "on"}
		targets := []**float64{&p.size, &p.allocated, &p.free, &p.freeing, &p.leaked, &p.fragmentationPercent, &p.capacityPercent, &p.dup}
		for i, target := range targets {
			v, err := number(f[3+i])
			if err != nil {
				return nil, fmt.Errorf("zpool list: pool %s: column %d: %w", p.name, 4+i, err)
			}
			*target = v
		}
		pools = append(pools, p)
	}
	return pools, nil
}

// number reads a value of -p output: a dash is a value that ZFS does not know
// or that does not apply. Releases before 2.0 print a percent sign or an x.
func number(s string) (*float64, error) {
	if s == "-" {
		return nil, nil
	}
	v, err := strconv.ParseFloat(strings.TrimRight(s, "%x"), 64)
	if err != nil || !(v >= 0 && v < 1e30) {
		return nil, fmt.Errorf("expected a number, found %q", s)
	}
	return &v, nil
}

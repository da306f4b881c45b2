package zfs

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// datasetColumns are asked of `zfs list -Hp`. No mountpoint: it is the only one
// that may hold a tab or a line end.
const datasetColumns = "name,type,creation,used,available,referenced,written,quota,volsize,usedbysnapshots"

// dataset is a filesystem or volume. A value that ZFS does not know is nil.
type dataset struct {
	name, kind                                                  string
	creation                                                    int64 // 0 where not known
	used, available, referenced, written, quota, volsize, snaps *float64

	snapshots      int
	newest, oldest int64
	rules          []*expectation
}

// parseDatasets reads `zfs list -Hp -t filesystem,volume -o name,type,...`.
//
//	tank/vm/disk0	volume	1760950815	78749696	731394048	8495104	0	-	67108864	0
func parseDatasets(content []byte) ([]*dataset, error) {
	columns := strings.Count(datasetColumns, ",") + 1
	var datasets []*dataset
	for line := range bytes.Lines(content) {
		f := strings.Split(strings.TrimRight(string(line), "\n"), "\t")
		if len(f) != columns || f[0] == "" || (f[1] != "filesystem" && f[1] != "volume") {
			return nil, fmt.Errorf("zfs list: expected %d columns of a filesystem or volume, found %q", columns, line)
		}
		d := &dataset{name: f[0], kind: f[1]}
		creation, err := number(f[2])
		if err != nil {
			return nil, fmt.Errorf("zfs list: %s: creation: %w", d.name, err)
		}
		if creation != nil && *creation < math.MaxInt64 {
			d.creation = int64(*creation)
		}
		for i, target := range []**float64{&d.used, &d.available, &d.referenced, &d.written, &d.quota, &d.volsize, &d.snaps} {
			if f[3+i] == "none" {
				continue
			}
			if *target, err = number(f[3+i]); err != nil {
				return nil, fmt.Errorf("zfs list: %s: column %d: %w", d.name, 4+i, err)
			}
		}
		datasets = append(datasets, d)
	}
	return datasets, nil
}

// addSnapshots reads `zfs list -Hp -t snapshot -o name,creation` and adds each
// snapshot to its dataset; one of a dataset that is not asked for is skipped.
// now tells creation times that a wrong clock set in the future, which count
// for no expectation.
//
//	tank/data@autosnap_2025-10-23_00:00:01_hourly	1761177601
func addSnapshots(content []byte, datasets map[string]*dataset, now int64) error {
	for line := range bytes.Lines(content) {
		name, created, ok := bytes.Cut(bytes.TrimRight(line, "\n"), []byte{'\t'})
		of, snapshot, isSnapshot := bytes.Cut(name, []byte{'@'})
		creation, err := strconv.ParseInt(string(created), 10, 64)
		if !ok || !isSnapshot || err != nil || creation < 0 {
			return fmt.Errorf("zfs list: expected a snapshot and its creation time, found %q", line)
		}
		d := datasets[string(of)]
		if d == nil {
			continue
		}
		if d.snapshots == 0 {
			d.newest, d.oldest = creation, creation
		}
		d.snapshots++
		d.newest, d.oldest = max(d.newest, creation), min(d.oldest, creation)
		if creation > now || len(d.rules) == 0 {
			continue
		}
		text := string(snapshot)
		for _, r := range d.rules {
			if creation > r.newest && r.matches(text) {
				r.newest = creation
			}
		}
	}
	return nil
}

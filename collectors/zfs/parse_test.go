package zfs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/zfs/zfstest"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
)

func TestUnknownIsNil(t *testing.T) {
	pools, err := parsePools([]byte("gone\t1\tUNAVAIL\t-\t-\t-\t-\t-\t-\t-\t-\t-\n"))
	if err != nil || len(pools) != 1 {
		t.Fatal(pools, err)
	}
	if p := pools[0]; p.size != nil || p.allocated != nil || p.capacityPercent != nil || p.dup != nil || p.readonly {
		t.Errorf("got %+v", p)
	}
	datasets, err := parseDatasets([]byte("p/v\tvolume\t-\t-\t-\t-\t-\t-\t-\t-\n"))
	if err != nil || len(datasets) != 1 {
		t.Fatal(datasets, err)
	}
	if d := datasets[0]; d.used != nil || d.quota != nil || d.creation != 0 {
		t.Errorf("got %+v", d)
	}
}

func TestParseErrors(t *testing.T) {
	for _, text := range []string{"", "p", "p\tx\n", "p@a\t\n", "p@a\t-1\n", "p\t1\n"} {
		if err := addSnapshots([]byte(text+"\n"), nil, 0); err == nil {
			t.Errorf("snapshots %q: no error", text)
		}
	}
	row := "p\tfilesystem\t1\t2\t3\t4\t5\t0\t-\t0"
	for _, text := range []string{"x", row + "\tmore", strings.Replace(row, "filesystem", "snapshot", 1), strings.Replace(row, "\t2\t", "\t2K\t", 1), strings.Replace(row, "\t1\t", "\tyesterday\t", 1), strings.Replace(row, "\t2\t", "\tNaN\t", 1)} {
		if _, err := parseDatasets([]byte(text + "\n")); err == nil {
			t.Errorf("datasets %q: no error", text)
		}
	}
}

func TestOnlyVanished(t *testing.T) {
	const gone = "cannot open 'tank/a': dataset does not exist\n"
	for stderr, want := range map[string]bool{gone: true, gone + gone: true, "": false, gone + "cannot open 'tank/b': pool I/O is currently suspended\n": false} {
		if got := (&exitError{code: 1, stderr: stderr}).onlyVanished(); got != want {
			t.Errorf("%q: got %t", stderr, got)
		}
	}
}

func FuzzParsePools(f *testing.F) {
	f.Add([]byte("tank\t16220129077573351399\tONLINE\t1006632960\t120758272\t885874688\t0\t0\t7\t11\t1.00\toff\n"))
	f.Add([]byte("old\t1\tUNAVAIL\t-\t-\t-\t-\t-\t4%\t-\t1.00x\t-\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		pools, err := parsePools(content)
		if err != nil {
			return
		}
		for _, p := range pools {
			for _, v := range []*float64{p.size, p.allocated, p.free, p.capacityPercent, p.dup} {
				if v != nil && !(*v >= 0) {
					t.Errorf("%+v: %v", p, *v)
				}
			}
		}
	})
}

func FuzzParseDatasets(f *testing.F) {
	f.Add([]byte("tank/vm/disk0\tvolume\t1760950815\t78749696\t731394048\t8495104\t0\t-\t67108864\t0\n"), []byte("tank/vm/disk0@a\t1761177601\n"))
	f.Fuzz(func(t *testing.T, list, snapshots []byte) {
		datasets, err := parseDatasets(list)
		if err != nil {
			return
		}
		byName := map[string]*dataset{}
		for _, d := range datasets {
			d.expect("autosnap_*", time.Hour)
			byName[d.name] = d
		}
		if addSnapshots(snapshots, byName, 1<<60) != nil {
			return
		}
		for _, d := range byName {
			if d.snapshots > 0 && (d.newest < d.oldest || d.rules[0].newest > d.newest) {
				t.Errorf("%+v", d)
			}
		}
	})
}

// manySnapshots is a host of 50 datasets with 200 snapshots each, as zfs lists
// them to us, and as `zfs get -Hprt snapshot` lists four properties of each.
func manySnapshots(t testing.TB) *zfstest.Host {
	t.Helper()
	h := zfstest.New(t, replay)
	var datasets, list, get strings.Builder
	for d := range 50 {
		name := fmt.Sprintf("tank/data/set%02d", d)
		fmt.Fprintf(&datasets, "%s\tfilesystem\t1760950817\t16629760\t39682048\t12746752\t0\t0\t-\t3883008\n", name)
		for s := range 200 {
			at := 1761177601 + s*3600
			snapshot := name + "@autosnap_" + time.Unix(int64(at), 0).UTC().Format("2006-01-02_15:04:05") + "_hourly"
			fmt.Fprintf(&list, "%s\t%d\n", snapshot, at)
			for _, property := range []string{"logicalused", "referenced", "used", "written"} {
				fmt.Fprintf(&get, "%s\t%s\t12746752\n", snapshot, property)
			}
		}
	}
	root := "tank\tfilesystem\t1760950817\t211275776\t661139456\t114688\t0\t0\t-\t0\n"
	for name, content := range map[string]string{
		"datasets": root + datasets.String(), "snapshots": list.String(), "properties": get.String(),
		"pools":  "tank\t16220129077573351399\tONLINE\t1006632960\t120758272\t885874688\t0\t0\t7\t11\t1.00\toff\n",
		"status": `{"output_version":{"vers_major":0},"pools":{"tank":{"name":"tank","state":"ONLINE","error_count":0,"vdevs":{"tank":{"state":"ONLINE"}}}}}`,
		"zpool":  "#!/bin/sh\ncase $1 in list) exec cat \"${0%/*}/pools\";; *) exec cat \"${0%/*}/status\";; esac\n",
		"zfs":    "#!/bin/sh\ncase \"$*\" in get*) exec cat \"${0%/*}/properties\";; *\"-t snapshot\"*) exec cat \"${0%/*}/snapshots\";; *) exec cat \"${0%/*}/datasets\";; esac\n",
	} {
		if err := os.WriteFile(filepath.Join(h.Bin, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// Everything that a pass over 10,000 snapshots allocates, freed or not, stays
// below 50 MB.
func TestTenThousandSnapshots(t *testing.T) {
	h := manySnapshots(t)
	t.Setenv("PATH", h.Bin+":"+os.Getenv("PATH"))
	s, c := make1(t, h, "snapshots: [{datasets: tank/data/*, names: autosnap_*_hourly, max_age: 2h}]")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out, err := collectortest.Collect(t, s, c)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	has(t, out, "zfs_dataset_snapshots", `,name="tank/data/set49",pool="tank",type="filesystem"`, "200")
	if used := after.TotalAlloc - before.TotalAlloc; used > 50e6 {
		t.Errorf("allocated %d bytes", used)
	}
	if out.Series() > 1000 {
		t.Errorf("%d series", out.Series())
	}
}

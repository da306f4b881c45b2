package status

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// recorded gives every recorded answer to a command line of the prefix.
func recorded(t testing.TB, prefix string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../testdata/recordings/*.txtar")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	out := map[string][]byte{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := map[string][]byte{}
		for _, f := range txtar.Parse(content).Files {
			parts[f.Name] = f.Data
		}
		for name, command := range parts {
			base, ok := strings.CutSuffix(name, ".cmd")
			if line := strings.TrimSpace(string(command)); ok && strings.HasPrefix(line, prefix) && len(parts[base+".out"]) > 0 {
				out[filepath.Base(file)+": "+line] = parts[base+".out"]
			}
		}
	}
	return out
}

// TestForms: whatever the text says the JSON says as well.
func TestForms(t *testing.T) {
	texts := recorded(t, "zpool status -p ")
	compared := 0
	for name, json := range recorded(t, "zpool status -j --json-int ") {
		text, ok := texts[strings.Replace(name, "-j --json-int", "-p", 1)]
		if !ok || strings.HasPrefix(name, "diskgone_continue") { // errors were counted in between
			continue
		}
		a, err := ParseJSON(json)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := ParseText(text)
		if err != nil {
			t.Fatalf("%s: text: %v", name, err)
		}
		for i := range a {
			jsonOnly(&a[i])
			if b[i].Scan != nil {
				b[i].Scan.Progress, b[i].Scan.Start = nil, 0 // two recordings, some ms apart; rounded
			}
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s:\nJSON %+v %+v\ntext %+v %+v", name, a, a[0].Scan, b, b[0].Scan)
		}
		compared++
	}
	if compared < 25 {
		t.Errorf("only %d states compared", compared)
	}
}

// jsonOnly removes what the text does not say.
func jsonOnly(p *Pool) {
	for i := range p.Vdevs {
		p.Vdevs[i].SlowIOs = nil
	}
	if p.Scan == nil {
		return
	}
	p.Scan.Repaired, p.Scan.Progress, p.Scan.Start = nil, nil, 0
	if p.Scan.State != "finished" {
		p.Scan.Errors = nil
	}
}

// Forms of other releases, and states that could not be recorded, as the
// sources of OpenZFS print them.
func TestTextForms(t *testing.T) {
	const header = "  pool: tank\n state: DEGRADED\n"
	const config = "config:\n\n\tNAME             STATE     READ WRITE CKSUM\n"
	tests := map[string]struct {
		text  string
		check func(t *testing.T, p Pool)
	}{
		"spare in use": {header + config +
			"\ttank             DEGRADED     0     0     0\n\t  mirror-0       DEGRADED     0     0     0\n\t    sda          ONLINE       0     0     0\n" +
			"\t    spare-1      DEGRADED     0     0     0\n\t      sdb        UNAVAIL      3     1     0\n\t      sdc        ONLINE       0     0     0\n" +
			"\tspares\n\t  sdc            INUSE     currently in use\n\nerrors: No known data errors\n",
			func(t *testing.T, p Pool) {
				want := Vdev{Class: "spare", Name: "sdc", State: "INUSE"}
				if got := find(p, "spare", "sdc"); got == nil || !reflect.DeepEqual(*got, want) {
					t.Errorf("got %+v", got)
				}
				if got := find(p, "normal", "sdb"); got == nil || *got.Read != 3 || *got.Write != 1 {
					t.Errorf("got %+v", got)
				}
				if p.Clean() {
					t.Error("clean with a spare in use")
				}
			}},
		"rebuilt since the last scrub": {"  pool: tank\n state: ONLINE\n  scan: scrub repaired 0B in 00:00:07 with 0 errors on Sun Nov  1 03:00:07 2026\n" +
			"  scan: resilvered (mirror-0) 1G in 00:00:10 with 0 errors on Sat Oct 24 12:00:00 2026\n" + config + "\ttank             ONLINE       0     0     0\n\nerrors: No known data errors\n",
			func(t *testing.T, p Pool) {
				if p.Scan.Function != "scrub" || p.Scan.End != 1793502007 || !p.Clean() {
					t.Errorf("got %+v, clean %v", p.Scan, p.Clean())
				}
			}},
		"rebuild in progress": {"  pool: tank\n state: ONLINE\n  scan: scrub repaired 0B in 00:00:07 with 0 errors on Sun Nov  1 03:00:07 2026\n" +
			"  scan: resilver (mirror-0) in progress since Sun Nov  1 04:00:00 2026\n\t1G / 2G scanned, 0B / 1G issued\n\t0B resilvered, 50.00% done, 00:01:00 to go\n" +
			config + "\ttank             ONLINE       0     0     0\n\nerrors: No known data errors\n",
			func(t *testing.T, p Pool) {
				if p.Scan.Function != "scrub" || p.Rebuild == nil || p.Rebuild.Progress == nil || *p.Rebuild.Progress != 0.5 || p.Clean() {
					t.Errorf("got %+v and %+v, clean %v", p.Scan, p.Rebuild, p.Clean())
				}
			}},
		"name with spaces": {header + "config:\n\n\tNAME              STATE     READ WRITE CKSUM\n\ttank              ONLINE       0     0     0\n\t  /v/my disk.img  ONLINE       0     0     7\n\nerrors: No known data errors\n",
			func(t *testing.T, p Pool) {
				if got := find(p, "normal", "/v/my disk.img"); got == nil || *got.Checksum != 7 {
					t.Errorf("got %+v", p.Vdevs)
				}
			}},
		"the same name twice": {header + config + "\ttank             ONLINE       0     0     0\n\t  sda            ONLINE       0     0     0\n\t  sda            UNAVAIL      0     0     0\n\nerrors: No known data errors\n",
			func(t *testing.T, p Pool) {
				if find(p, "normal", "sda") == nil || find(p, "normal", "sda#2") == nil {
					t.Errorf("got %+v", p.Vdevs)
				}
			}},
		"abbreviated counters": {header + config + "\ttank             ONLINE       0     0     0\n\t  sda            ONLINE       0 21.8K     0\n\nerrors: 1 data errors, use '-v' for a list\n",
			func(t *testing.T, p Pool) {
				if got := find(p, "normal", "sda"); got.Write != nil || *p.Errors != 1 {
					t.Errorf("got %+v, errors %v", got, *p.Errors)
				}
			}},
		"errors not known": {header + config + "\ttank             ONLINE       0     0     0\n\nerrors: List of errors unavailable: pool I/O is currently suspended\n",
			func(t *testing.T, p Pool) {
				if p.Errors != nil || p.Clean() {
					t.Errorf("errors %v, clean %t", p.Errors, p.Clean())
				}
			}},
		"resilver under way": {strings.Replace(header, "DEGRADED", "ONLINE", 1) +
			"  scan: resilver in progress since Sun Oct 26 10:05:14 2025\n\t1.10G / 2.00G scanned at 1M/s, 300M / 2.00G issued at 1M/s\n\t301M resilvered, 14.65% done, 00:10:00 to go\n" +
			config + "\ttank             ONLINE       0     0     0\n\t  sda            ONLINE       0     0     0  (resilvering)\n\nerrors: No known data errors\n",
			func(t *testing.T, p Pool) {
				s := p.Scan
				if s == nil || s.Function != "resilver" || s.State != "in_progress" || s.Start != 1761473114 || s.Progress == nil || *s.Progress != 0.1465 {
					t.Errorf("got %+v", s)
				}
				if p.Clean() {
					t.Error("clean while resilvering")
				}
			}},
		"never scrubbed": {header + "  scan: none requested\n" + config + "\ttank             ONLINE       0     0     0\n\nerrors: No known data errors\n",
			func(t *testing.T, p Pool) {
				if p.Scan != nil {
					t.Errorf("got %+v", p.Scan)
				}
			}},
		"unknown scan": {header + "  scan: something new since tomorrow\n" + config + "\ttank             ONLINE       0     0     0\n\nerrors: No known data errors\n",
			func(t *testing.T, p Pool) {
				if p.Scan == nil || p.Scan.Function != "" || p.Scan.End != 0 {
					t.Errorf("got %+v", p.Scan)
				}
			}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pools, err := ParseText([]byte(tt.text))
			if err != nil || len(pools) != 1 {
				t.Fatalf("%d pools, %v", len(pools), err)
			}
			tt.check(t, pools[0])
		})
	}
}

func find(p Pool, class, name string) *Vdev {
	for i, v := range p.Vdevs {
		if v.Class == class && v.Name == name {
			return &p.Vdevs[i]
		}
	}
	return nil
}

func TestStates(t *testing.T) {
	for aux, want := range map[string]string{"": "UNAVAIL", "CORRUPT_DATA": "FAULTED", "BAD_LOG": "FAULTED", "SPLIT_POOL": "SPLIT"} {
		if got := (jsonVdev{State: "CANT_OPEN", Aux: aux}).state(); got != want {
			t.Errorf("CANT_OPEN %s: got %s, want %s", aux, got, want)
		}
	}
	if got := (jsonVdev{State: "CLOSED"}).state(); got != "OFFLINE" {
		t.Errorf("CLOSED: got %s", got)
	}
}

func TestTextErrors(t *testing.T) {
	for name, text := range map[string]string{
		"not a status": "Segmentation fault\n",
		"no pool":      " state: ONLINE\n",
		"no state":     "  pool: tank\nconfig:\n\n\tNAME  STATE     READ WRITE CKSUM\n\ttank  ONLINE       0     0     0\n",
		"no config":    "  pool: tank\n state: ONLINE\n",
		"other table":  "  pool: tank\n state: ONLINE\nconfig:\n\n\tDEVICE  HEALTH\n",
		"cut row":      "  pool: tank\n state: ONLINE\nconfig:\n\n\tNAME  STATE     READ WRITE CKSUM\n\ttan\n",
	} {
		if pools, err := ParseText([]byte(text)); err == nil {
			t.Errorf("%s: no error, %+v", name, pools)
		}
	}
	if pools, err := ParseText(nil); err != nil || len(pools) != 0 {
		t.Errorf("no pools: %v, %v", pools, err)
	}
}

func FuzzParseText(f *testing.F) {
	for _, text := range recorded(f, "zpool status -p ") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		pools, err := ParseText(content)
		check(t, pools, err)
	})
}

func FuzzParseJSON(f *testing.F) {
	for _, text := range recorded(f, "zpool status -j --json-int ") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		pools, err := ParseJSON(content)
		check(t, pools, err)
	})
}

// check holds parsed pools to what callers rely on.
func check(t *testing.T, pools []Pool, err error) {
	if err != nil {
		return
	}
	for _, p := range pools {
		if p.Name == "" || p.State == "" || len(p.Vdevs) == 0 {
			t.Errorf("incomplete pool %+v", p)
		}
		seen := map[[2]string]bool{}
		for _, v := range p.Vdevs {
			key := [2]string{v.Class, v.Name}
			if seen[key] || v.State == "" || v.Class == "" {
				t.Errorf("vdev %+v", v)
			}
			seen[key] = true
		}
		if s := p.Scan; s != nil && s.Progress != nil && (*s.Progress < 0 || *s.Progress > 1) {
			t.Errorf("progress %v", *s.Progress)
		}
	}
}

package status

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ParseText reads the output of `zpool status -p` with TZ=UTC and LC_ALL=C.
//
//	  pool: tank
//	 state: DEGRADED
//	status: One or more devices are faulted in response to persistent errors.
//	   see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-9P
//	  scan: scrub repaired 0B in 00:00:07 with 0 errors on Sun Oct 26 00:24:07 2025
//	config:
//
//		NAME          STATE     READ WRITE CKSUM
//		tank          DEGRADED     0     0     0
//		  mirror-0    DEGRADED     0     0     0
//		    sda       ONLINE       0     0     0
//		    sdb       FAULTED      0     0     3  external device fault
//		spares
//		  sdc         AVAIL
//
//	errors: No known data errors
func ParseText(content []byte) ([]Pool, error) {
	var pools []Pool
	var r *report
	finish := func() error {
		if r == nil {
			return nil
		}
		p, err := r.pool()
		if err != nil {
			return fmt.Errorf("zpool status: pool %s: %w", r.fields["pool"], err)
		}
		pools = append(pools, p)
		return nil
	}
	for raw := range bytes.Lines(content) {
		line := strings.TrimRight(string(raw), "\n")
		if m := field.FindStringSubmatch(line); m != nil {
			if m[1] == "pool" {
				if err := finish(); err != nil {
					return nil, err
				}
				r = &report{fields: map[string]string{}}
			}
			if r == nil {
				return nil, fmt.Errorf("zpool status: does not begin with a pool: %q", line)
			}
			part := m[1]
			if _, again := r.fields[part]; again && part == "scan" {
				part = rebuild
			}
			r.current, r.fields[part] = part, m[2]
			continue
		}
		if r != nil {
			r.more(line)
		} else if strings.TrimSpace(line) != "" {
			return nil, fmt.Errorf("zpool status: does not begin with a pool: %q", line)
		}
	}
	if err := finish(); err != nil {
		return nil, err
	}
	return sortPools(pools), nil
}

// field matches the lines that start a part. Lines of a part begin with a tab
// (or, below errors, with eight spaces).
var field = regexp.MustCompile(`^ {0,6}([a-z_]+): ?(.*)$`)

// rebuild is the part of a second scan: a sequential resilver is told beside
// the last scrub for as long as its device is there, zpool-attach(8) -s.
const rebuild = "rebuild"

// report is the text about one pool, by part.
type report struct {
	fields  map[string]string
	current string
	config  []string
}

func (r *report) more(line string) {
	switch {
	case r.current == "config":
		r.config = append(r.config, line)
	case strings.HasPrefix(line, "\t"):
		r.fields[r.current] += "\n" + strings.TrimSpace(line)
	}
}

func (r *report) pool() (Pool, error) {
	p := Pool{Name: r.fields["pool"], State: r.fields["state"]}
	if p.Name == "" || p.State == "" {
		return p, fmt.Errorf("name or state are missing")
	}
	if _, id, ok := strings.Cut(r.fields["see"], "/msg/"); ok {
		p.MessageID = id
	}
	p.Errors = dataErrors(r.fields["errors"])
	if text, ok := r.fields["scan"]; ok && text != "none requested" {
		p.Scan = parseScan(text)
	}
	if text, ok := r.fields[rebuild]; ok {
		p.Rebuild = parseScan(text)
	}
	var err error
	p.Vdevs, err = parseConfig(r.config)
	if err == nil && len(p.Vdevs) == 0 {
		err = fmt.Errorf("no config")
	}
	sortVdevs(p.Vdevs)
	unique(p.Vdevs)
	return p, err
}

// dataErrors reads "No known data errors" and "272 data errors, use '-v' for
// a list"; of anything else (a list that could not be read) it knows nothing.
func dataErrors(text string) *uint64 {
	if text == "No known data errors" {
		return new(uint64)
	}
	if count, _, ok := strings.Cut(text, " data errors"); ok {
		return number(count)
	}
	return nil
}

// parseConfig reads the table of vdevs. Its columns are aligned, so a name
// may hold spaces; the indent tells the root from its children.
func parseConfig(lines []string) ([]Vdev, error) {
	var vdevs []Vdev
	column, class := -1, ""
	for _, line := range lines {
		line, ok := strings.CutPrefix(line, "\t")
		if !ok {
			continue
		}
		switch {
		case column < 0:
			if column = strings.Index(line, "STATE"); column < 0 || !strings.HasPrefix(line, "NAME") {
				return nil, fmt.Errorf("unknown table header %q", line)
			}
		case classes[strings.TrimSpace(line)] != "":
			class = classes[strings.TrimSpace(line)]
		case len(line) <= column || strings.TrimSpace(line[:column]) == "":
			return nil, fmt.Errorf("unknown table row %q", line)
		default:
			v := parseRow(line[:column], strings.Fields(line[column:]))
			if v.State == "" {
				return nil, fmt.Errorf("unknown table row %q", line)
			}
			switch {
			case class != "":
				v.Class = class
			case line[0] != ' ':
				v.Class = "root"
			default:
				v.Class = "normal"
			}
			vdevs = append(vdevs, v)
		}
	}
	return vdevs, nil
}

func parseRow(name string, fields []string) Vdev {
	v := Vdev{Name: strings.ToValidUTF8(strings.TrimSpace(name), "\uFFFD")} // a file's path may be anything
	if len(fields) > 0 {
		v.State = fields[0]
	}
	if len(fields) >= 4 {
		v.Read, v.Write, v.Checksum = number(fields[1]), number(fields[2]), number(fields[3])
	}
	return v
}

// The texts of a scan. Sizes are rounded even with -p, so only counts, times
// and the percentage are read.
var (
	scanFinished = regexp.MustCompile(`^(scrub repaired|resilvered) .* with (\d+) errors on (.*)$`)
	scanCanceled = regexp.MustCompile(`^(scrub|resilver)(?: \(.*\))? canceled on (.*)$`)
	scanRunning  = regexp.MustCompile(`^(scrub|resilver)(?: \(.*\))? in progress since (.*)$`)
	scanPaused   = regexp.MustCompile(`^scrub paused since `)
	scanStarted  = regexp.MustCompile(`(?m)^scrub started on (.*)$`)
	scanDone     = regexp.MustCompile(`([\d.]+)% done`)
)

func parseScan(text string) *Scan {
	first, rest, _ := strings.Cut(text, "\n")
	if m := scanFinished.FindStringSubmatch(first); m != nil {
		function := map[string]string{"scrub repaired": "scrub", "resilvered": "resilver"}[m[1]]
		return &Scan{Function: function, State: "finished", Errors: number(m[2]), End: parseTime(m[3])}
	}
	if m := scanCanceled.FindStringSubmatch(first); m != nil {
		return &Scan{Function: m[1], State: "canceled", End: parseTime(m[2])}
	}
	s := &Scan{}
	if m := scanRunning.FindStringSubmatch(first); m != nil {
		s.Function, s.State, s.Start = m[1], "in_progress", parseTime(m[2])
	} else if scanPaused.MatchString(first) {
		s.Function, s.State = "scrub", "paused"
		if m := scanStarted.FindStringSubmatch(rest); m != nil {
			s.Start = parseTime(m[1])
		}
	}
	if m := scanDone.FindStringSubmatch(rest); m != nil && s.Function != "" {
		if percent, err := strconv.ParseFloat(m[1], 64); err == nil && percent <= 100 {
			done := percent / 100
			s.Progress = &done
		}
	}
	return s
}

// parseTime reads a date as ctime(3) prints it, 0 where it is none.
func parseTime(text string) int64 {
	t, err := time.Parse(time.ANSIC, strings.TrimSpace(text))
	if err != nil {
		return 0
	}
	return t.Unix()
}

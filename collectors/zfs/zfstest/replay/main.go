// Command replay answers as zpool or zfs did in a recorded state:
//
//	replay [-nojson] [-hang PREFIX] STATE.txtar... -- zpool list -Ho name
//	replay -kstat DIR STATE.txtar...
//
// The second form writes the recorded /proc/spl/kstat/zfs files below DIR.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	nojson := flag.Bool("nojson", false, "refuse -j as releases before 2.3 do")
	hang := flag.String("hang", "", "command lines with this prefix hang")
	kstat := flag.String("kstat", "", "write the kstat files below this folder and exit")
	// The wrapper gives the states before the command.
	split := slices.Index(os.Args, "--")
	own, argv := os.Args[1:], []string(nil)
	if split > 0 {
		own, argv = os.Args[1:split], os.Args[split+1:]
	}
	if err := flag.CommandLine.Parse(own); err != nil {
		os.Exit(2)
	}
	m, err := load(flag.Args())
	if err != nil {
		fatal(err)
	}
	if *kstat != "" {
		if err := m.writeKstat(*kstat); err != nil {
			fatal(err)
		}
		return
	}
	line := strings.Join(argv, " ")
	if *hang != "" && strings.HasPrefix(line, *hang) {
		time.Sleep(time.Hour)
	}
	if *nojson && slices.Contains(argv, "-j") {
		argv = append(slices.Clone(argv[:2]), "-j")
		fmt.Fprintf(os.Stderr, "invalid option 'j'\nusage:\n\t%s\n", argv[1])
		os.Exit(2)
	}
	a, ok := m.answer(argv)
	if !ok {
		fatal(fmt.Errorf("not recorded in %s: %s", strings.Join(flag.Args(), ", "), line))
	}
	if a.rc == hangs {
		time.Sleep(time.Hour)
	}
	_, _ = os.Stdout.WriteString(a.out)
	_, _ = os.Stderr.WriteString(a.err)
	os.Exit(a.rc)
}

func (m *machine) writeKstat(root string) error {
	dir := filepath.Join(root, "spl", "kstat", "zfs")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, pool := range m.pools() {
		a, ok := m.find("cat /proc/spl/kstat/zfs/" + pool + "/state")
		if !ok {
			continue
		}
		if err := os.MkdirAll(filepath.Join(dir, pool), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, pool, "state"), []byte(a.out), 0o444); err != nil {
			return err
		}
	}
	return nil
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "replay:", err)
	os.Exit(125)
}

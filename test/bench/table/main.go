// Command table reads the output of go test -bench, passes it on, and keeps what was measured as
// a table at the end of docs/performance.md, with the machine and the versions, so that a change
// shows as a diff. Benchmarks that did not run keep their rows with the date of their last run.
//
//	go test -run '^$' -bench . ./... | table docs/performance.md
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Stdin, os.Stdout, os.Args[1], time.Now()); err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

const heading = "\n## The last run of each benchmark\n"

// result matches a line of a benchmark that has ended.
//
//	BenchmarkPodman-2   5   331330447 ns/op   22.52 inspect-loop/run
var result = regexp.MustCompile(`^(Benchmark\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

func run(in io.Reader, out io.Writer, path string, now time.Time) error {
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, old, _ := strings.Cut(string(before), heading)
	rows := map[string]string{}
	for line := range strings.Lines(old) {
		if cells := strings.Split(line, "|"); len(cells) > 2 && strings.HasPrefix(cells[1], " `") {
			rows[cells[1]] = strings.TrimRight(line, "\n")
		}
	}
	failed, pkg, cpu := false, "", ""
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(out, line)
		failed = failed || strings.HasPrefix(line, "FAIL") || strings.HasPrefix(line, "--- FAIL")
		if name, ok := strings.CutPrefix(line, "pkg: vulcan.lan/vulcan_exporter/"); ok {
			pkg = name
		}
		if name, ok := strings.CutPrefix(line, "cpu: "); ok {
			cpu = name
		}
		if m := result.FindStringSubmatch(line); m != nil {
			key := fmt.Sprintf(" `%s` %s ", pkg, strings.TrimPrefix(m[1], "Benchmark"))
			rows[key] = fmt.Sprintf("|%s| %s | %s | %s |", key, figures(m[2]), now.Format(time.DateOnly), machine(cpu))
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if len(rows) > 0 {
		sorted := slices.Sorted(func(yield func(string) bool) {
			for _, r := range rows {
				if !yield(r) {
					return
				}
			}
		})
		text += heading + "Written by `make bench`: what each benchmark reports, ratios against the other way in the same run.\n\n" +
			"| benchmark | measured | on | machine |\n|---|---|---|---|\n" + strings.Join(sorted, "\n") + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	if failed {
		return fmt.Errorf("a benchmark failed; the others are in %s", path)
	}
	return nil
}

// figures turns "331330447 ns/op 22.52 inspect-loop/run" into "331 ms/op, 22.52 inspect-loop/run".
func figures(text string) string {
	fields := strings.Fields(text)
	var parts []string
	for i := 0; i+1 < len(fields); i += 2 {
		value, unit := fields[i], fields[i+1]
		if d, err := time.ParseDuration(value + "ns"); unit == "ns/op" && err == nil {
			value, unit = d.Round(max(1, d/1000)).String(), "an operation"
		}
		parts = append(parts, value+" "+unit)
	}
	return strings.Join(parts, ", ")
}

func machine(cpu string) string {
	system := "?"
	if out, err := exec.Command("sh", "-c", `. /etc/os-release && echo "$ID $VERSION_ID"`).Output(); err == nil {
		system = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%d x %s, %s, %s", runtime.NumCPU(), cpu, system, runtime.Version())
}

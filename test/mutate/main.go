// Command mutate proves the unit tests of the shipped rules: it makes one mistake after the other
// in a copy of a rule and expects that a test fails. What no test notices is listed, and has to
// be explained in explained.yml.
//
// It runs the pinned promtool once for each mutant, on those tests alone that check the rule.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/test/mutate/pack"
)

type options struct {
	alerts, promtool, explained string
	// known is docs/proof.json: a rule whose score there is of this version is not run again.
	known string
	only  *regexp.Regexp
	// budget is when no further mutant is begun; 0 runs all. Explained ones always run.
	budget time.Duration
	// seed orders the mutants; 0 takes it from rules and tests: another sample for each version.
	seed    uint64
	workers int
	out     io.Writer
}

func main() {
	o := options{out: os.Stdout}
	var only, report string
	flag.StringVar(&o.alerts, "alerts", "../../alerts", "folder of the rules, tests in tests/")
	flag.StringVar(&o.promtool, "promtool", "../../.tools/bin/promtool", "the pinned promtool")
	flag.StringVar(&o.explained, "explained", "explained.yml", "survivors and why they are right")
	flag.StringVar(&o.known, "known", "", "docs/proof.json: leave out what it has the score of")
	flag.StringVar(&only, "only", "", "regular expression: only these alerts or rule files")
	flag.StringVar(&report, "json", "", "write the result there as well")
	flag.DurationVar(&o.budget, "budget", 0, "run a sample for about this time instead of all")
	flag.Uint64Var(&o.seed, "seed", 0, "order of the sample; 0: from the content of the rules and tests")
	flag.IntVar(&o.workers, "workers", runtime.NumCPU(), "processes at a time")
	flag.Parse()
	o.only = regexp.MustCompile(only)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, o, report); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, o options, report string) error {
	r, err := run(ctx, o)
	if r == nil {
		return err
	}
	r.print(o.out)
	if report != "" { // of a run that was interrupted too: what is complete counts
		content, failed := json.MarshalIndent(r.Rules, "", "\t")
		if failed == nil {
			failed = os.WriteFile(report, append(content, '\n'), 0o644)
		}
		err = errors.Join(err, failed)
	}
	if err != nil {
		return err
	}
	if len(r.problems) > 0 {
		return fmt.Errorf("%s", strings.Join(r.problems, "\n"))
	}
	return nil
}

func seedOf(suites []*pack.Suite) uint64 {
	h := sha256.New()
	for _, s := range suites {
		_, _ = io.WriteString(h, s.Hash)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

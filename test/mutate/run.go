package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/test/mutate/mutation"
	"vulcan.lan/vulcan_exporter/test/mutate/pack"
)

// limit bounds one promtool. A suite takes below 1 s; only a hang takes this long.
const limit = time.Minute

type verdict int

const (
	killed verdict = iota
	survived
	timedOut // counts as killed, and is listed
)

// job is one mutant to run.
type job struct {
	suite  *pack.Suite
	mutant mutation.Mutant
	score  *score
}

// plan is what there is to run.
type plan struct {
	suites []*pack.Suite
	jobs   []job
	report *report
}

// add plans the mutants of a rule, unless its score is known.
func (p *plan) add(suite *pack.Suite, proven bool) error {
	rule := suite.Rule
	all, err := mutation.All(rule)
	if err != nil {
		return err
	}
	s := &score{Rule: rule.Name, File: rule.File, Hash: suite.Hash, Mutants: len(all.Mutants), Same: all.Same}
	p.report.Rules = append(p.report.Rules, s)
	if suite.Tests == 0 {
		p.report.problems = append(p.report.problems, rule.Name+": no test checks it")
		return nil
	}
	if proven {
		return nil
	}
	p.suites = append(p.suites, suite)
	for _, mutant := range all.Mutants {
		p.jobs = append(p.jobs, job{suite, mutant, s})
	}
	return nil
}

// run mutates all rules that are asked for.
func run(ctx context.Context, o options) (*report, error) {
	rules, err := pack.Load(o.alerts)
	if err != nil {
		return nil, err
	}
	known, err := readExplained(o.explained)
	if err != nil {
		return nil, err
	}
	proven, err := readProven(o.known)
	if err != nil {
		return nil, err
	}
	p := plan{report: &report{known: known}}
	for _, rule := range rules.Rules {
		if !o.only.MatchString(rule.Name) && !o.only.MatchString(rule.File) {
			continue
		}
		suite, err := rules.Suite(rule)
		if err == nil {
			err = p.add(suite, proven[rule.Name] == suite.Hash && !rule.Record)
		}
		if err != nil {
			return nil, err
		}
	}
	p.report.problems = append(p.report.problems, known.unknown(p.jobs, o)...)
	if err := baseline(ctx, o, p.suites); err != nil {
		return nil, err
	}
	if o.budget > 0 {
		order(p.jobs, known, o.seed, p.suites)
	}
	err = execute(ctx, o, p.jobs, p.report)
	slices.Sort(p.report.problems)
	return p.report, err
}

// order puts the explained survivors first, so that a sample always proves them, then the rest
// as the seed says.
func order(jobs []job, known explained, seed uint64, suites []*pack.Suite) {
	if seed == 0 {
		seed = seedOf(suites)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
	slices.SortStableFunc(jobs, func(a, b job) int {
		switch ea, eb := known.has(a.mutant), known.has(b.mutant); {
		case ea == eb:
			return 0
		case ea:
			return -1
		}
		return 1
	})
}

// baseline shows that the suites pass without a mistake: else every mutant would look killed.
func baseline(ctx context.Context, o options, suites []*pack.Suite) error {
	var mu sync.Mutex
	var failed []error
	parallel(ctx, o.workers, suites, func(s *pack.Suite) {
		v, output, err := promtool(ctx, o, s, s.Rule)
		if err == nil && v != survived {
			err = fmt.Errorf("%s: its tests fail without any mutation\n%s", s.Rule.Name, output)
		}
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, err)
		}
	})
	return errors.Join(append(failed, ctx.Err())...)
}

func execute(ctx context.Context, o options, jobs []job, rep *report) error {
	begin := time.Now()
	var mu sync.Mutex
	var failed error
	parallel(ctx, o.workers, jobs, func(j job) {
		if o.budget > 0 && time.Since(begin) > o.budget && !rep.known.has(j.mutant) {
			return
		}
		v, _, err := promtool(ctx, o, j.suite, &j.mutant.Changed)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", j.mutant, err))
			return
		}
		rep.add(j, v)
	})
	rep.duration = time.Since(begin)
	return errors.Join(failed, ctx.Err())
}

// promtool runs the suite with a changed rule in a folder of its own.
func promtool(ctx context.Context, o options, s *pack.Suite, changed *pack.Rule) (verdict, string, error) {
	dir, err := os.MkdirTemp("", "vmutate-")
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	files, err := s.Write(dir, changed)
	if err != nil {
		return 0, "", err
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(limited, o.promtool, append([]string{"test", "rules"}, files...)...)
	// Two processes at a time on two cores: more threads each only wait for one another.
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "GOMAXPROCS=1", "GOGC=400")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, "", ctx.Err()
	case limited.Err() != nil:
		return timedOut, output.String(), nil
	case err == nil:
		return survived, output.String(), nil
	case errors.As(err, &exit) && strings.Contains(output.String(), "FAILED"):
		return killed, output.String(), nil
	}
	return 0, "", fmt.Errorf("%w\n%s", err, output.String())
}

func parallel[T any](ctx context.Context, workers int, items []T, work func(T)) {
	queue := make(chan T)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for item := range queue {
				work(item)
			}
		})
	}
	for _, item := range items {
		if ctx.Err() != nil {
			break
		}
		queue <- item
	}
	close(queue)
	group.Wait()
}

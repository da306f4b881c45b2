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

// run mutates all rules that are asked for.
func run(ctx context.Context, o options) (*report, error) {
	p, err := pack.Load(o.alerts)
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
	rep := &report{known: known}
	var suites []*pack.Suite
	var jobs []job
	for _, rule := range p.Rules {
		if !o.only.MatchString(rule.Name) && !o.only.MatchString(rule.File) {
			continue
		}
		suite, err := p.Suite(rule)
		if err != nil {
			return nil, err
		}
		all, err := mutation.All(rule)
		if err != nil {
			return nil, err
		}
		s := &score{Rule: rule.Name, File: rule.File, Hash: suite.Hash, Mutants: len(all.Mutants), Same: all.Same}
		rep.Rules = append(rep.Rules, s)
		if suite.Tests == 0 {
			rep.problems = append(rep.problems, rule.Name+": no test checks it")
			continue
		}
		if proven[rule.Name] == suite.Hash && !rule.Record {
			continue
		}
		suites = append(suites, suite)
		for _, mutant := range all.Mutants {
			jobs = append(jobs, job{suite, mutant, s})
		}
	}
	rep.problems = append(rep.problems, known.unknown(jobs, o)...)
	if err := baseline(ctx, o, suites); err != nil {
		return nil, err
	}
	order(jobs, known, o.seed, suites)
	err = execute(ctx, o, jobs, rep)
	slices.Sort(rep.problems)
	return rep, err
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

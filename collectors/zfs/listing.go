package zfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"

	"vulcan.lan/vulcan_exporter/collectors/zfs/sanoid"
)

// listing is what one run found in one pool.
type listing struct {
	datasets []*dataset // those to show
	root     *dataset   // the pool's own, nil where it could not be listed
	rules    []applied
	err      error
}

const (
	// parallel pools are listed at once: a pool that hangs delays none of a
	// handful of others, and a machine with many is not flooded.
	parallel = 4
	// chunk is the most bytes of dataset names given to one command.
	chunk = 64 << 10
)

// listDatasets lists the datasets and snapshots of each pool.
func (c *Collector) listDatasets(ctx context.Context, pools []pool) []listing {
	c.policy, c.policyErr = c.sanoidPolicy()
	listings := make([]listing, len(pools))
	slots := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	for i, p := range pools {
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() {
				if r := recover(); r != nil {
					listings[i].err = fmt.Errorf("panic: %v", r)
				}
			}()
			slots <- struct{}{}
			defer func() { <-slots }()
			listings[i] = c.listPool(ctx, p)
		}()
	}
	wg.Wait()
	return listings
}

func (c *Collector) sanoidPolicy() (*sanoid.Policy, error) {
	if c.cfg.SanoidConfig == "" {
		return &sanoid.Policy{}, nil
	}
	content, err := os.ReadFile(c.cfg.SanoidConfig)
	if err != nil {
		return &sanoid.Policy{}, err
	}
	policy, err := sanoid.Parse(content)
	if err != nil {
		return &sanoid.Policy{}, fmt.Errorf("%s: %w", c.cfg.SanoidConfig, err)
	}
	return policy, nil
}

func (c *Collector) listPool(ctx context.Context, p pool) listing {
	if p.health != "ONLINE" && p.health != "DEGRADED" {
		return listing{err: fmt.Errorf("the pool is %s", p.health)} // asking may hang
	}
	var l listing
	all, err := c.filesystems(ctx, p.name)
	if err != nil {
		return listing{err: err}
	}
	byName := make(map[string]*dataset, len(all))
	for _, d := range all {
		if d.name == p.name {
			l.root = d
		}
		if c.shown(d.name) {
			l.datasets, byName[d.name] = append(l.datasets, d), d
		}
	}
	l.rules = append(expect(c.cfg.Snapshots, l.datasets), expectSanoid(c.policy, byName)...)
	l.err = c.snapshots(ctx, p.name, byName)
	return l
}

func (c *Collector) filtered() bool { return len(c.cfg.Include)+len(c.cfg.Exclude) > 0 }

func (c *Collector) shown(name string) bool {
	matches := func(glob string) bool { ok, _ := doublestar.Match(glob, name); return ok }
	included := len(c.cfg.Include) == 0 || slices.ContainsFunc(c.cfg.Include, matches)
	return included && !slices.ContainsFunc(c.cfg.Exclude, matches)
}

// filesystems lists the filesystems and volumes to show, and the pool's root.
func (c *Collector) filesystems(ctx context.Context, pool string) ([]*dataset, error) {
	if !c.filtered() {
		out, err := c.run(ctx, "zfs", "list", "-Hp", "-r", "-t", "filesystem,volume", "-o", datasetColumns, pool)
		if err != nil {
			return nil, err
		}
		return parseDatasets(out)
	}
	// Names alone are cheap, and only what is wanted is then asked for.
	out, err := c.run(ctx, "zfs", "list", "-Hp", "-r", "-t", "filesystem,volume", "-o", "name", pool)
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		if name := strings.TrimRight(line, "\n"); name == pool || c.shown(name) {
			names = append(names, name)
		}
	}
	var datasets []*dataset
	err = c.chunked(ctx, names, func(out []byte) error {
		some, err := parseDatasets(out)
		datasets = append(datasets, some...)
		return err
	}, "list", "-Hp", "-t", "filesystem,volume", "-o", datasetColumns)
	return datasets, err
}

// snapshots counts the snapshots of a pool's datasets. Name and creation come
// from the directory of snapshots alone; one more column, and ZFS reads each.
func (c *Collector) snapshots(ctx context.Context, pool string, datasets map[string]*dataset) error {
	now := c.env.Now().Unix()
	add := func(out []byte) error { return addSnapshots(out, datasets, now) }
	if !c.filtered() {
		out, err := c.run(ctx, "zfs", "list", "-Hp", "-r", "-t", "snapshot", "-o", "name,creation", pool)
		if err != nil {
			return err
		}
		return add(out)
	}
	var names []string
	for name := range datasets {
		names = append(names, name)
	}
	slices.Sort(names)
	return c.chunked(ctx, names, add, "list", "-Hp", "-d", "1", "-t", "snapshot", "-o", "name,creation")
}

// chunked runs zfs on names, as many at a time as fit on a command line. A
// dataset that was destroyed meanwhile is no error.
func (c *Collector) chunked(ctx context.Context, names []string, parse func([]byte) error, args ...string) error {
	for len(names) > 0 {
		n, size := 0, 0
		for n < len(names) && (n == 0 || size+len(names[n]) < chunk) {
			size += len(names[n]) + 1
			n++
		}
		out, err := c.run(ctx, "zfs", append(slices.Clone(args), names[:n]...)...)
		var failed *exitError
		if errors.As(err, &failed) && failed.onlyVanished() {
			out, err = failed.stdout, nil
		}
		if err != nil {
			return err
		}
		if err := parse(out); err != nil {
			return err
		}
		names = names[n:]
	}
	return nil
}

func (e *exitError) onlyVanished() bool {
	for line := range strings.Lines(e.stderr) {
		if !strings.HasSuffix(strings.TrimSpace(line), ": dataset does not exist") {
			return false
		}
	}
	return e.code == 1 && e.stderr != ""
}

package restic

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"time"
)

// drillMemory is the last conclusive restore drill.
type drillMemory struct {
	Success bool
	At      time.Time
	Bytes   float64
	Seconds float64
	Skipped map[reason]float64 `json:",omitempty"`
	Attempt time.Time
	Retry   bool
}

const (
	// drillMax bounds the restored file, which passes through memory.
	drillMax = 16 << 20
	// drillTimeout is the deadline of one drill, its dozen calls included.
	drillTimeout = 30 * time.Minute
	// drillWalks is how often a file is looked for before there is none.
	drillWalks = 5
	drillDepth = 64
)

// drill restores a random file of the newest snapshot. It is restored through
// a pipe (restic dump) and not into a folder: what is not written cannot be
// left behind by a kill. Restic checks each blob against the hash that is its
// name; that the bytes are those of the file is checked here, by their number
// and, for a file of one blob, by their hash.
func (c *Collector) drill(ctx context.Context) {
	c.change(func(m *memory) { m.Drill.Attempt = c.env.Now() })
	ctx, cancel := context.WithTimeout(ctx, drillTimeout)
	defer cancel()
	start := time.Now()
	bytes, why, err := c.restoreUnlocked(ctx)
	took := time.Since(start).Seconds()
	if why != "" {
		c.env.Logger.Info("restore drill proved nothing", "reason", why, "err", err)
		c.change(func(m *memory) { m.Drill.skip(why) })
		return
	}
	if err != nil {
		c.env.Logger.Error("restore drill failed", "err", err)
	}
	c.change(func(m *memory) {
		m.Drill = drillMemory{
			Success: err == nil, At: c.env.Now(), Bytes: bytes, Seconds: took,
			Skipped: m.Drill.Skipped, Attempt: m.Drill.Attempt,
		}
	})
}

func (m *drillMemory) skip(why reason) {
	if m.Skipped == nil {
		m.Skipped = map[reason]float64{}
	}
	m.Skipped[why]++
	m.Retry = true
}

var (
	errNothing = errors.New("no file of at most 16 MiB was found in the newest snapshot")
	errDiffers = errors.New("the restored bytes are not those of the backup")
)

// restoreUnlocked restores a file, or says why that proved nothing: a restore
// without a lock, as the exporter's is, does not find what another restic
// forgets and prunes meanwhile.
func (c *Collector) restoreUnlocked(ctx context.Context) (float64, reason, error) {
	if why := c.inUse(ctx); why != "" {
		return 0, why, nil
	}
	l, err := c.client.snapshots(ctx)
	if err != nil {
		return 0, reasonOf(err), err
	}
	if len(l.snapshots) == 0 {
		return 0, reasonOther, errNothing
	}
	newest := l.newest()
	bytes, err := c.restoreOne(ctx, newest)
	why := reasonOf(err)
	var failed *failure
	if err == nil || errors.Is(err, errDiffers) {
		return bytes, "", err
	}
	if why != reasonOther || !errors.As(err, &failed) {
		return 0, why, err
	}
	if why := c.inUse(ctx); why != "" {
		return 0, why, err
	}
	now, listErr := c.client.snapshots(ctx)
	switch {
	case listErr != nil:
		return 0, reasonOf(listErr), errors.Join(err, listErr)
	case !slices.ContainsFunc(now.snapshots, func(s snapshot) bool { return s.id == newest.id }):
		return 0, reasonLocked, err
	}
	return 0, "", err
}

func (c *Collector) restoreOne(ctx context.Context, newest snapshot) (float64, error) {
	for range drillWalks {
		file, err := c.pick(ctx, newest.tree)
		if errors.Is(err, errNothing) {
			continue
		}
		if err != nil {
			return 0, err
		}
		return c.restore(ctx, newest.id, file)
	}
	return 0, errNothing
}

// pick walks down random folders to a random file. Each step costs a call, so
// a walk costs as many as the file is deep, whatever the size of the snapshot.
func (c *Collector) pick(ctx context.Context, tree string) (node, error) {
	at := "/"
	for range drillDepth {
		res, err := c.client.run(ctx, 0, "cat", "blob", tree)
		if err != nil {
			return node{}, fmt.Errorf("folder %s: %w", at, err)
		}
		nodes, err := parseTree(res.Stdout)
		if err != nil {
			return node{}, fmt.Errorf("folder %s: %w", at, err)
		}
		var choice []node
		for _, n := range nodes {
			if n.Type == "dir" && n.Subtree != "" || n.Type == "file" && n.Size > 0 && n.Size <= drillMax {
				choice = append(choice, n)
			}
		}
		if len(choice) == 0 {
			return node{}, errNothing
		}
		chosen := choice[rand.IntN(len(choice))]
		at = path.Join(at, chosen.Name)
		if chosen.Type == "file" {
			chosen.Name = at
			return chosen, nil
		}
		tree = chosen.Subtree
	}
	return node{}, errNothing
}

// restore restores a file, whose Name is its path, and verifies it.
func (c *Collector) restore(ctx context.Context, snapshot string, file node) (float64, error) {
	res, err := c.client.run(ctx, drillMax+1, "dump", snapshot, file.Name)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file.Name, err)
	}
	if got := int64(len(res.Stdout)); got != file.Size {
		return float64(got), fmt.Errorf("%s: %d of %d bytes: %w", file.Name, got, file.Size, errDiffers)
	}
	if len(file.Content) == 1 {
		if sum := sha256.Sum256(res.Stdout); hex.EncodeToString(sum[:]) != file.Content[0] {
			return float64(file.Size), fmt.Errorf("%s: %w", file.Name, errDiffers)
		}
	}
	return float64(file.Size), nil
}

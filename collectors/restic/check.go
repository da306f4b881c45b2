package restic

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// partResult is what is known of one part of the data.
type partResult string

const (
	verified partResult = "verified"
	skipped  partResult = "skipped" // not read, or not conclusively; to be done again
	damaged  partResult = "failed"
)

// checkMemory is the progress of the exporter's own checks, or the last
// result of somebody else's.
type checkMemory struct {
	// The last conclusive check.
	Success bool
	At      time.Time
	Errors  float64
	Broken  *float64 `json:",omitempty"`

	// Own checks only: Parts in all, the result of each in this cycle by its
	// number, and when the last cycle was complete.
	Parts   int                `json:",omitempty"`
	Part    int                `json:",omitempty"` // checked last
	Results map[int]partResult `json:",omitempty"`
	Damaged bool               `json:",omitempty"` // of a cycle with another number of parts; until one is complete
	Cycle   time.Time
	Skipped map[reason]float64 `json:",omitempty"`
	Attempt time.Time          // the last one, whatever came of it
	Retry   bool               // the last one was skipped
}

// next is the part to check: turn about, one that failed (it may have been
// repaired) and the first that is not yet verified in this cycle.
func (m *checkMemory) next(parts int) int {
	if m.Parts != parts || m.Results == nil {
		*m = checkMemory{Success: m.Success, Damaged: m.Damaged || m.count(damaged) > 0, At: m.At, Cycle: m.Cycle, Skipped: m.Skipped, Attempt: m.Attempt, Parts: parts, Results: map[int]partResult{}}
	}
	for _, wanted := range []partResult{damaged, "", skipped} {
		for part := 1; part <= parts; part++ {
			if m.Results[part] == wanted && (wanted != damaged || part != m.Part) {
				return part
			}
		}
	}
	if m.Results[m.Part] == damaged { // all others are verified
		return m.Part
	}
	m.Results = map[int]partResult{} // not reached: record ends a complete cycle
	return 1
}

// record takes the conclusive result of a part.
func (m *checkMemory) record(part int, r checkResult, now time.Time) {
	m.Part, m.At, m.Errors, m.Broken, m.Retry = part, now, r.errors, r.broken, false
	m.Results[part] = verified
	if r.errors > 0 {
		m.Results[part] = damaged
	}
	whole := m.count(verified) == m.Parts
	m.Damaged = m.Damaged && !whole
	m.Success = !m.Damaged && m.count(damaged) == 0
	if whole {
		m.Cycle, m.Results = now, map[int]partResult{}
	}
}

// skip takes that a part could not be checked.
func (m *checkMemory) skip(part int, why reason) {
	if m.Skipped == nil {
		m.Skipped = map[reason]float64{}
	}
	m.Skipped[why]++
	m.Retry = why != reasonTimeout // hours were spent on it
	if m.Results[part] == "" {
		m.Results[part] = skipped
	}
}

func (m *checkMemory) count(r partResult) int {
	n := 0
	for _, have := range m.Results {
		if have == r {
			n++
		}
	}
	return n
}

// checkResult is what one check said.
type checkResult struct {
	errors float64
	broken *float64 // unknown before restic 0.18
}

// check reads one part of the data and, should it find errors, a second time:
// a check without a lock, as the exporter's are, sees as errors what another
// restic is changing. For the same reason one before or after which a lock was
// seen proves nothing.
func (c *Collector) check(ctx context.Context) {
	c.mu.Lock()
	part := c.memory.Check.next(c.cfg.Check.Parts)
	c.memory.Check.Attempt = c.env.Now()
	c.memory.changed = true
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Check.Timeout.Std())
	defer cancel()
	result, why := c.checkUnlocked(ctx, part)
	if why == "" && result.errors > 0 {
		c.env.Logger.Warn("check found errors; it is repeated", "part", part, "errors", result.errors)
		result, why = c.checkUnlocked(ctx, part)
	}
	if why != "" {
		c.env.Logger.Info("check proved nothing", "part", part, "reason", why)
		c.change(func(m *memory) { m.Check.skip(part, why) })
		return
	}
	if result.errors > 0 {
		c.env.Logger.Error("the repository is damaged", "part", part, "errors", result.errors)
	}
	c.change(func(m *memory) { m.Check.record(part, result, c.env.Now()) })
}

// checkUnlocked checks a part while nobody holds a lock, or says why it proves
// nothing. Without a cache, which restic would make anew for each check and
// leave behind when it is killed.
func (c *Collector) checkUnlocked(ctx context.Context, part int) (checkResult, reason) {
	if why := c.inUse(ctx); why != "" {
		return checkResult{}, why
	}
	subset := fmt.Sprintf("--read-data-subset=%d/%d", part, c.cfg.Check.Parts)
	res, err := c.client.run(ctx, 0, "check", "--json", "--no-cache", subset)
	if why := reasonOf(err); why != "" && why != reasonOther {
		return checkResult{}, why
	}
	result, ok := parseCheck(string(res.Stdout) + "\n" + res.Stderr)
	switch {
	case !ok || (err == nil) != (result.errors == 0): // what it says and how it ended must agree
		return checkResult{}, reasonOther
	case result.errors > 0 && interrupted.MatchString(res.Stderr):
		return checkResult{}, reasonBackend
	}
	if why := c.inUse(ctx); why != "" {
		return checkResult{}, why
	}
	return result, ""
}

// interrupted finds in the errors of a check a backend that went away.
var interrupted = regexp.MustCompile(`(?i)dial (tcp|unix)|connection re(fused|set)|no such host|i/o timeout|unreachable|no route to host|TLS handshake|service unavailable|unexpected HTTP response|too many requests|broken pipe|EOF|context canceled`)

// inUse tells whether somebody works with the repository, or why that is not
// known. Stale locks count for nothing, or one would end all checks.
func (c *Collector) inUse(ctx context.Context) reason {
	found, err := c.readLocks(ctx)
	switch {
	case err != nil:
		return reasonOf(err)
	case found.count > found.stale:
		return reasonLocked
	}
	return ""
}

// parseCheck reads the output of `restic check`. Since restic 0.18, with
// --json, stdout ends with
//
//	{"message_type":"summary","num_errors":1,"broken_packs":["3bd5..."],"suggest_repair_index":false,"suggest_prune":false}
//
// and else with "no errors were found". Damage is broken packs or restic's word
// for it; num_errors alone is not, for it is 1 also where a check failed for
// any other reason. ok is false where the output proves nothing.
func parseCheck(output string) (result checkResult, ok bool) {
	clean := false
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		var s struct {
			Type   string   `json:"message_type"`
			Errors *float64 `json:"num_errors"`
			Broken []string `json:"broken_packs"`
		}
		switch {
		case strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &s) == nil && s.Type == "summary" && s.Errors != nil:
			broken := float64(len(s.Broken))
			result = checkResult{errors: max(*s.Errors, broken), broken: &broken}
			clean = result.errors == 0
		case line == "no errors were found":
			clean = true
		}
	}
	switch {
	case saidDamaged.MatchString(output):
		if result.errors == 0 {
			result.errors = textErrors(output)
		}
		return result, true
	case result.broken != nil && *result.broken > 0:
		return result, true
	}
	return result, clean
}

var saidDamaged = regexp.MustCompile(`Fatal: (repository contains errors|LoadIndex returned errors)`)

// textErrors counts what a check without JSON complained of, at least 1.
func textErrors(output string) float64 {
	n := 0.0
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "error") || strings.HasPrefix(line, "Pack ID does not match") || strings.HasPrefix(line, "pack ") {
			n++
		}
	}
	return max(n, 1)
}

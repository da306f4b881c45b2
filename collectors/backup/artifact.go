package backup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/jobs"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// The reasons why an artifact cannot be looked at.
const (
	reasonMissing    = "missing"    // nothing matches the path
	reasonPermission = "permission" // not readable by this user
	reasonFormat     = "format"     // not a dump that the collector can check
	reasonIO         = "io"
)

// look is what the disk says of an artifact.
type look struct {
	path   string // of the newest file
	newest time.Time
	size   int64 // of the newest file, or of the whole folder
	files  int
}

// history is what is remembered of an artifact: the sizes of its past, oldest
// first, each with the time at which it was written.
type history struct {
	Times []int64 `json:"times"` // Unix nanoseconds
	Sizes []int64 `json:"sizes"`
}

const (
	historyLength = 30
	// enoughHistory sizes are needed for a median that means something.
	enoughHistory = 3
	// maxFiles bounds the walk through a folder.
	maxFiles = 200_000
)

func (b *backup) emitArtifacts(ctx context.Context, out *metric.Batch, s *systemd.Snapshot) {
	for _, a := range b.cfg.Artifacts {
		out.Gauge(artifactConfigured, 1, a.Name)
		if a.MaxAge > 0 {
			out.Gauge(artifactMaxAge, a.MaxAge.Std().Seconds(), a.Name)
		}
		l, err := scan(ctx, a.Path)
		if err != nil {
			out.Gauge(artifactError, 1, a.Name, reasonOf(err))
			continue
		}
		out.Time(artifactNewest, l.newest, a.Name)
		out.Gauge(artifactSize, float64(l.size), a.Name)
		out.Gauge(artifactFiles, float64(l.files), a.Name)
		b.judge(out, s, a, l)
	}
}

// judge compares the newest artifact with its past and tells whether it is
// whole, but not while it is being written.
func (b *backup) judge(out *metric.Batch, s *systemd.Snapshot, a Artifact, l look) {
	h := b.memory.Artifacts[a.Name]
	if h == nil {
		h = &history{}
		b.memory.Artifacts[a.Name] = h
	}
	v := b.verifier.look(a, l)
	if writing(s, a) || !v.settled {
		return
	}
	if median, ok := h.median(l.newest); ok {
		out.Gauge(artifactMedian, float64(median), a.Name)
	}
	if h.add(l) {
		b.memory.changed = true
	}
	switch {
	case v.err != nil:
		out.Gauge(artifactError, 1, a.Name, reasonOf(v.err))
	case v.known:
		out.Bool(artifactComplete, v.complete, a.Name)
	}
}

// writing tells whether the unit that writes the artifact runs, or may, for all
// that is known without systemd.
func writing(s *systemd.Snapshot, a Artifact) bool {
	if s == nil || a.Unit == "" {
		return a.Unit != ""
	}
	u := s.Unit(a.Unit)
	return u != nil && jobs.Running(u)
}

// add remembers the newest artifact's size; it reports false where it knows
// it. A file that was rewritten in the same moment replaces its size.
func (h *history) add(l look) bool {
	at := l.newest.UnixNano()
	if i := slices.Index(h.Times, at); i >= 0 {
		changed := h.Sizes[i] != l.size
		h.Sizes[i] = l.size
		return changed
	}
	h.Times, h.Sizes = append(h.Times, at), append(h.Sizes, l.size)
	if extra := len(h.Times) - historyLength; extra > 0 {
		h.Times, h.Sizes = h.Times[extra:], h.Sizes[extra:]
	}
	return true
}

// median is that of the sizes written before the newest artifact.
func (h *history) median(newest time.Time) (int64, bool) {
	var sizes []int64
	for i, at := range h.Times {
		if at < newest.UnixNano() {
			sizes = append(sizes, h.Sizes[i])
		}
	}
	if len(sizes) < enoughHistory {
		return 0, false
	}
	slices.Sort(sizes)
	return sizes[len(sizes)/2], true
}

// scan finds the newest regular file that the path matches, or looks through
// the folder that it names.
func scan(ctx context.Context, path string) (look, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return scanFolder(ctx, path)
	} else if err != nil && !strings.ContainsAny(path, "*?[") {
		return look{}, err
	}
	matches, err := filepath.Glob(path)
	if err != nil {
		return look{}, err
	}
	var l look
	for _, match := range matches {
		info, err := os.Stat(match)
		if err != nil || !info.Mode().IsRegular() {
			continue // a dump may be rotated away under us
		}
		l.files++
		if info.ModTime().After(l.newest) {
			l.path, l.newest, l.size = match, info.ModTime(), info.Size()
		}
	}
	if l.files == 0 {
		return l, unreadable(filepath.Dir(path))
	}
	return l, nil
}

// unreadable tells a folder without matches from one that may not be read,
// which filepath.Glob does not.
func unreadable(dir string) error {
	if strings.ContainsAny(dir, "*?[") {
		return fs.ErrNotExist
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(fs.ErrNotExist, f.Close())
}

func scanFolder(ctx context.Context, path string) (look, error) {
	var l look
	root, err := filepath.EvalSymlinks(path) // which WalkDir does not follow
	if err != nil {
		return l, err
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if l.files++; l.files > maxFiles {
			return errors.New("too many files")
		}
		l.size += info.Size()
		if info.ModTime().After(l.newest) {
			l.path, l.newest = path, info.ModTime()
		}
		return nil
	})
	if err == nil && l.files == 0 {
		err = fs.ErrNotExist
	}
	return l, err
}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return reasonMissing
	case errors.Is(err, fs.ErrPermission):
		return reasonPermission
	case errors.Is(err, errFormat):
		return reasonFormat
	}
	return reasonIO
}

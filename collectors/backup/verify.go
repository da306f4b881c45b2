package backup

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"regexp"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

const formatPgDump = "pg_dump"

// verdict is what is known of the newest file of an artifact.
type verdict struct {
	// settled: the file did not change since the pass before.
	settled  bool
	known    bool // it was read to its end
	complete bool
	err      error
}

// version is one state of one file.
type version struct {
	path string
	time time.Time
	size int64
}

// verifier reads new dumps to their end, once each, one at a time. Compressed
// ones have no other end to look at, and a large one takes minutes, so this
// goes on beside the passes.
type verifier struct {
	logger *slog.Logger
	wake   chan struct{}

	mu    sync.Mutex
	seen  map[string]version // by artifact, in the last pass
	known map[string]result
	queue map[string]version

	retry time.Duration // of a file that could not be read
}

type result struct {
	version
	complete bool
	err      error
	at       time.Time
}

func newVerifier(logger *slog.Logger) *verifier {
	return &verifier{
		logger: logger, wake: make(chan struct{}, 1),
		seen: map[string]version{}, known: map[string]result{}, queue: map[string]version{},
		retry: time.Minute,
	}
}

// look tells what is known of an artifact's newest file and has a new one
// read once it does not change any more.
func (v *verifier) look(a Artifact, l look) verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := version{l.path, l.newest, l.size}
	settled := v.seen[a.Name] == now
	v.seen[a.Name] = now
	if a.Format == "" || !settled {
		return verdict{settled: settled}
	}
	r := v.known[a.Name]
	known := r.version == now
	if !known || r.passing() && time.Since(r.at) > v.retry {
		v.queue[a.Name] = now
		select {
		case v.wake <- struct{}{}:
		default:
		}
	}
	if !known {
		return verdict{settled: true}
	}
	return verdict{settled: true, known: r.err == nil, complete: r.complete, err: r.err}
}

// passing tells whether the file could not be read for a reason that may end
// without a change of the file, such as its mode.
func (r result) passing() bool { return r.err != nil && !errors.Is(r.err, errFormat) }

func (v *verifier) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-v.wake:
		}
		for name, file := range v.take() {
			complete, err := verify(ctx, file.path)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			v.mu.Lock()
			old := v.known[name]
			v.known[name] = result{file, complete, err, time.Now()}
			v.mu.Unlock()
			if err != nil && (old.version != file || old.err == nil || old.err.Error() != err.Error()) {
				v.logger.Warn("dump cannot be checked", "backup", name, "path", file.path, "err", err)
			}
		}
	}
}

func (v *verifier) take() map[string]version {
	v.mu.Lock()
	defer v.mu.Unlock()
	queue := v.queue
	v.queue = map[string]version{}
	return queue
}

// errFormat is returned for files that are not SQL dumps of pg_dump or
// pg_dumpall, plain or compressed; custom-format archives are such.
var errFormat = errors.New("not an SQL dump of pg_dump or pg_dumpall")

// Each dump begins and ends with a comment, src/bin/pg_dump/pg_backup_archiver.c
// and pg_dumpall.c; since the releases of August 2025 "\restrict KEY" follows
// the first and "\unrestrict KEY" the last one.
//
//	--
//	-- PostgreSQL database dump complete
//	--
//
//	\unrestrict CSL1b2...
var (
	beginnings = [][]byte{[]byte("--\n-- PostgreSQL database dump\n"), []byte("--\n-- PostgreSQL database cluster dump\n")}
	endings    = [][]byte{[]byte("\n-- PostgreSQL database dump complete\n"), []byte("\n-- PostgreSQL database cluster dump complete\n")}
)

const (
	headSize = 512
	tailSize = 4 << 10
)

// verify tells whether a dump is whole. A stream that ends too early or is
// damaged is incomplete, not an error.
func verify(ctx context.Context, path string) (complete bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	magic := make([]byte, 4)
	n, err := io.ReadFull(f, magic)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return false, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	switch {
	case n < len(magic):
		return false, nil // shorter than any beginning
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}): // RFC 1952
		r, err := gzip.NewReader(bufio.NewReader(stopper{ctx, f}))
		if err != nil {
			return false, nil // cut off within its header
		}
		return verifyStream(ctx, r)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}): // RFC 8878
		r, err := zstd.NewReader(stopper{ctx, f}, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return false, nil
		}
		defer r.Close()
		return verifyStream(ctx, r)
	}
	return verifyPlain(f)
}

// verifyPlain reads the two ends of the file only.
func verifyPlain(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	e := ends{head: make([]byte, min(headSize, info.Size())), tail: make([]byte, min(tailSize, info.Size()))}
	if _, err := f.ReadAt(e.head, 0); err != nil {
		return false, err
	}
	if _, err := f.ReadAt(e.tail, info.Size()-int64(len(e.tail))); err != nil {
		return false, err
	}
	return e.judge()
}

// verifyStream decompresses the whole file: its checksum and its end are at
// the end.
func verifyStream(ctx context.Context, r io.Reader) (bool, error) {
	var e ends
	_, err := io.CopyBuffer(&e, struct{ io.Reader }{r}, make([]byte, 256<<10))
	var disk *os.PathError
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.As(err, &disk):
		return false, err
	case err != nil:
		return false, nil // cut off or damaged
	}
	return e.judge()
}

// ends are the first and the last bytes of what was written.
type ends struct{ head, tail []byte }

func (e *ends) Write(p []byte) (int, error) {
	if missing := headSize - len(e.head); missing > 0 {
		e.head = append(e.head, p[:min(missing, len(p))]...)
	}
	e.tail = append(e.tail, p[max(0, len(p)-tailSize):]...)
	if extra := len(e.tail) - tailSize; extra > 0 {
		e.tail = append(e.tail[:0], e.tail[extra:]...)
	}
	return len(p), nil
}

func (e *ends) judge() (bool, error) {
	for i, beginning := range beginnings {
		switch {
		case bytes.HasPrefix(e.head, beginning):
			// pg_dumpall lifts its restriction before the databases follow.
			lifted := i > 0 || e.unrestricted()
			return lifted && bytes.Contains(e.tail, endings[i]), nil
		case bytes.HasPrefix(beginning, e.head):
			return false, nil // cut off within its first lines, or empty
		}
	}
	return false, errFormat
}

// restrict is the meta-command that a later unrestrict with the same key ends.
var restrict = regexp.MustCompile(`(?m)^\\restrict (\w+)$`)

func (e *ends) unrestricted() bool {
	key := restrict.FindSubmatch(e.head)
	return key == nil || bytes.Contains(e.tail, []byte("\n\\unrestrict "+string(key[1])+"\n"))
}

// stopper makes reading end with its context.
type stopper struct {
	ctx context.Context
	r   io.Reader
}

func (s stopper) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

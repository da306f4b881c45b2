// Package state keeps what must outlive the process: one file of JSON for each
// source, replaced atomically (write, fsync, rename), in a folder that only
// the exporter reads (0700).
package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Store is the state of one source. It is for one goroutine at a time.
type Store interface {
	// Load reads the state into v, a pointer. found is false where there is
	// none yet, or where what was there could not be read and was set aside,
	// which leaves v zero.
	Load(v any) (found bool, err error)
	// Save replaces the state. Either all of it is on disk afterwards or the
	// one before is.
	Save(v any) error
	// Persistent is false where nothing survives the process.
	Persistent() bool
}

// Dir is the storage folder. One that could not be written at the start keeps
// nothing.
type Dir struct {
	path     string
	logger   *slog.Logger
	err      error
	readonly bool
	corrupt  atomic.Int64

	mu     sync.Mutex
	failed map[string]error // files whose last write failed; path: a lock could not be opened
}

// Open prepares the folder. It always gives a usable Dir; Err tells why
// nothing will be kept.
func Open(path string, logger *slog.Logger) *Dir {
	d := &Dir{path: path, logger: logger, failed: map[string]error{}}
	d.err = func() error {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return err
		}
		probe, err := os.CreateTemp(path, ".probe-*")
		if err != nil {
			return err
		}
		return errors.Join(probe.Close(), os.Remove(probe.Name()))
	}()
	return d
}

// ReadOnly gives a Dir that loads what is there and writes nothing.
func ReadOnly(path string, logger *slog.Logger) *Dir {
	return &Dir{path: path, logger: logger, readonly: true, err: errors.New("state is not written by this command")}
}

// Err is nil where state survives the process: the folder could be written at
// the start, and so could each file when it was last written.
func (d *Dir) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(d.err, errors.Join(slices.Collect(maps.Values(d.failed))...))
}

// wrote notes what came of writing a file. Where one was written the folder is
// well, so a lock that could not be opened, by a source that may be gone, is no
// matter any more; what another file met is.
func (d *Dir) wrote(path string, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.failed[path] = err
		return err
	}
	delete(d.failed, path)
	delete(d.failed, d.path)
	return nil
}

// forget drops what came of writing a file that is not to be written any more.
func (d *Dir) forget(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.failed, path)
}

// Corrupt counts the files that were set aside because they could not be read.
func (d *Dir) Corrupt() int64 { return d.corrupt.Load() }

// Source opens the store of one source and locks it against another process.
// The returned function unlocks it.
func (d *Dir) Source(collector, source string) (Store, func(), error) {
	none := func() {}
	base := filepath.Join(d.path, collector+"."+escape(source))
	if d.readonly {
		return &file{dir: d, path: base + ".json"}, none, nil
	}
	if d.err != nil {
		return &file{}, none, nil
	}
	lock, err := os.OpenFile(base+".lock", os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if d.wrote(d.path, err) != nil {
		return nil, none, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, none, fmt.Errorf("%s is in use by another process: %w", lock.Name(), err)
	}
	f := &file{dir: d, path: base + ".json"}
	return f, func() {
		d.forget(f.path)
		_ = lock.Close()
	}, nil
}

// escape makes one file name of any source name.
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

type file struct {
	dir  *Dir
	path string // "" where nothing is kept
}

// envelope lets a later version tell its own state from an older one's, and
// finds truncation that still is JSON.
type envelope struct {
	Version int             `json:"version"`
	State   json.RawMessage `json:"state"`
}

const version = 1

func (f *file) Persistent() bool { return f.path != "" && !f.dir.readonly }

// Folder gives a folder of the store's own, for what is more than one value, such as a queue. It
// is made when it is asked for, and "" where nothing is kept.
func Folder(s Store) (string, error) {
	if f, ok := s.(interface{ Folder() (string, error) }); ok && s.Persistent() {
		return f.Folder()
	}
	return "", nil
}

// Folder is what the function Folder gives.
func (f *file) Folder() (string, error) {
	path := strings.TrimSuffix(f.path, ".json") + ".d"
	return path, os.MkdirAll(path, 0o700)
}

func (f *file) Load(v any) (bool, error) {
	if f.path == "" {
		return false, nil
	}
	content, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := decode(content, v); err != nil {
		// A value of the wrong type does not keep the decoder from the others.
		reflect.ValueOf(v).Elem().SetZero()
		return false, f.setAside(err)
	}
	return true, nil
}

func decode(content []byte, v any) error {
	var e envelope
	dec := json.NewDecoder(bytes.NewReader(content))
	if err := dec.Decode(&e); err != nil {
		return err
	}
	if e.Version != version {
		return fmt.Errorf("state version %d, expected %d", e.Version, version)
	}
	return json.Unmarshal(e.State, v)
}

// setAside keeps an unreadable state for a person to look at and lets the
// source start anew.
func (f *file) setAside(why error) error {
	f.dir.corrupt.Add(1)
	if f.dir.readonly {
		return nil
	}
	aside := f.path + ".corrupt"
	f.dir.logger.Error("state cannot be read; set aside and starting anew", "file", f.path, "aside", aside, "err", why)
	return os.Rename(f.path, aside)
}

func (f *file) Save(v any) error {
	if !f.Persistent() {
		return nil
	}
	inner, err := json.Marshal(v)
	if err != nil {
		return err
	}
	content, err := json.Marshal(envelope{Version: version, State: inner})
	if err != nil {
		return err
	}
	return f.dir.wrote(f.path, WriteFile(f.path, content))
}

// WriteFile replaces a file atomically and durably, readable by its owner only.
func WriteFile(path string, content []byte) error {
	tmp, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_WRONLY|os.O_TRUNC|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return errors.Join(err, os.Remove(path+".tmp"))
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

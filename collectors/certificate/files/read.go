// Package files finds certificate files, reads them and remembers what they held, so that a pass
// over files that did not change costs a stat each.
//
// System: any file system, of which nothing is ever written. Privileges: read access to the files;
// keys are read where they can be, and only their public half is kept. Nothing but regular files
// is opened, so that a FIFO cannot block and a device is not touched.
package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Reason says why a file, or all of a pattern's, could not be read. The reasons of its content
// are those of package bundle.
type Reason string

// What can be wrong with a file.
const (
	Unreadable Reason = "unreadable"    // no permission, or an I/O error
	NotRegular Reason = "not_regular"   // a directory, FIFO, socket or device
	TooLarge   Reason = "too_large"     // above MaxSize
	Dangling   Reason = "dangling_link" // a link to nothing, or in a circle
)

// MaxSize is the largest file that is read, in bytes. The largest trust stores and revocation
// lists of the public CAs have some MiB.
const MaxSize = 16 << 20

// stamp identifies one state of one file. The zero stamp is of a file that does not exist.
type stamp struct {
	device, inode uint64
	size          int64
	mtime, ctime  int64 // ns since 1970
}

func stampOf(info fs.FileInfo) stamp {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
	}
	return stamp{
		device: s.Dev, inode: s.Ino, size: s.Size,
		mtime: s.Mtim.Nano(), ctime: s.Ctim.Nano(),
	}
}

// look stats a path, links followed. A file that does not exist has no reason and the zero stamp.
func look(path string) (stamp, Reason) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP):
		if _, err := os.Lstat(path); err == nil {
			return stamp{}, Dangling
		}
		return stamp{}, ""
	case err != nil:
		return stamp{}, Unreadable
	case !info.Mode().IsRegular():
		return stampOf(info), NotRegular
	case info.Size() > MaxSize:
		return stampOf(info), TooLarge
	}
	return stampOf(info), ""
}

// read returns a file's content and the stamp of what was read.
func read(path string) ([]byte, stamp, Reason) {
	before, reason := look(path)
	if reason != "" || before == (stamp{}) {
		return nil, before, reason
	}
	// The path may name something else by now: a FIFO without a writer must not block.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, before, Unreadable
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, before, Unreadable
	}
	opened := stampOf(info)
	if !info.Mode().IsRegular() {
		return nil, opened, NotRegular
	}
	content := make([]byte, 0, min(info.Size(), MaxSize)+1)
	for len(content) <= MaxSize {
		if len(content) == cap(content) {
			content = append(content, 0)[:len(content)]
		}
		n, err := f.Read(content[len(content):cap(content)])
		content = content[:len(content)+n]
		if errors.Is(err, io.EOF) {
			return content, opened, ""
		}
		if err != nil {
			return nil, opened, Unreadable
		}
	}
	return nil, opened, TooLarge
}

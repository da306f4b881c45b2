package mbsync

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// The reasons why a mailbox cannot be counted.
const (
	reasonMissing    = "missing"    // no such folder, or no Maildir
	reasonPermission = "permission" // not readable by this user
	reasonIO         = "io"
)

func reasonOf(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return reasonMissing
	case errors.Is(err, fs.ErrPermission):
		return reasonPermission
	}
	return reasonIO
}

// mailbox is one folder to count, or why there is none.
type mailbox struct {
	name string // below the account's maildir
	path string
	err  error
}

// find lists the mailboxes that the configuration names, each once.
func find(a Account) []mailbox {
	if a.Maildir == "" {
		return nil
	}
	wanted := a.Mailboxes
	if len(wanted) == 0 {
		wanted = []string{"INBOX"}
	}
	var boxes []mailbox
	seen := map[string]bool{}
	add := func(b mailbox) {
		if !seen[b.name] {
			seen[b.name] = true
			boxes = append(boxes, b)
		}
	}
	for _, box := range wanted {
		if !systemd.IsPattern(box) {
			add(mailbox{name: filepath.Clean(box), path: filepath.Join(a.Maildir, box)})
			continue
		}
		found := expand(a.Maildir, box)
		for _, b := range found {
			add(b)
		}
		if len(found) == 0 {
			add(mailbox{name: box, err: fs.ErrNotExist})
		}
	}
	return boxes
}

// expand finds the Maildirs that a glob matches. A maildir that cannot be read
// matches nothing, and is told as such.
func expand(root, pattern string) []mailbox {
	if f, err := os.Open(root); err != nil {
		return []mailbox{{name: pattern, err: err}}
	} else if f.Close() != nil {
		return nil
	}
	matches, err := fs.Glob(os.DirFS(root), pattern)
	if err != nil {
		return []mailbox{{name: pattern, err: err}}
	}
	var found []mailbox
	for _, match := range matches {
		path := filepath.Join(root, match)
		switch info, err := os.Stat(filepath.Join(path, "cur")); {
		case err == nil && info.IsDir():
			found = append(found, mailbox{name: match, path: path})
		case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
			found = append(found, mailbox{name: match, err: err})
		}
	}
	return found
}

// count is what the names of a Maildir's messages tell.
type count struct{ messages, unseen int }

// folders remembers the counts of folders that have not changed since.
type folders map[string]counted

type counted struct {
	count
	inode   uint64
	changed time.Time
	settled bool // when it was read, the last change lay back long enough
}

// settle is longer than a file system takes to show a change in the folder's
// time: a second where it keeps whole seconds.
const settle = 2 * time.Second

// count counts the messages of one Maildir. tmp holds what is still being
// delivered, which is no message yet.
func (f folders) count(ctx context.Context, path string, now time.Time) (count, error) {
	var sum count
	for _, sub := range []string{"cur", "new"} {
		c, err := f.folder(ctx, filepath.Join(path, sub), now)
		if err != nil {
			return count{}, err
		}
		sum.messages += c.messages
		sum.unseen += c.unseen
	}
	return sum, nil
}

func (f folders) folder(ctx context.Context, path string, now time.Time) (count, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		delete(f, path)
		return count{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	changed := time.Unix(st.Mtim.Unix())
	if c := f[path]; c.settled && c.changed.Equal(changed) && c.inode == st.Ino {
		return c.count, nil
	}
	c, err := read(ctx, path)
	if err != nil {
		delete(f, path)
		return count{}, err
	}
	f[path] = counted{count: c, inode: st.Ino, changed: changed, settled: now.Sub(changed) > settle}
	return c, nil
}

// read counts the names in a folder. os.ReadDir would make, sort and throw
// away a string for each of them.
func read(ctx context.Context, path string) (count, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return count{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var c count
	buf := make([]byte, 256<<10)
	for ctx.Err() == nil {
		n, err := unix.Getdents(fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return count{}, &fs.PathError{Op: "getdents", Path: path, Err: err}
		case n <= 0:
			return c, nil
		}
		if err := c.add(buf[:n]); err != nil {
			return count{}, fmt.Errorf("%s: %w", path, err)
		}
	}
	return count{}, ctx.Err()
}

// What struct linux_dirent64 of getdents64(2) holds, and where.
const (
	direntLength = 16 // uint16, of the whole entry
	direntName   = 19 // up to a zero byte
)

var errDirent = errors.New("malformed directory entry")

// add counts the messages among directory entries. Names that begin with a dot
// are none (https://cr.yp.to/proto/maildir.html).
func (c *count) add(entries []byte) error {
	for len(entries) > 0 {
		if len(entries) <= direntName {
			return errDirent
		}
		length := int(binary.NativeEndian.Uint16(entries[direntLength:]))
		if length <= direntName || length > len(entries) {
			return errDirent
		}
		name := entries[direntName:length]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		entries = entries[length:]
		if len(name) == 0 || name[0] == '.' {
			continue
		}
		c.messages++
		if !seen(name) {
			c.unseen++
		}
	}
	return nil
}

// seen tells whether a message's name, such as 1795622827.29417_1.vm,U=1:2,RS,
// has the flag S. isync's InfoDelimiter may be another character than a colon.
func seen(name []byte) bool {
	i := bytes.LastIndex(name, []byte("2,"))
	return i > 0 && strings.IndexByte(":;!", name[i-1]) >= 0 && bytes.IndexByte(name[i:], 'S') >= 0
}

// journalName is that of the journal beside the state in a mailbox.
const journalName = ".mbsyncstate.journal"

// journal tells whether a run that was interrupted left a journal. The error
// says that nobody knows: there is no place to look, or no access to it.
func journal(a Account, boxes []mailbox) (bool, error) {
	if a.Journals != "" {
		matches, err := filepath.Glob(a.Journals)
		if err != nil || len(matches) > 0 {
			return len(matches) > 0, err
		}
		_, err = os.ReadDir(filepath.Dir(a.Journals)) // Glob tells no error
		return false, err
	}
	looked := false
	for _, b := range boxes {
		if _, err := os.Stat(b.path); b.err != nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		_, err := os.Lstat(filepath.Join(b.path, journalName))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		looked = true
	}
	if !looked {
		return false, fs.ErrNotExist
	}
	return false, nil
}

package mbsync

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// maildir makes a Maildir with messages of the given names, which begin with
// new/ or cur/.
func maildir(t testing.TB, path string, names ...string) string {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(path, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(path, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestCount(t *testing.T) {
	path := maildir(t, t.TempDir(),
		"new/1795622827.29417_1.vm,U=1:2,", "new/1795622827.29417_2.vm", "new/1795622827.S_3.vm,S=12,U=2:2,F",
		"cur/1795622827.29417_4.vm,U=3:2,S", "cur/1795622827.29417_5.vm,U=4:2,FRS", "cur/1795622827.29417_6.vm;2,S",
		"cur/1795622827.29417_7.vm,U=5:2,T", "cur/.nfs0001", "tmp/1795622827.29417_8.vm")
	f := folders{}
	got, err := f.count(context.Background(), path, time.Now())
	if want := (count{7, 4}); err != nil || got != want {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}

	// A flag that changes, and a message that goes, are seen although the first
	// count is remembered.
	now := time.Now().Add(time.Hour)
	if _, err := f.count(context.Background(), path, now); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"/new/1795622827.29417_1.vm,U=1:2,", path+"/cur/1795622827.29417_1.vm,U=1:2,S"); err != nil {
		t.Fatal(err)
	}
	if got, err := f.count(context.Background(), path, now); err != nil || got != (count{7, 3}) {
		t.Errorf("%+v %v after a change", got, err)
	}

	// The folder is exchanged for another one with the same time.
	old, err := os.Stat(path + "/cur")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"/cur", path+"/old"); err != nil {
		t.Fatal(err)
	}
	maildir(t, path, "cur/x")
	if err := os.Chtimes(path+"/cur", old.ModTime(), old.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got, err := f.count(context.Background(), path, now); err != nil || got != (count{3, 3}) {
		t.Errorf("%+v %v after an exchange", got, err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (folders{}).count(ctx, path, now); err == nil {
		t.Error("no error after the deadline")
	}
}

// What changed a moment ago is read again: a second change may not show in the
// folder's time.
func TestCountUnsettled(t *testing.T) {
	path := maildir(t, t.TempDir(), "cur/a")
	at := time.Now().Truncate(time.Second)
	f := folders{}
	for i, names := range [][]string{{"cur/a"}, {"cur/b"}} {
		maildir(t, path, names...)
		if err := os.Chtimes(path+"/cur", at, at); err != nil {
			t.Fatal(err)
		}
		if got, err := f.count(context.Background(), path, at.Add(time.Second)); err != nil || got.messages != i+1 {
			t.Errorf("%+v %v, want %d", got, err, i+1)
		}
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	maildir(t, dir+"/INBOX")
	maildir(t, dir+"/lists/go")
	maildir(t, dir+"/lists/c")
	if err := os.WriteFile(dir+"/lists/notes", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		account Account
		want    string
	}{
		{Account{}, ""},
		{Account{Maildir: dir}, "INBOX"},
		{Account{Maildir: dir, Mailboxes: []string{"INBOX", "lists/*", "lists/go/"}}, "INBOX lists/c lists/go"},
		{Account{Maildir: dir, Mailboxes: []string{"Sent*", "Trash"}}, "Sent*:missing Trash"},
		{Account{Maildir: dir + "/none", Mailboxes: []string{"*"}}, "*:missing"},
	} {
		var got []string
		for _, b := range find(c.account) {
			text := b.name
			if b.err != nil {
				text += ":" + reasonOf(b.err)
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %q, want %q", c.account, got, c.want)
		}
	}
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	maildir(t, dir+"/INBOX")
	state := dir + "/state"
	if err := os.Mkdir(state, 0o755); err != nil {
		t.Fatal(err)
	}
	inbox, folder := Account{Maildir: dir}, Account{Journals: state + "/:johnw-*.journal"}
	check := func(a Account, want, known bool) {
		t.Helper()
		if got, err := journal(a, find(a)); got != want || (err == nil) != known {
			t.Errorf("%+v: %v %v, want %v", a, got, err, want)
		}
	}
	check(inbox, false, true)
	check(folder, false, true)
	check(Account{Maildir: dir + "/none"}, false, false)
	check(Account{Journals: dir + "/none/*.journal"}, false, false)
	check(Account{}, false, false)
	for _, path := range []string{dir + "/INBOX/.mbsyncstate.journal", state + "/:johnw-far:INBOX_:near:INBOX.journal"} {
		if err := os.WriteFile(path, []byte("4\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check(inbox, true, true)
	check(folder, true, true)
}

// What may not be read is told as such, not as empty.
func TestPermission(t *testing.T) {
	testenv.NeedRoot(t)
	dir := t.TempDir()
	secret := maildir(t, dir+"/secret", "cur/a")
	maildir(t, dir+"/open", "cur/a")
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, secret: 0o700, dir + "/open/new": 0o700} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	asNobody(t, func() {
		for _, box := range []string{"secret", "open"} {
			if _, err := (folders{}).count(context.Background(), filepath.Join(dir, box), time.Now()); err == nil || reasonOf(err) != reasonPermission {
				t.Errorf("%s: %v", box, err)
			}
		}
		if boxes := find(Account{Maildir: secret, Mailboxes: []string{"*"}}); len(boxes) != 1 || reasonOf(boxes[0].err) != reasonPermission {
			t.Errorf("%+v", boxes)
		}
		boxes := find(Account{Maildir: dir, Mailboxes: []string{"*"}})
		slices.SortFunc(boxes, func(a, b mailbox) int { return strings.Compare(a.name, b.name) })
		if len(boxes) != 2 || boxes[0].err != nil || boxes[1].name != "secret" || reasonOf(boxes[1].err) != reasonPermission {
			t.Errorf("beside one that can be read: %+v", boxes)
		}
		for _, a := range []Account{{Maildir: dir, Mailboxes: []string{"secret"}}, {Journals: secret + "/*.journal"}} {
			if found, err := journal(a, find(a)); found || err == nil {
				t.Errorf("%+v: journal %v, %v", a, found, err)
			}
		}
	})
}

// asNobody runs f with the file permissions of nobody: setfsuid(2) is of this
// thread alone, and drops the capabilities that pass them by.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const nobody = 65534
	set := func(uid uintptr) uintptr {
		before, _, _ := syscall.RawSyscall(syscall.SYS_SETFSUID, uid, 0, 0)
		return before
	}
	before := set(nobody)
	defer set(before)
	if now := set(nobody); now != nobody {
		t.Fatalf("still uid %d", now)
	}
	f()
}

// entries builds what getdents64 returns.
func entries(names ...string) []byte {
	var all []byte
	for _, name := range names {
		length := (direntName + len(name) + 1 + 7) &^ 7
		entry := make([]byte, length)
		binary.NativeEndian.PutUint16(entry[direntLength:], uint16(length))
		copy(entry[direntName:], name)
		all = append(all, entry...)
	}
	return all
}

func FuzzDirents(f *testing.F) {
	f.Add(entries(".", "..", "a:2,S", "b"))
	f.Add(entries("1795622827.29417_1.vm,U=1:2,")[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		var c count
		if err := c.add(b); err == nil && (c.unseen > c.messages || c.messages > len(b)/direntName) {
			t.Errorf("%+v of %d bytes", c, len(b))
		}
	})
}

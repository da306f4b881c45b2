package testenv

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
	"testing"
)

// serverDir makes a folder for a server that is not started as root. Where the test runs as
// root, the folder belongs to the named system user, or to nobody, and the credential is that
// user's; else it is nil. The path is short enough for a socket below it (107 bytes, unix(7)).
func serverDir(t testing.TB, prefix, name string) (string, *syscall.Credential) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", prefix+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Geteuid() != 0 {
		return dir, nil
	}
	account, err := user.Lookup(name)
	if err != nil {
		if account, err = user.Lookup("nobody"); err != nil {
			t.Fatal(err)
		}
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		t.Fatal(err)
	}
	return dir, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

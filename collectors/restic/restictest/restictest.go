// Package restictest makes real restic repositories for tests.
//
// The repositories of v1 and v2 (restic's format 1 and 2) are empty and have a
// key whose derivation takes no time, where restic's own takes half a second
// in each call; else they are as restic init makes them. Their password is
// "secret". Benchmarks use repositories that restic init has made.
package restictest

import (
	"bytes"
	"embed"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

//go:embed v1 v2
var templates embed.FS

// Password is that of every repository.
const Password = "secret"

// Debian and Trixie are the restic of the machine (0.14 on Debian 12) and the
// one that test/restic-trixie.sh puts beside it (0.18).
func Debian(t testing.TB) string {
	t.Helper()
	testenv.Need(t, "restic")
	path, err := exec.LookPath("restic")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Trixie is restic 0.18.
func Trixie(t testing.TB) string {
	t.Helper()
	path := filepath.Join(testenv.Root(t), ".tools", "restic-0.18")
	testenv.Need(t, path)
	return path
}

// Repository is a repository in a folder of the test.
type Repository struct {
	t      testing.TB
	Binary string
	// Dir is the location, PasswordFile holds its password, Cache is where the
	// calls of the test itself cache.
	Dir, PasswordFile, Cache string
	// Data is a folder with something to back up.
	Data string
}

// New makes an empty repository of the format v1 or v2.
func New(t testing.TB, binary, format string) *Repository {
	t.Helper()
	root := t.TempDir()
	r := &Repository{
		t: t, Binary: binary,
		Dir: filepath.Join(root, "repository"), PasswordFile: filepath.Join(root, "password"),
		Cache: filepath.Join(root, "cache"), Data: filepath.Join(root, "data"),
	}
	template, err := fs.Sub(templates, format)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(r.Dir, template); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"data", "index", "locks", "snapshots"} {
		r.mkdir(filepath.Join(r.Dir, dir))
	}
	r.mkdir(r.Data)
	r.write(r.PasswordFile, []byte(Password+"\n"))
	return r
}

// Command is a call of restic on the repository.
func (r *Repository) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(r.Binary, args...)
	cmd.Env = append(os.Environ(), "RESTIC_REPOSITORY="+r.Dir, "RESTIC_PASSWORD="+Password, "RESTIC_CACHE_DIR="+r.Cache)
	return cmd
}

// Run calls restic and returns what it prints.
func (r *Repository) Run(args ...string) string {
	r.t.Helper()
	var stderr bytes.Buffer
	cmd := r.Command(args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("restic %q: %v\n%s", args, err, stderr.String())
	}
	return string(out)
}

// Backup makes a snapshot of a file with the given content, as of a moment.
func (r *Repository) Backup(host string, at time.Time, content []byte, more ...string) {
	r.t.Helper()
	r.write(filepath.Join(r.Data, "file"), content)
	args := append([]string{"backup", "--quiet", "--host", host, "--time", at.UTC().Format(time.DateTime)}, more...)
	cmd := r.Command(append(args, r.Data)...)
	cmd.Env = append(cmd.Env, "TZ=UTC")
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("backup: %v\n%s", err, out)
	}
}

// Snapshots are the IDs of all snapshots.
func (r *Repository) Snapshots() []string {
	r.t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.Dir, "snapshots"))
	if err != nil {
		r.t.Fatal(err)
	}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids
}

// Damage flips bits of the largest pack and returns what mends it.
func (r *Repository) Damage() (mend func()) {
	r.t.Helper()
	var largest string
	var size int64
	err := filepath.Walk(filepath.Join(r.Dir, "data"), func(path string, info fs.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err != nil || largest == "" {
		r.t.Fatalf("no pack found: %v", err)
	}
	whole, err := os.ReadFile(largest)
	if err != nil {
		r.t.Fatal(err)
	}
	bad := bytes.Clone(whole)
	for i := range 16 {
		bad[len(bad)/3+i] ^= 0xff
	}
	r.write(largest, bad)
	return func() { r.write(largest, whole) }
}

// StaleLock leaves a lock of a backup that was killed, and returns what
// removes it.
func (r *Repository) StaleLock() (remove func()) {
	r.t.Helper()
	cmd := r.Command("backup", "--quiet", "--stdin", "--host", "killed")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	process := testenv.Start(r.t, cmd)
	testenv.Eventually(r.t, time.Minute, func() error {
		if len(r.Locks()) == 0 {
			return errors.Join(errors.New("no lock yet"), process.Exited())
		}
		return nil
	})
	process.Kill()
	_ = stdin.Close()
	return func() { r.Run("unlock") }
}

// Locks are the names of the locks, without those that are being written.
func (r *Repository) Locks() []string {
	r.t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.Dir, "locks"))
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if len(e.Name()) == 64 {
			names = append(names, e.Name())
		}
	}
	return names
}

func (r *Repository) mkdir(path string) {
	r.t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		r.t.Fatal(err)
	}
}

// write replaces a file, also one that restic has made read-only.
func (r *Repository) write(path string, content []byte) {
	r.t.Helper()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

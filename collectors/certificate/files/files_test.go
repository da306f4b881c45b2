package files

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/certificate/bundle"
	"vulcan.lan/vulcan_exporter/collectors/certificate/chain"
	"vulcan.lan/vulcan_exporter/collectors/certificate/zoo"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func scan(t *testing.T, w *Watcher) *Pass {
	t.Helper()
	if w.Trust == nil {
		w.Trust = &Trust{}
	}
	pass, err := w.Scan(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return pass
}

// reasons are those of a pass by file name; "" is a file without a fault.
func reasons(pass *Pass) map[string]Reason {
	m := map[string]Reason{}
	for _, r := range pass.Records {
		m[filepath.Base(r.Path)] = r.Reason
	}
	return m
}

// Whatever lies among certificates has its reason, blocks nothing, and the rest goes on.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	root := zoo.Root(t, "Root")
	good := zoo.PEM(root.Issue(t, "good"))
	want := map[string]Reason{
		"a-good.crt": "", "empty.crt": Reason(bundle.Empty), "garbage.crt": Reason(bundle.NoCertificate), "cut.crt": Reason(bundle.Malformed),
		"fifo.crt": NotRegular, "dir.crt": NotRegular, "socket.crt": NotRegular, "device.crt": NotRegular, "huge.crt": TooLarge,
		"dangling.crt": Dangling, "circle.crt": Dangling, "key.crt": "", "z-good.crt": "",
	}
	zoo.Write(t, dir, "a-good.crt", good)
	zoo.Write(t, dir, "z-good.crt", zoo.PEM(root.Issue(t, "z")))
	zoo.Write(t, dir, "empty.crt")
	zoo.Write(t, dir, "garbage.crt", []byte("no certificate"))
	zoo.Write(t, dir, "cut.crt", good[:len(good)/2])
	zoo.Write(t, dir, "key.crt", root.KeyPEM(t)) // a pattern may match keys: they are no fault
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(syscall.Mkfifo(filepath.Join(dir, "fifo.crt"), 0o644))
	must(os.Mkdir(filepath.Join(dir, "dir.crt"), 0o755))
	must(os.Symlink("nowhere", filepath.Join(dir, "dangling.crt")))
	must(os.Symlink("circle.crt", filepath.Join(dir, "circle.crt")))
	must(os.Symlink("/dev/zero", filepath.Join(dir, "device.crt")))
	must(os.Truncate(zoo.Write(t, dir, "huge.crt", good), 50<<20))
	listener, err := net.Listen("unix", filepath.Join(dir, "socket.crt"))
	must(err)
	defer func() { _ = listener.Close() }()

	w := &Watcher{Sets: []Set{{Type: "x", Paths: []string{dir + "/*.crt", dir + "/key.crt"}}}}
	got := reasons(scan(t, w))
	for name, reason := range want {
		if r, ok := got[name]; !ok || r != reason {
			t.Errorf("%s: shown %v, %q, want %q", name, ok, r, reason)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, want %d: %v", len(got), len(want), got)
	}
	w = &Watcher{Sets: []Set{{Type: "x", Paths: []string{dir + "/key.crt"}}}}
	if got := reasons(scan(t, w)); got["key.crt"] != Reason(bundle.NoCertificate) {
		t.Errorf("a file that was named and holds a key only: %q", got["key.crt"])
	}
}

// asNobody runs f without root's rights. Its thread ends with it.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	testenv.NeedRoot(t)
	const nobody = 65534
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked, so that no other goroutine gets these rights
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func TestRights(t *testing.T) {
	base, err := os.MkdirTemp("/tmp", "vcert-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	leaf := zoo.Root(t, "Root").Issue(t, "a")
	crt := zoo.Write(t, base, "open/a.crt", zoo.PEM(leaf))
	key := zoo.Write(t, base, "open/a.key", leaf.KeyPEM(t))
	secret := zoo.Write(t, base, "open/b.crt", zoo.PEM(leaf))
	zoo.Write(t, base, "closed/c.crt", zoo.PEM(leaf))
	for path, mode := range map[string]os.FileMode{key: 0o600, secret: 0o600, base + "/closed": 0o700} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	w := &Watcher{Sets: []Set{{Type: "x", Paths: []string{base + "/**/*.crt", base + "/closed/c.crt"}}}}
	asNobody(t, func() {
		pass := scan(t, w)
		if g := pass.Groups[0]; g.Reason != Unreadable || len(g.Paths) != 2 {
			t.Errorf("pattern through a closed folder: %q, %q", g.Reason, g.Paths)
		}
		if r := pass.Record(crt); r.Reason != "" || r.KeyReason != bundle.KeyUnreadable || r.KeyMatches != nil || len(r.Facts) != 1 {
			t.Errorf("certificate with a closed key: %+v", r)
		}
		if r := pass.Record(secret); r.Reason != Unreadable {
			t.Errorf("closed certificate: %q", r.Reason)
		}
		if r := pass.Record(base + "/closed/c.crt"); r == nil || r.Reason != Unreadable {
			t.Errorf("certificate in a closed folder: %+v", r)
		}
	})
	// The same files, unchanged, are read once the rights allow it.
	pass := scan(t, w)
	if r := pass.Record(crt); r.KeyMatches == nil || !*r.KeyMatches {
		t.Errorf("with rights: key %q", r.KeyReason)
	}
	if r := pass.Record(secret); r.Reason != "" {
		t.Errorf("with rights: %q", r.Reason)
	}
}

// A file is read once for each of its states, whatever the way in which it changes.
func TestChanges(t *testing.T) {
	dir := t.TempDir()
	root := zoo.Root(t, "Root")
	one, two := root.Issue(t, "one"), root.Issue(t, "two")
	zoo.Write(t, dir, "v1/a.crt", zoo.PEM(one))
	zoo.Write(t, dir, "v1/a.key", one.KeyPEM(t))
	if err := os.Symlink("v1", dir+"/current"); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(10 * time.Second) // by the watcher's clock the files are settled
	w := &Watcher{Sets: []Set{{Type: "x", Paths: []string{dir + "/current/a.crt"}}}, Trust: &Trust{}}
	look := func() *Record {
		t.Helper()
		past = past.Add(time.Minute)
		pass, err := w.Scan(t.Context(), past)
		if err != nil {
			t.Fatal(err)
		}
		return pass.Record(dir + "/current/a.crt")
	}
	shows := func(what string, c *zoo.Cert, matches bool, reads int) {
		t.Helper()
		before := w.reads
		r := look()
		if r.Reason != "" || r.Facts[0].Subject != bundle.Name(c.RawSubject) || r.KeyMatches == nil || *r.KeyMatches != matches {
			t.Errorf("%s: %q %+v, key %v %q", what, r.Reason, r.Facts, r.KeyMatches, r.KeyReason)
		}
		if got := w.reads - before; got != reads {
			t.Errorf("%s: %d reads, want %d", what, got, reads)
		}
	}
	shows("at first", one, true, 1)
	shows("unchanged", one, true, 0)
	zoo.Write(t, dir, "v1/a.key", two.KeyPEM(t))
	shows("another key", one, false, 1)
	shows("unchanged", one, false, 0)
	zoo.Write(t, dir, "v2/a.crt", zoo.PEM(two))
	zoo.Write(t, dir, "v2/a.key", two.KeyPEM(t))
	if err := errors.Join(os.Symlink("v2", dir+"/next"), os.Rename(dir+"/next", dir+"/current")); err != nil {
		t.Fatal(err)
	}
	shows("folder swapped", two, true, 1)
	same := append(zoo.PEM(two), strings.Repeat("\n", 5000)...)
	zoo.Write(t, dir, "v2/a.crt", same)
	shows("rewritten", two, true, 1)
	// The same size and, set back, the same mtime: only ctime tells.
	info, err := os.Stat(dir + "/v2/a.crt")
	if err != nil {
		t.Fatal(err)
	}
	changed := append(zoo.PEM(one), strings.Repeat("\n", 6000)...)[:info.Size()]
	zoo.Write(t, dir, "v2/a.crt", changed)
	if err := os.Chtimes(dir+"/v2/a.crt", info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	shows("same size and mtime", one, false, 1)
	if err := os.Remove(dir + "/v2/a.crt"); err != nil {
		t.Fatal(err)
	}
	if r := look(); r != nil {
		t.Errorf("removed: %+v", r)
	}
}

// A file that was read within the file system's clock step of its change is read again.
func TestRacy(t *testing.T) {
	dir := t.TempDir()
	root := zoo.Root(t, "Root")
	zoo.Write(t, dir, "a.crt", zoo.PEM(root.Issue(t, "one")))
	w := &Watcher{Sets: []Set{{Type: "x", Paths: []string{dir + "/*"}}}, Trust: &Trust{}}
	for i, want := range []int{1, 2} {
		scan(t, w)
		if w.reads != want {
			t.Errorf("pass %d: %d reads, want %d", i, w.reads, want)
		}
	}
	later := time.Now().Add(time.Minute)
	for i, want := range []int{3, 3} { // read once more, now long after the change
		if _, err := w.Scan(t.Context(), later.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
		if i == 1 && w.reads > want {
			t.Errorf("settled: %d reads, want %d", w.reads, want)
		}
	}
}

// Time and trust change the verdict on a file that does not change.
func TestVerdicts(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	root := zoo.Root(t, "Root")
	ca := root.Authority(t, "CA")
	leaf := ca.Issue(t, "a", zoo.Lifetime(now.Add(-time.Hour), now.Add(time.Hour)))
	crt := zoo.Write(t, dir, "a.crt", zoo.PEM(leaf))
	roots := zoo.Write(t, dir, "roots", zoo.PEM(zoo.Root(t, "Other")))
	w := &Watcher{Sets: []Set{{Type: "x", Paths: []string{crt}}}, Trust: &Trust{Roots: []string{roots}, Intermediates: []string{dir + "/inter*"}, CRLs: []string{dir + "/crl"}}}
	shows := func(what string, at time.Time, judged bool, want chain.Reason) {
		t.Helper()
		pass, err := w.Scan(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if r := pass.Record(crt); r.Judged != judged || r.Verdict.Reason != want {
			t.Errorf("%s: judged %v, %q, want %q", what, r.Judged, r.Verdict.Reason, want)
		}
	}
	shows("other root", now, true, chain.Incomplete)
	zoo.Write(t, dir, "roots", zoo.PEM(root))
	shows("intermediate unknown", now, true, chain.Incomplete)
	zoo.Write(t, dir, "inter1", zoo.PEM(ca))
	shows("intermediate known", now, true, "")
	shows("later", now.Add(2*time.Hour), true, chain.Expired)
	shows("clock set back", now, true, "")
	zoo.Write(t, dir, "crl", ca.Revoke(t, now, now.Add(time.Hour), leaf))
	shows("revoked", now, true, chain.Revoked)
	zoo.Write(t, dir, "roots", []byte("nothing"))
	shows("no root can be read", now, false, "")
}

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	root := zoo.Root(t, "Root")
	for _, name := range []string{"a.crt", "sub/b.crt", "sub/deep/c.crt", "sub/skip.crt", "old/d.crt", "e.pem", "br[1].crt"} {
		zoo.Write(t, dir, name, zoo.PEM(root.Issue(t, name)))
	}
	for _, link := range []string{"0a1b2c3d.0", "hash.crt"} {
		if err := os.Symlink("a.crt", filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		paths, exclude []string
		want           string
	}{
		{paths: []string{"/*.crt"}, want: "a.crt br[1].crt"}, // hash.crt is a.crt
		{paths: []string{"/**/*.crt"}, exclude: []string{"skip*", "/old/**"}, want: "a.crt br[1].crt b.crt c.crt"},
		{paths: []string{"/{a,e}.*", "/a.crt"}, want: "a.crt e.pem"},
		{paths: []string{"/hash.crt", "/*.crt"}, want: "hash.crt br[1].crt"},
		{paths: []string{"/*.0"}, want: "0a1b2c3d.0"},
		{paths: []string{"/none/*"}, want: ""},
		{paths: []string{"/none.crt"}, want: ""},
	} {
		set := Set{Type: "x"}
		for _, p := range test.paths {
			set.Paths = append(set.Paths, dir+p)
		}
		for _, p := range test.exclude {
			if strings.HasPrefix(p, "/") {
				p = dir + p
			}
			set.Exclude = append(set.Exclude, p)
		}
		var got []string
		for _, r := range scan(t, &Watcher{Sets: []Set{set}}).Records {
			got = append(got, filepath.Base(r.Path))
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%q without %q: %q, want %q", test.paths, test.exclude, got, test.want)
		}
	}
}

// The key is where servers keep it, or where the operator says; a guess is never a fault.
func TestKeys(t *testing.T) {
	dir := t.TempDir()
	root := zoo.Root(t, "Root")
	leaf, other := root.Issue(t, "a"), root.Issue(t, "b")
	yes, no := true, false
	for i, test := range []struct {
		crt, key, template string
		of                 *zoo.Cert
		want               *bool
		reason             bundle.KeyReason
	}{
		{crt: "a.crt", key: "a.key", of: leaf, want: &yes},
		{crt: "a.crt", key: "a.key", of: other, want: &no},
		{crt: "mail.example.org.crt", key: "mail.example.org.key", of: leaf, want: &yes},
		{crt: "mail.fullchain.crt", key: "mail.key", of: leaf, want: &yes},
		{crt: "fullchain.pem", key: "privkey.pem", of: leaf, want: &yes},
		{crt: "cert12.pem", key: "privkey12.pem", of: other, want: &no},
		{crt: "certificate.pem", key: "privkey.pem", of: other},
		{crt: "site.pem", key: "site-key.pem", of: leaf, want: &yes},
		{crt: "certs/site.pem", key: "private/site.key", of: leaf, want: &yes},
		{crt: "a.crt", key: "secret/a.pem", template: "{dir}/secret/{stem}.pem", of: leaf, want: &yes},
		{crt: "a.crt", key: "a.key", template: "{dir}/secret/{stem}.pem", of: leaf, reason: bundle.KeyMissing},
		{crt: "a.crt", key: "b.key", of: other},
	} {
		sub := fmt.Sprintf("%s/%d/", dir, i)
		crt := zoo.Write(t, sub, test.crt, zoo.PEM(leaf, root))
		zoo.Write(t, sub, test.key, test.of.KeyPEM(t))
		r := scan(t, &Watcher{Sets: []Set{{Type: "x", Paths: []string{crt}, Key: test.template}}}).Record(crt)
		if (r.KeyMatches == nil) != (test.want == nil) || r.KeyMatches != nil && *r.KeyMatches != *test.want || r.KeyReason != test.reason {
			t.Errorf("%s with %s: %v %q", test.crt, test.key, r.KeyMatches, r.KeyReason)
		}
	}
}

func TestName(t *testing.T) {
	for path, want := range map[string]string{
		"/etc/ssl/vulcan.lan.crt": "vulcan.lan", "/etc/letsencrypt/live/example.org/fullchain.pem": "example.org",
		"/srv/tls/tls.crt": "tls", "/x/.crt": ".crt", "/x/chained.pem": "chained", "/x/noext": "noext",
	} {
		if got := Name(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestCancelled(t *testing.T) {
	dir := t.TempDir()
	zoo.Write(t, dir, "a.crt", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := &Watcher{Sets: []Set{{Type: "x", Paths: []string{dir + "/*"}}}, Trust: &Trust{}}
	if _, err := w.Scan(ctx, time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// Two passes are equal if and only if they show the same.
func TestEqual(t *testing.T) {
	dir := t.TempDir()
	root := zoo.Root(t, "Root")
	leaf := root.Issue(t, "a")
	zoo.Write(t, dir, "a.crt", zoo.PEM(leaf))
	zoo.Write(t, dir, "a.crl", root.Revoke(t, time.Now(), time.Now().Add(time.Hour)))
	w := &Watcher{Sets: []Set{{Type: "x", Paths: []string{dir + "/*.cr?", dir + "/b.key"}}}}
	last := scan(t, w)
	if !scan(t, w).Equal(last) {
		t.Error("two passes over the same files differ")
	}
	if last.Equal(nil) {
		t.Error("a pass equals none")
	}
	for i, change := range []func(){
		func() { zoo.Write(t, dir, "a.key", leaf.KeyPEM(t)) },
		func() { zoo.Write(t, dir, "a.key", root.KeyPEM(t)) },
		func() { zoo.Write(t, dir, "a.key", []byte("x")) },
		func() { zoo.Write(t, dir, "a.crt", zoo.PEM(leaf, root)) },
		func() { zoo.Write(t, dir, "a.crt", zoo.PEM(root.Issue(t, "a"), root)) },
		func() { zoo.Write(t, dir, "a.crl", root.Revoke(t, time.Now(), time.Now().Add(2*time.Hour), leaf)) },
		func() { zoo.Write(t, dir, "b.crt", zoo.PEM(leaf)) },
		func() { zoo.Write(t, dir, "b.crt", []byte("x")) },
		func() { zoo.Write(t, dir, "b.key", []byte("x")) },
	} {
		change()
		pass := scan(t, w)
		if pass.Equal(last) {
			t.Errorf("change %d is not seen", i)
		}
		last = pass
	}
}

// Package soak lets vulcan_exporter run with all collectors over a whole host in which random
// things break, and holds what it says against what must always be so. `make soak` runs an hour.
package soak

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vulcan.lan/vulcan_exporter/internal/testenv"
	"vulcan.lan/vulcan_exporter/test/lab"
)

var (
	duration = flag.Duration("soak.duration", 3*time.Minute, "how long faults are caused")
	seed     = flag.Uint64("soak.seed", uint64(time.Now().UnixNano()), "of the choice of faults")
)

// stateSize is that of the file system for the state, which a fault fills.
const stateSize = 8 << 20

// subject is the exporter under test.
type subject struct {
	t       testing.TB
	command []string
	env     []string
	url     string
	state   string
	process *testenv.Process
}

func start(t testing.TB, l *lab.Lab) *subject {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "vulcan.yml")
	if err := os.WriteFile(config, []byte(l.Config()), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &subject{t: t, env: l.Env, state: filepath.Join(dir, "state")}
	if err := os.Mkdir(s.state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", s.state, "tmpfs", 0, fmt.Sprintf("size=%d", stateSize)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(s.state, syscall.MNT_DETACH) })
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	s.url = "http://" + address
	s.command = []string{testenv.Exporter(t), "run", "--config.file=" + config, "--storage.path=" + s.state, "--web.listen-address=" + address}
	s.start()
	return s
}

func (s *subject) start() {
	s.t.Helper()
	cmd := exec.Command(s.command[0], s.command[1:]...)
	cmd.Env = append(os.Environ(), s.env...)
	s.process = testenv.Start(s.t, cmd)
}

// faults are those of the exporter itself.
func (s *subject) faults() []lab.Fault {
	full := filepath.Join(s.state, "full")
	var before unix.Rlimit
	return []lab.Fault{
		{Name: killed, Break: s.process.Kill, Mend: s.start},
		{Name: stopped, Break: func() { s.signal(syscall.SIGSTOP) }, Mend: func() { s.signal(syscall.SIGCONT) }},
		{Name: "state's disk full", Break: func() {
			_ = os.WriteFile(full, make([]byte, 2*stateSize), 0o600) // as much as fits
		}, Mend: func() { _ = os.Remove(full) }},
		{Name: noDescriptors, Break: func() {
			limit := unix.Rlimit{Cur: 12}
			if err := unix.Prlimit(s.process.PID, unix.RLIMIT_NOFILE, nil, &before); err != nil {
				s.t.Error(err)
			}
			limit.Max = before.Max
			if err := unix.Prlimit(s.process.PID, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
				s.t.Error(err)
			}
		}, Mend: func() {
			if err := unix.Prlimit(s.process.PID, unix.RLIMIT_NOFILE, &before, nil); err != nil {
				s.t.Error(err)
			}
		}},
		{Name: "reload", Break: func() { s.signal(syscall.SIGHUP) }, Mend: func() {}},
	}
}

const (
	// killed ends the life of the process, with which counters begin anew that are not kept.
	killed        = "exporter killed"
	stopped       = "exporter stopped and continued"
	noDescriptors = "no file descriptors"
)

func (s *subject) signal(signal syscall.Signal) {
	if err := s.process.Signal(signal); err != nil {
		s.t.Error(err)
	}
}

// TestSoak causes one fault after the other while a scraper looks on.
func TestSoak(t *testing.T) {
	testenv.NeedRoot(t)
	l := lab.New(t)
	s := start(t, l)
	w := watch(t, s)
	w.recovered("the start", patience)
	long := *duration > 10*time.Minute // make soak
	if long {
		time.Sleep(time.Minute) // caches fill and buffers grow
	}
	before := w.resources()

	t.Logf("seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	var pending []lab.Fault
	caused := map[string]int{}
	for begun := time.Now(); time.Since(begun) < *duration && !t.Failed(); {
		if len(pending) == 0 { // each once before any comes again
			pending = append(append(pending, l.Faults...), s.faults()...)
			random.Shuffle(len(pending), func(i, j int) { pending[i], pending[j] = pending[j], pending[i] })
		}
		f := pending[0]
		pending = pending[1:]
		caused[f.Name]++
		if f.Name == killed {
			w.newLife()
			f.Break = s.process.Kill
		}
		w.during(f.Name)
		f.Break()
		time.Sleep(time.Duration(500+random.IntN(2500)) * time.Millisecond)
		if f.Name != stopped { // which gives nothing away, and would be waited for page after page
			w.leaks(l)
		}
		f.Mend()
		w.recovered(f.Name, slack)
		w.stateValid()
	}
	w.leaks(l)
	w.exact(l)
	for _, page := range w.pages {
		if !w.seen[page] {
			t.Errorf("%s has never been searched for secrets", page)
		}
	}
	w.stop()
	after := w.resources()
	p99 := quantile(w.able(), 0.99)
	if p99 > hung {
		t.Errorf("p99 of /metrics is %s: something holds scrapes up", p99)
	}
	if long && p99 > quick { // in three minutes beside other tests it says nothing
		t.Errorf("p99 of /metrics is %s, want at most %s", p99, quick)
	}
	t.Log(w.recoverySummary())
	if before.memory > small || after.memory > small {
		t.Errorf("resident: before %s, after %s, want at most %.0f MB", before, after, small/1e6)
	}
	t.Logf("%d kinds of faults, %d faults; %s", len(caused), sum(caused), w.summary())
	t.Logf("before %s; after %s", before, after)
	if after.goroutines > before.goroutines+20 || after.files > before.files+20 || after.memory > 1.5*before.memory+20e6 {
		t.Errorf("something grows: before %s, after %s", before, after)
	}
}

func sum(counts map[string]int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}

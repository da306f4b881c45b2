package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// hostProc is a /proc for node_exporter's --path.procfs: what a test cannot do to a machine that
// others use (no memory, no processor, a process killed by the kernel) it writes there. The mounts
// are the real ones.
type hostProc struct {
	t    *testing.T
	dir  string
	idle atomic.Int64 // percent, of both processors
}

func newHostProc(t *testing.T) *hostProc {
	t.Helper()
	p := &hostProc{t: t, dir: t.TempDir()}
	if err := os.Symlink("/proc/self", filepath.Join(p.dir, "1")); err != nil {
		t.Fatal(err)
	}
	p.memory(8_000_000)
	p.arc(8_000_000_000)
	p.kills(3)
	p.idle.Store(80)
	if err := p.put("stat", statOf(0, 0)); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		p.work(stop)
	}()
	t.Cleanup(func() { close(stop); <-stopped })
	return p
}

// work lets the processors work: /proc/stat counts in hundredths of a second.
func (p *hostProc) work(stop chan struct{}) {
	var idle, user float64
	last := time.Now()
	for {
		select {
		case <-stop:
			return
		case now := <-time.After(100 * time.Millisecond):
			ticks := now.Sub(last).Seconds() * 100
			last = now
			idle += ticks * float64(p.idle.Load()) / 100
			user += ticks * float64(100-p.idle.Load()) / 100
			if err := p.put("stat", statOf(user, idle)); err != nil {
				p.t.Error(err)
				return
			}
		}
	}
}

// statOf is /proc/stat of two processors: user nice system idle iowait irq softirq steal guest
// guest_nice, see proc(5).
func statOf(user, idle float64) string {
	line := func(name string, n float64) string {
		return fmt.Sprintf("%s %.0f 0 0 %.0f 0 0 0 0 0 0\n", name, n*user, n*idle)
	}
	return line("cpu ", 2) + line("cpu0", 1) + line("cpu1", 1) +
		"intr 1\nctxt 1\nbtime 1700000000\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n"
}

// memory sets what is available of 16 GB, in kB.
func (p *hostProc) memory(available int) {
	p.must("meminfo", fmt.Sprintf("MemTotal: 16000000 kB\nMemFree: 500000 kB\nMemAvailable: %d kB\n", available))
}

// arc sets the size of the cache of ZFS in bytes, of which 1 GB stays.
func (p *hostProc) arc(size int) {
	p.must("spl/kstat/zfs/arcstats", fmt.Sprintf(
		"13 1 0x01 2 544 1 1\nname                            type data\nsize                            4    %d\nc_min                           4    1000000000\n", size))
}

func (p *hostProc) kills(n int) { p.must("vmstat", fmt.Sprintf("pgpgin 1\noom_kill %d\n", n)) }

func (p *hostProc) must(name, content string) {
	p.t.Helper()
	if err := p.put(name, content); err != nil {
		p.t.Fatal(err)
	}
}

// put replaces a file at once: node_exporter must not read half of it.
func (p *hostProc) put(name, content string) error {
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// hostDisks are real file systems on loop devices in a mount namespace: data and spare of 48 MB,
// small with few inodes, lost for what gets hidden.
func hostDisks(t *testing.T) (*testenv.Namespace, string) {
	t.Helper()
	testenv.Need(t, "mkfs.ext4")
	dir := t.TempDir()
	n := testenv.StartNamespace(t, fmt.Sprintf(`
cd %q
disk() {
	truncate -s 48M $1.img
	mkfs.ext4 -q -m 0 $2 $1.img
	mkdir -p $3
	mount -o loop $1.img $3
}
disk data "" data
disk spare "" spare
disk small "-N 256" small
disk lost "" lost/disk
mkdir bind
mount --bind data bind
mount -o remount,ro,bind bind
`, dir))
	return n, dir
}

// except is a regular expression of RE2 for every path that is not below prefix, for
// --collector.filesystem.mount-points-exclude.
func except(prefix string) string {
	alternatives := make([]string, 0, len(prefix))
	for i := 1; i < len(prefix); i++ {
		alternatives = append(alternatives, fmt.Sprintf("%s($|[^%s])", regexp.QuoteMeta(prefix[:i]), regexp.QuoteMeta(prefix[i:i+1])))
	}
	return "^(" + strings.Join(alternatives, "|") + ")"
}

func startNode(t *testing.T, n *testenv.Namespace, proc, disks string) *testenv.SocketExporter {
	t.Helper()
	args := []string{
		"--path.procfs=" + proc, "--collector.filesystem.mount-points-exclude=" + except(disks),
		"--collector.disable-defaults",
	}
	for _, name := range []string{"cpu", "filesystem", "meminfo", "netclass", "time", "vmstat", "zfs"} {
		args = append(args, "--collector."+name)
	}
	return testenv.StartSocketExporter(t, n, "prometheus-node-exporter", args...)
}

// TestSystem takes a host through the faults of system_alerts.yml. node_exporter, file systems
// and what happens to them are real; processor, memory and the OOM killer are files.
func TestSystem(t *testing.T) {
	t.Parallel()
	proc := newHostProc(t)
	n, dir := hostDisks(t)
	node := startNode(t, n, proc.dir, dir)
	h := New(t, Options{
		Rules:   []string{"system_alerts", "network_alerts"},
		Targets: map[string]string{"node": node.Address},
		Fakes: map[string]string{
			"HighCPUUsage": "/proc/stat", "HighMemoryUsage": "/proc/meminfo, arcstats", "OutOfMemoryKill": "/proc/vmstat",
		},
	})
	h.waitValue(`count(node_filesystem_avail_bytes{fstype="ext4"})`, 5) // data twice
	h.waitValue(`count(rate(node_cpu_seconds_total{mode="idle"}[5s]) > 0.5)`, 2)
	h.ExactlyFiring()
	device := func(mount string) map[string]string {
		t.Helper()
		found := h.Query(fmt.Sprintf(`node_filesystem_readonly{mountpoint=%q}`, filepath.Join(dir, mount)))
		if len(found) != 1 {
			t.Fatalf("%s: %v", mount, found)
		}
		return map[string]string{"device": found[0].Labels["device"]}
	}
	in := func(script string) { t.Helper(); n.Run(t, fmt.Sprintf("cd %q\n%s", dir, script)) }

	cpu, memory, oom := Alert{Name: "HighCPUUsage"}, Alert{Name: "HighMemoryUsage"}, Alert{Name: "OutOfMemoryKill"}
	low, inodes := Alert{"DiskSpaceLow", device("data")}, Alert{"InodesLow", device("small")}
	readonly, unreadable := Alert{"FilesystemReadOnly", device("spare")}, Alert{"FilesystemUnreadable", device("lost/disk")}
	proc.kills(4)
	h.WaitFiring(oom.Name, nil)
	h.ExactlyFiring(oom)

	proc.idle.Store(4)
	proc.memory(1_000_000)                                                                               // with 7 GB that ZFS gives back: no fault yet
	in(`head -c $(($(df --output=avail --block-size=1 data | tail -1) * 84 / 100)) /dev/zero >data/log`) // low by its trend
	in(`i=0; while (: >small/$i) 2>&-; do i=$((i+1)); done; test $i -gt 100`)
	in(`mount -o remount,ro spare`)
	in(`mount -t tmpfs tmpfs lost`)
	h.WaitResolved(oom.Name, nil) // its window has passed
	faults := []Alert{cpu, low, inodes, readonly, unreadable}
	for _, alert := range faults {
		h.WaitFiring(alert.Name, alert.Labels)
	}
	h.ExactlyFiring(faults...)
	proc.arc(1_100_000_000)
	h.WaitFiring(memory.Name, nil)
	faults = append(faults, memory)
	h.ExactlyFiring(faults...)

	proc.idle.Store(80)
	proc.memory(8_000_000)
	in("rm data/log; rm small/[0-9]*; mount -o remount,rw spare; umount lost")
	for _, alert := range faults {
		h.WaitResolved(alert.Name, alert.Labels)
	}
	h.ExactlyFiring()

	// Nearly full, while memory cannot be read at all.
	critical, blind := Alert{"DiskSpaceCritical", low.Labels}, Alert{"NodeCollectorFailing", map[string]string{"collector": "meminfo"}}
	in("head -c 100M /dev/zero >data/log 2>&- || true")
	if err := os.Remove(filepath.Join(proc.dir, "meminfo")); err != nil {
		t.Fatal(err)
	}
	for _, alert := range []Alert{critical, blind, low} {
		h.WaitFiring(alert.Name, alert.Labels)
	}
	h.ExactlyFiring(critical, blind, low)
	in("rm data/log")
	proc.memory(8_000_000)
	for _, alert := range []Alert{critical, blind, low} {
		h.WaitResolved(alert.Name, alert.Labels)
	}

	down := Alert{Name: "NodeExporterDown"}
	node.Stop()
	h.WaitFiring(down.Name, nil)
	h.ExactlyFiring(down)
	node.Start(t)
	h.WaitResolved(down.Name, nil)
	h.ExactlyFired(append(faults, oom, critical, blind, down)...)
}

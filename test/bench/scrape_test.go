// Package bench measures what a scrape costs, as ratios within one run against
// the ways that it replaces. Run it by make bench; nothing here asserts a speed.
package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// BenchmarkScrape compares a scrape of the systemd and criticalservice
// collectors (a) with a shell script of three systemctl calls a unit, as the
// socat exporter forked them, without socat's own cost, and (b) with a poll of
// all properties of all units over D-Bus, as other exporters do, without what
// it costs PID 1 and the bus. CPU is user and system time of the process, or
// of the script and its children.
func BenchmarkScrape(b *testing.B) {
	for _, units := range []int{15, 200, 1000} {
		b.Run(fmt.Sprintf("units=%d", units), func(b *testing.B) { scrape(b, units) })
	}
}

func scrape(b *testing.B, units int) {
	testenv.NeedRoot(b)
	host := testenv.Systemd(b, unitFiles(units))
	b.Setenv("DBUS_SYSTEM_BUS_ADDRESS", host.BusAddress())
	script := shellCPU(b, host, units)
	poll := pollCPU(b, units)
	process, url := exporter(b)

	begun, before := []time.Duration{}, processCPU(b, process.PID)
	var size int64
	for b.Loop() {
		start := time.Now()
		size = fetch(b, url+"/metrics")
		begun = append(begun, time.Since(start))
	}
	each := (processCPU(b, process.PID) - before) / time.Duration(len(begun))
	slices.Sort(begun)

	const busy = 20 // scrapes with a changed unit before each
	before = processCPU(b, process.PID)
	for i := range busy {
		host.Systemctl([]string{"stop", "start"}[i%2], "unit-0000.service")
		fetch(b, url+"/metrics")
	}
	changed := (processCPU(b, process.PID) - before) / busy

	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	b.ReportMetric(ms(each), "cpu-ms/scrape")
	b.ReportMetric(ms(changed), "cpu-ms/changed-scrape")
	b.ReportMetric(ms(begun[len(begun)*99/100]), "p99-ms")
	b.ReportMetric(ms(script), "shell-cpu-ms")
	b.ReportMetric(ms(poll), "poll-cpu-ms")
	b.ReportMetric(float64(script)/float64(each), "shell/ours")
	b.ReportMetric(float64(poll)/float64(each), "poll/ours")
	b.ReportMetric(float64(poll)/float64(changed), "poll/ours-changed")
	b.ReportMetric(float64(size)/1024, "KiB")
	b.ReportMetric(rss(b, process.PID), "rss-MiB")
}

func unitFiles(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		name := fmt.Sprintf("unit-%04d.service", i)
		files[name] = "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
		files["default.target.wants/"+name] = ""
	}
	return files
}

// shellCPU is the CPU time of is-active, is-failed and show for each unit.
func shellCPU(b *testing.B, host *testenv.SystemdHost, units int) time.Duration {
	b.Helper()
	script := `i=0; while [ $i -lt ` + strconv.Itoa(units) + ` ]; do u=$(printf unit-%04d.service $i)
systemctl is-active $u; systemctl is-failed $u; systemctl show -p LoadState $u; i=$((i+1)); done >/dev/null`
	before := usage(b, syscall.RUSAGE_CHILDREN)
	cmd := host.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), "SYSTEMCTL_FORCE_BUS=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return usage(b, syscall.RUSAGE_CHILDREN) - before
}

// pollCPU is this process' CPU time for one read of all properties.
func pollCPU(b *testing.B, units int) time.Duration {
	b.Helper()
	ctx := context.Background()
	conn, err := dbus.NewSystemConnectionContext(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	const rounds = 3
	before := usage(b, syscall.RUSAGE_SELF)
	for range rounds {
		list, err := conn.ListUnitsByPatternsContext(ctx, nil, []string{"unit-*.service"})
		if err != nil || len(list) != units {
			b.Fatalf("%d units, %v", len(list), err)
		}
		for _, u := range list {
			if _, err := conn.GetAllPropertiesContext(ctx, u.Name); err != nil {
				b.Fatal(err)
			}
		}
	}
	return (usage(b, syscall.RUSAGE_SELF) - before) / rounds
}

// exporter builds and starts the real binary.
func exporter(b *testing.B) (*testenv.Process, string) {
	b.Helper()
	dir := b.TempDir()
	binary := testenv.Exporter(b)
	config := filepath.Join(dir, "vulcan.yml")
	if err := os.WriteFile(config, []byte("systemd: {}\ncriticalservice: {units: [\"unit-000?.service\"]}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	url := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b))
	process := testenv.Start(b, exec.Command(binary, "run", "--config.file="+config, "--storage.path="+dir, "--web.listen-address="+url))
	testenv.Eventually(b, time.Minute, func() error {
		response, err := http.Get("http://" + url + "/metrics")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && !strings.Contains(string(body), `vulcan_collector_up{collector="systemd",source="default"} 1`) {
			err = fmt.Errorf("not up:\n%.500s", body)
		}
		return err
	})
	return process, "http://" + url
}

func fetch(b *testing.B, url string) int64 {
	b.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	request.Header.Set("Accept-Encoding", "identity")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		b.Fatal(response.Status, err)
	}
	return n
}

func usage(b *testing.B, who int) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// processCPU reads the nanoseconds that all threads of a process have run,
// proc(5), schedstat: the ticks of stat are too coarse.
func processCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		b.Fatal("no threads", err)
	}
	var sum time.Duration
	for _, thread := range threads {
		content, err := os.ReadFile(thread)
		if err != nil {
			continue // a thread that has ended
		}
		n, err := strconv.ParseInt(strings.Fields(string(content))[0], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(n)
	}
	return sum
}

func rss(b *testing.B, pid int) float64 {
	b.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(content))[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * float64(os.Getpagesize()) / (1 << 20)
}

package backup

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// BenchmarkPass compares a pass over 20 jobs with their timers with the calls
// of systemctl that the script it replaces made for each: is-active and
// is-failed of the service, is-active of the timer, show of its last run. CPU
// is user and system time of this process, or of the script and its children.
func BenchmarkPass(b *testing.B) {
	const count = 20
	files := map[string]string{}
	for i := range count {
		name := fmt.Sprintf("restic-backups-%02d", i)
		files[name+".service"] = oneshot + "ExecStart=/bin/true\n"
		files[name+".timer"] = daily
		files["default.target.wants/"+name+".timer"] = ""
	}
	h := testenv.Systemd(b, files)
	b.Setenv("DBUS_SYSTEM_BUS_ADDRESS", h.BusAddress())
	script := exec.Command("sh", "-c", `for u in $(seq -f restic-backups-%02g 0 19); do
systemctl is-active $u; systemctl is-failed $u; systemctl is-active $u.timer
systemctl show $u --property=ExecMainExitTimestampMonotonic; done >/dev/null; true`)
	script.Env = append(os.Environ(), "SYSTEMCTL_FORCE_BUS=1")
	if out, err := script.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	shell := cpu(b, syscall.RUSAGE_CHILDREN) // the script and no other child

	s := collectortest.Load(b, Definition(), `jobs: [{units: "restic-backups-*.service"}]`)[0]
	env := collectortest.Env(b)
	env.Now = time.Now
	c, err := s.New(env)
	if err != nil {
		b.Fatal(err)
	}
	defer c.(collector.Closer).Close()
	pass := func() {
		out := s.Batch()
		if err := c.Collect(b.Context(), out); err != nil || out.Series() < count {
			b.Fatal(out.Series(), err)
		}
	}
	pass()
	before, n := cpu(b, syscall.RUSAGE_SELF), 0
	for b.Loop() {
		pass()
		n++
	}
	each := (cpu(b, syscall.RUSAGE_SELF) - before) / time.Duration(n)
	b.ReportMetric(float64(each)/1e6, "cpu-ms/pass")
	b.ReportMetric(float64(shell)/1e6, "shell-cpu-ms")
	b.ReportMetric(float64(shell)/float64(each), "shell/ours")
}

func cpu(b *testing.B, who int) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

package deb_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// machine is a booted systemd over a copy-on-write view of this machine's files, dpkg's database
// among them: what is installed there is installed nowhere else.
type machine struct {
	*testenv.SystemdHost
	t *testing.T
}

func boot(t *testing.T) *machine {
	t.Helper()
	m := &machine{testenv.Systemd(t, nil), t}
	m.run(`
layer=$1/layer
mkdir -p $layer && mount -n -t tmpfs -o mode=755 tmpfs $layer
for d in /etc /usr /var/lib /var/cache; do
	mkdir -p $layer$d/{upper,work}
	mount -n -t overlay overlay -o lowerdir=$d,upperdir=$layer$d/upper,workdir=$layer$d/work $d
done
mount -n --bind $1/units /etc/systemd/system
mount -n --bind $1/var /var/lib/systemd
mount -n --make-rshared /
rm -f /usr/sbin/policy-rc.d
`, m.Dir)
	// This systemd reads units below /etc only, so it gets the package's there as well.
	for _, name := range []string{"vulcan-exporter.service", "vulcan-exporter@.service"} {
		m.WriteUnit(name, read(t, "../systemd/"+name))
	}
	return m
}

func (m *machine) run(script string, args ...string) string {
	m.t.Helper()
	cmd := m.Command("bash", append([]string{"-euc", script, "bash"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("%v: %s\n%s", err, script, out)
	}
	return string(out)
}

func (m *machine) pid(unit string) string {
	m.t.Helper()
	return strings.TrimSpace(m.Systemctl("show", "--value", "--property=MainPID", unit))
}

// answers waits until the page has the line.
func (m *machine) answers(address, line string) {
	m.t.Helper()
	testenv.Eventually(m.t, 30*time.Second, func() error {
		response, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		page, err := io.ReadAll(response.Body)
		if err == nil && !strings.Contains(string(page), line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			err = fmt.Errorf("%s: no line %s in:\n%s", response.Status, line, regexp.MustCompile(`(?m)^`+name+`[{ ].*`).FindAllString(string(page), -1))
		}
		return err
	})
}

const (
	mainUnit, rootUnit = "vulcan-exporter.service", "vulcan-exporter@root.service"
	// What no process knows that did not see it and has no state: systemd tells the last run only.
	seen     = `backup_failures_total{source="default",name="job.service",backup="job"} 3`
	enabled  = "/etc/systemd/system/multi-user.target.wants/vulcan-exporter.service"
	leavings = enabled + ` /usr/bin/vulcan_exporter /etc/vulcan_exporter.yml /etc/vulcan_exporter /etc/default/vulcan-exporter*
		/var/lib/vulcan_exporter* /var/cache/vulcan_exporter*`
)

// onMachine is what an operator does: dpkg -i, an instance for root, an upgrade, a removal, a purge.
// Both services run after the first two, the upgrade with another process and the old state, and
// are gone after the removal.
func onMachine(t *testing.T, first, second string) {
	t.Helper()
	m := boot(t)
	m.WriteUnit("job.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
	// Another port than the default: other exporters may run on this machine.
	units := map[string]string{}
	for unit, defaults := range map[string]string{mainUnit: "vulcan-exporter", rootUnit: "vulcan-exporter-root"} {
		units[unit] = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
		m.run(`printf 'ARGS=--web.listen-address=%s\n' "$1" >/etc/default/"$2"`, units[unit], defaults)
	}

	m.run(`dpkg --force-confold -i "$1"`, first)
	m.run("ls " + enabled)
	m.run(`tee /etc/vulcan_exporter.yml /etc/vulcan_exporter/root.yml <<<'backup: {interval: 1s, jobs: [{units: job.service}]}'
		install -m 0600 /dev/stdin /etc/vulcan_exporter/credentials/token <<<secret`)
	m.Systemctl("reload", mainUnit)
	m.Systemctl("start", rootUnit)
	if user := m.run(`stat -c %U /proc/"$1"`, m.pid(mainUnit)); user != "vulcan-exporter\n" {
		t.Errorf("it runs as %s", user)
	}
	for _, address := range units {
		m.answers(address, `backup_failures_total{source="default",name="job.service",backup="job"} 0`)
	}
	for range 3 {
		if out, err := m.TrySystemctl("start", "job.service"); err == nil {
			t.Fatalf("the job succeeds: %s", out)
		}
	}
	pids := map[string]string{}
	for unit, address := range units {
		m.answers(address, seen)
		pids[unit] = m.pid(unit)
	}

	m.run(`dpkg --force-confold -i "$1"`, second)
	for unit, address := range units {
		m.answers(address, seen)
		if again := m.pid(unit); again == pids[unit] || again == "0" {
			t.Errorf("after the upgrade the process of %s is %s, was %s", unit, again, pids[unit])
		}
	}

	m.run("dpkg --remove vulcan-exporter")
	for unit, address := range units {
		if _, err := http.Get("http://" + address + "/-/ready"); err == nil {
			t.Errorf("%s answers after the removal", unit)
		}
	}
	m.run("ls -d /var/lib/vulcan_exporter /var/lib/vulcan_exporter@root /etc/vulcan_exporter/credentials/token")
	m.run("dpkg --purge vulcan-exporter")
	if left := m.run("ls -d " + strings.Join(strings.Fields(leavings), " ") + " 2>/dev/null || true"); left != "" {
		t.Errorf("a purge leaves %s", left)
	}
}

package deb_test

import (
	"fmt"
	"net/http"
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
	m.WriteUnit("vulcan-exporter.service", read(t, "../systemd/vulcan-exporter.service"))
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

func (m *machine) property(name string) string {
	m.t.Helper()
	return strings.TrimSpace(m.Systemctl("show", "--value", "--property="+name, "vulcan-exporter.service"))
}

// answers waits for the service's page.
func (m *machine) answers(address string) {
	m.t.Helper()
	testenv.Eventually(m.t, time.Minute, func() error {
		response, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("ready: %s", response.Status)
		}
		return nil
	})
}

// onMachine is what an operator does: dpkg -i, an upgrade, a purge. The service runs after the
// first two, as another process, and is gone after the last.
func onMachine(t *testing.T, first, second string) {
	t.Helper()
	m := boot(t)
	// Another port than the default: other exporters may run on this machine.
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	m.run(`printf 'ARGS=--web.listen-address=%s\n' "$1" >/etc/default/vulcan-exporter`, address)

	m.run(`dpkg --force-confold -i "$1"`, first)
	m.answers(address)
	pid := m.property("MainPID")
	if links := m.run("ls /etc/systemd/system/multi-user.target.wants"); !strings.Contains(links, "vulcan-exporter.service") {
		t.Errorf("the service is not enabled: %s", links)
	}
	if user := m.run(`stat -c %U /proc/"$1"`, pid); user != "vulcan-exporter\n" {
		t.Errorf("it runs as %s", user)
	}

	m.run(`dpkg --force-confold -i "$1"`, second)
	m.answers(address)
	if again := m.property("MainPID"); again == pid || again == "0" {
		t.Errorf("after the upgrade the process is %s, was %s", again, pid)
	}
	m.run("dpkg --purge vulcan-exporter")
	if _, err := http.Get("http://" + address + "/-/ready"); err == nil {
		t.Error("it answers after a purge")
	}
	if left := m.run("ls -d /usr/bin/vulcan_exporter /var/lib/vulcan_exporter /etc/vulcan_exporter.yml /etc/systemd/system/multi-user.target.wants/vulcan-exporter.service 2>/dev/null || true"); left != "" {
		t.Errorf("a purge leaves %s", left)
	}
}

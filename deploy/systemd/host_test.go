// Package systemd_test installs the shipped units on a real systemd and runs them.
package systemd_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// limit bounds every wait; what is waited for takes a second or two.
const limit = time.Minute

// host is a machine with the exporter installed: /etc, /usr/bin, /home and /var are the real
// ones beneath, but what is written there is seen by this systemd alone.
type host struct {
	*testenv.SystemdHost
	t *testing.T
}

func install(t *testing.T) *host {
	t.Helper()
	h := &host{testenv.Systemd(t, nil), t}
	h.run(`
layer=$1/layer
mkdir -p $layer && mount -n -t tmpfs -o mode=755 tmpfs $layer
for d in /etc /usr/bin /home /var/lib /var/cache; do
	mkdir -p $layer$d/{upper,work}
	mount -n -t overlay overlay -o lowerdir=$d,upperdir=$layer$d/upper,workdir=$layer$d/work $d
done
mount -n --bind $1/units /etc/systemd/system
mount -n --bind $1/var /var/lib/systemd
mount -n -t tmpfs tmpfs /srv
# As a booted machine has it, and as credentials need: they are mounted by a child of PID 1.
mount -n --make-rshared /
install -m 0755 $2 /usr/bin/vulcan_exporter
systemd-sysusers $3/sysusers.d/vulcan-exporter.conf
systemd-tmpfiles --create $3/tmpfiles.d/vulcan-exporter.conf
`, h.Dir, testenv.Exporter(t), folder(t))
	for _, name := range []string{"vulcan-exporter.service", "vulcan-exporter.socket", "vulcan-exporter@.service"} {
		h.WriteUnit(name, read(t, name))
	}
	return h
}

func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// run runs a bash script on the host and returns what it prints.
func (h *host) run(script string, args ...string) string {
	h.t.Helper()
	cmd := h.Command("bash", append([]string{"-euc", script, "bash"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("%v: %s\n%s", err, script, out)
	}
	return string(out)
}

// file writes a file on the host.
func (h *host) file(path, content string) {
	h.t.Helper()
	h.run(`mkdir -p "$(dirname "$1")"; printf '%s' "$2" >"$1"`, path, content)
}

// use installs one of the examples as a drop-in of a unit.
func (h *host) use(unit, example string) {
	h.t.Helper()
	h.WriteUnit(unit+".d/"+example, read(h.t, filepath.Join("examples", example)))
}

func (h *host) property(unit, name string) string {
	h.t.Helper()
	return strings.TrimSpace(h.Systemctl("show", "--value", "--property="+name, unit))
}

// like are the lines of the page that could have been meant.
func like(line, page string) string {
	name, _, _ := strings.Cut(line, "_")
	return strings.Join(regexp.MustCompile(`(?m)^`+name+`_[a-z_]+\{[^}]*source="[^\n]*`).FindAllString(page, -1), "\n")
}

// metrics waits until the page at the address matches all expressions, each for a whole line.
func (h *host) metrics(address string, lines ...string) {
	h.t.Helper()
	testenv.Eventually(h.t, limit, func() error {
		page, err := get(address)
		if err != nil {
			return err
		}
		for _, line := range lines {
			if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(page) {
				return fmt.Errorf("no line %s in:\n%s", line, like(line, page))
			}
		}
		return nil
	})
}

func get(address string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + address + "/metrics")
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, page)
	}
	return string(page), err
}

func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
}

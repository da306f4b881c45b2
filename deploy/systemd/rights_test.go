package systemd_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// things makes what collectors look at, owned as on a careful host.
const things = `
printf '%s\n' 'g ssl-cert - -' 'u alice - "" /home/alice' | systemd-sysusers -
cd /srv
mkdir -m 0755 certs && cd certs
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=www -keyout www.key -out www.crt 2>/dev/null
chmod 0644 www.crt; chmod 0640 www.key; chgrp ssl-cert www.key
mkdir -m 0700 /srv/dumps && printf '%s\n' '--' '-- PostgreSQL database dump' '--' '' 'SELECT 1;' '--' '-- PostgreSQL database dump complete' '--' >/srv/dumps/all.sql
export RESTIC_PASSWORD=$1
for r in open closed; do
	restic --no-cache -q init -r /srv/$r && restic --no-cache -q backup -r /srv/$r /srv/certs
done
chown -R vulcan-exporter /srv/open && chmod -R go= /srv/open /srv/closed
mkdir -p /home/alice/Mail/office/INBOX/{new,cur,tmp} && touch /home/alice/Mail/office/INBOX/new/1.a
chown -R alice /home/alice && chmod -R go= /home/alice
`

const resticPassword = "nothing but words"

// everything is a configuration that needs more rights than most users have.
const everything = `
criticalservice: {units: [dbus.service]}
systemd: {interval: 1s, resources: true}
backup: {interval: 1s, jobs: [{units: dbus.service}], artifacts: [{name: dump, path: "/srv/dumps/*.sql", format: pg_dump, max_age: 1h}]}
certificate: {interval: 1s, files: [{type: nginx, paths: ["/srv/certs/*.crt"]}]}
mbsync: {interval: 1s, accounts: [{units: mbsync-office.service, maildir: "/home/alice/Mail/{account}"}]}
container: {interval: 1s, sources: [{name: default, socket: /srv/podman/podman.sock}]}
restic:
  interval: 5s
  password_file: ${CREDENTIALS_DIRECTORY}/restic-password
  cache_dir: ${CACHE_DIRECTORY}
  sources: [{name: open, location: /srv/open}, {name: closed, location: /srv/closed}]
`

// TestRights runs collectors as the users that docs/security.md names: what the unprivileged
// service sees and what it says of the rest, and what a group, root's instance and a user's
// instance see more.
func TestRights(t *testing.T) {
	testenv.Need(t, "restic", "openssl")
	t.Parallel()
	h := install(t)
	h.run(things, resticPassword)
	h.engine()
	credentials := "mkdir -p /etc/vulcan_exporter/credentials\n"
	for _, match := range regexp.MustCompile(`(?m)^LoadCredential=\S+:(\S+)$`).FindAllStringSubmatch(read(t, "examples/credentials.conf"), -1) {
		credentials += fmt.Sprintf("printf '%%s\\n' \"$1\" >%s\n", match[1])
	}
	h.run(credentials+"chmod 0600 /etc/vulcan_exporter/credentials/*", resticPassword)
	h.WriteUnit("mbsync-office.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")

	t.Run("service", func(t *testing.T) {
		h := &host{h.SystemdHost, t}
		address := h.begin("vulcan-exporter.service", "/etc/vulcan_exporter.yml", "/etc/default/vulcan-exporter", everything)
		h.privileges("vulcan-exporter.service", "0000000000000000")
		h.metrics(address,
			`critical_service_active\{.*name="dbus.service"\} 1`,
			`systemd_unit_cpu_usage_seconds_total\{.*name="dbus.service"\} .*`,
			`backup_artifact_error\{.*reason="permission"\} 1`,
			`certificate_not_after_timestamp_seconds\{.*path="/srv/certs/www.crt".*\} .*`,
			`certificate_key_error\{.*reason="unreadable"\} 1`,
			`container_socket_up\{.*\} 0`,
			`mbsync_mailbox_error\{.*reason="(permission|missing)"\} 1`,
			`restic_listing_success\{repository="open"\} 1`,
			`restic_snapshots\{repository="open"\} 1`,
			`restic_listing_success\{repository="closed"\} 0`,
		)
	})
	t.Run("group", func(t *testing.T) {
		h := &host{h.SystemdHost, t}
		h.use("vulcan-exporter.service", "tls-files.conf")
		h.Systemctl("daemon-reload")
		h.Systemctl("restart", "vulcan-exporter.service")
		h.metrics(h.address("/etc/default/vulcan-exporter"), `certificate_key_matches\{.*path="/srv/certs/www.crt".*\} 1`)
		h.Systemctl("stop", "vulcan-exporter.service")
	})
	t.Run("root", func(t *testing.T) {
		h := &host{h.SystemdHost, t}
		address := h.begin("vulcan-exporter@root.service", "/etc/vulcan_exporter/root.yml", "/etc/default/vulcan-exporter-root", everything)
		h.privileges("vulcan-exporter@root.service", "0000000000000004") // CAP_DAC_READ_SEARCH
		h.metrics(address,
			`critical_service_active\{.*name="dbus.service"\} 1`,
			`backup_artifact_complete\{.*backup="dump"\} 1`,
			`certificate_key_matches\{.*path="/srv/certs/www.crt".*\} 1`,
			`container_socket_up\{.*\} 1`,
			`mbsync_mailbox_messages\{.*mailbox="INBOX"\} 1`,
			`restic_listing_success\{repository="closed"\} 1`,
		)
		h.Systemctl("stop", "vulcan-exporter@root.service")
	})
	t.Run("user", func(t *testing.T) {
		h := &host{h.SystemdHost, t}
		address := h.begin("vulcan-exporter@alice.service", "/etc/vulcan_exporter/alice.yml", "/etc/default/vulcan-exporter-alice",
			"mbsync: {interval: 1s, accounts: [{units: mbsync-office.service, maildir: \"/home/alice/Mail/{account}\"}]}\n")
		h.privileges("vulcan-exporter@alice.service", "0000000000000000")
		h.metrics(address, `mbsync_mailbox_messages\{.*mailbox="INBOX"\} 1`)
		h.Systemctl("stop", "vulcan-exporter@alice.service")
	})
}

// begin configures and starts a unit with the restic credential and returns its address.
func (h *host) begin(unit, config, defaults, content string) string {
	h.t.Helper()
	address := freeAddress(h.t)
	h.file(config, content)
	h.run("chmod 0644 $1", config)
	h.file(defaults, "ARGS=--web.listen-address="+address+"\n")
	h.use(unit, "credentials.conf")
	h.Systemctl("daemon-reload")
	h.Systemctl("start", unit)
	return address
}

func (h *host) address(defaults string) string {
	h.t.Helper()
	_, address, _ := strings.Cut(strings.TrimSpace(h.run("cat $1", defaults)), "listen-address=")
	return address
}

// privileges of the running process, proc_pid_status(5).
func (h *host) privileges(unit, effective string) {
	h.t.Helper()
	status := h.run(`cat /proc/"$1"/status`, h.property(unit, "MainPID"))
	const filtered = "2" // SECCOMP_MODE_FILTER
	for field, want := range map[string]string{"CapEff": effective, "CapAmb": "0000000000000000", "NoNewPrivs": "1", "Seccomp": filtered} {
		if !regexp.MustCompile(`(?m)^` + field + `:\s+` + want + `$`).MatchString(status) {
			h.t.Errorf("%s: %s is not %s in:\n%s", unit, field, want, status)
		}
	}
}

// engine puts a socket like Podman's at /srv/podman, for root alone. It has no containers: what
// is tested is who may connect; the real engine is met by the collector's own tests.
func (h *host) engine() {
	h.t.Helper()
	dir := filepath.Join(h.Dir, "podman")
	if err := os.Mkdir(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "podman.sock"))
	if err != nil {
		h.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/events") {
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, "[]")
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	h.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	h.run("mkdir -m 0700 /srv/podman; mount -n --bind $1 /srv/podman", dir)
}

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/certificate/zoo"
	"vulcan.lan/vulcan_exporter/collectors/restic/restictest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// units are services, jobs and timers of a real systemd, and containers of a real Podman.
func (l *Lab) units() {
	l.t.Helper()
	const job = "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=%s\n"
	units := map[string]string{
		"web.service":                        "[Service]\nExecStart=/bin/sleep infinity\nRestart=always\n",
		"default.target.wants/web.service":   "",
		"default.target.wants/timers.target": "",
		"timers.target.wants/tick.timer":     "",
		"tick.timer":                         "[Timer]\nOnCalendar=*:*:0/2\nAccuracySec=1ms\n",
		"tick.service":                       fmt.Sprintf(job, "/bin/true"),
	}
	for _, name := range []string{"restic-backups-Home", "mbsync-johnw"} {
		units[name+".service"] = fmt.Sprintf(job, "/bin/true")
		units[name+".timer"] = "[Unit]\nDefaultDependencies=no\n[Timer]\nOnCalendar=daily\n"
	}
	host := testenv.Systemd(l.t, units)
	host.Systemctl("start", "restic-backups-Home.timer", "restic-backups-Home.service", "mbsync-johnw.timer", "mbsync-johnw.service")
	l.Env = append(l.Env, "DBUS_SYSTEM_BUS_ADDRESS="+host.BusAddress())
	l.add("systemd: {}\ncriticalservice: {units: [web.service]}\n")
	l.add("backup: {interval: 2s, jobs: [{units: \"restic-backups-*.service\", expected_interval: 1d}]}\n")
	l.add("mbsync: {interval: 2s, accounts: [{units: \"mbsync-*.service\", expected_interval: 1d}]}\n")
	l.fault("bus stopped", host.StopBus, host.StartBus)
	l.fault("bus hangs", func() { host.SignalBus(stopSignal) }, func() { host.SignalBus(contSignal) })
	l.fault("service stopped", func() { host.Systemctl("stop", "web.service") }, func() { host.Systemctl("start", "web.service") })

	podman := testenv.StartPodman(l.t)
	run := func() { podman.Run(l.t, "wallabag", []string{"/bin/sleep", "100000"}, nil) }
	run()
	l.add("container: {interval: 2s, timeout: 5s, sources: [{name: system, socket: %q, expected: [wallabag]}]}\n", podman.Socket)
	l.fault("container removed", func() { podman.Remove(l.t, "wallabag") }, run)
}

// files are certificates and a restic repository.
func (l *Lab) files() {
	l.t.Helper()
	repository := restictest.New(l.t, restictest.Debian(l.t), "v1")
	repository.Backup("vulcan", time.Now(), []byte(strings.Repeat("something to lose\n", 1000)))
	password := l.secret("restic", resticPassword)
	repository.Run("key", "add", "--new-password-file", password)
	l.add("restic: {interval: 5s, timeout: 20s, sources: [{name: Home, location: %q, password_file: %q, environment_file: %q, cache_dir: %q}]}\n",
		repository.Dir, password, l.environment("restic.env", "AWS_SECRET_ACCESS_KEY", resticBackend), l.path("restic-cache"))
	l.renamed("restic repository away", repository.Dir)
}

// web is an nginx with a certificate of a private authority, and a password-protected store of
// another one.
func (l *Lab) web() {
	l.t.Helper()
	now := time.Now()
	root := zoo.Root(l.t, "Root")
	leaf := root.Issue(l.t, "web.test", zoo.Lifetime(now.Add(-time.Hour), now.Add(200*24*time.Hour)))
	dir := l.path("tls")
	ca := zoo.Write(l.t, dir, "root.pem", zoo.PEM(root))
	cert := zoo.Write(l.t, dir, "web.crt", zoo.PEM(leaf))
	zoo.Write(l.t, dir, "web.key", leaf.KeyPEM(l.t))
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(l.t))
	site := fmt.Sprintf("server { listen %s ssl; server_name web.test; ssl_certificate %s; ssl_certificate_key %s; return 204; }\n",
		address, cert, filepath.Join(dir, "web.key"))
	nginx, running := testenv.StartNginx(l.t, site), true
	reload := func() {
		if running {
			nginx.Reload(l.t)
		}
	}
	store, other := l.store(dir, "mail", root, storePassword), l.store(dir, "other", root, "another password")
	unknown, err := os.ReadFile(other)
	if err != nil {
		l.t.Fatal(err)
	}
	l.add("certificate: {interval: 2s, timeout: 10s, files: [{type: nginx, paths: [%q]}, {type: mail, paths: [%q], password_file: %q}], roots: [%q], endpoints: [{name: web, address: %q, server_name: web.test, serves: %q}]}\n",
		cert, store, l.secret("pkcs12", storePassword), ca, address, cert)
	l.fault("nginx stopped", func() { nginx.Stop(); running = false }, func() { nginx, running = testenv.StartNginx(l.t, site), true })
	expired := root.IssueFor(l.t, leaf.Key, "web.test", zoo.Lifetime(now.Add(-90*24*time.Hour), now.Add(-time.Hour)))
	l.fault("certificate expired", func() { zoo.Write(l.t, dir, "web.crt", zoo.PEM(expired)); reload() },
		func() { zoo.Write(l.t, dir, "web.crt", zoo.PEM(leaf)); reload() })
	l.replaced("PKCS#12 with another password", store, string(unknown))
	l.replaced("certificate garbage", cert, "no certificate")
	l.renamed("certificate away", cert)
}

// store is a PKCS#12 file with a certificate and its key.
func (l *Lab) store(dir, name string, issuer *zoo.Cert, password string) string {
	l.t.Helper()
	leaf := issuer.Issue(l.t, name+".test", zoo.Lifetime(time.Now().Add(-time.Hour), time.Now().Add(200*24*time.Hour)))
	out := filepath.Join(dir, name+".p12")
	zoo.OpenSSL(l.t, "pkcs12", "-export", "-in", zoo.Write(l.t, dir, name+".crt", zoo.PEM(leaf)),
		"-inkey", zoo.Write(l.t, dir, name+".key", leaf.KeyPEM(l.t)), "-out", out, "-passout", "pass:"+password)
	return out
}

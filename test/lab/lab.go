// Package lab is a whole self-hosted server on loopback for tests that need everything at once:
// real systemd, PostgreSQL, Redis, nginx, Podman, restic and Loki, and what stands for LiteLLM,
// Home Assistant, OPNsense, Technitium and ZFS; the configuration of vulcan_exporter over all of it; and the
// faults that can be caused in it and mended again.
package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
	"vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

// Interval is that of most sources, in seconds.
const Interval = 2

// Lab is the host.
type Lab struct {
	// Env is what the exporter needs in its environment.
	Env []string
	// Faults can be caused one at a time.
	Faults []Fault
	// Secrets are the credentials that the exporter is given: texts that nothing else has.
	Secrets []string
	// DNS is the server whose query log is read, Loki the URL of where it is sent. Quiet ends the
	// queries.
	DNS   *technitiumtest.Server
	Loki  string
	Quiet func()

	t      testing.TB
	dir    string
	config strings.Builder
}

// Fault is something that breaks and can be mended.
type Fault struct {
	Name string
	// Break and Mend may block for some seconds.
	Break, Mend func()
}

// New starts the host.
func New(t testing.TB) *Lab {
	t.Helper()
	l := &Lab{t: t, dir: t.TempDir()}
	l.databases()
	l.units()
	l.files()
	l.web()
	l.appliances()
	l.dns()
	return l
}

// Config is the configuration over all of it.
func (l *Lab) Config() string { return l.config.String() }

func (l *Lab) add(format string, args ...any) { fmt.Fprintf(&l.config, format, args...) }

func (l *Lab) fault(name string, broken, mended func()) {
	l.Faults = append(l.Faults, Fault{name, broken, mended})
}

// stops adds the faults of a server: it ends, and it hangs.
func (l *Lab) stops(name string, stop, start func(), process func() *testenv.Process) {
	l.fault(name+" stopped", stop, start)
	l.fault(name+" hangs", func() { l.signal(process(), stopSignal) }, func() { l.signal(process(), contSignal) })
}

// path is a file of the host.
func (l *Lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *Lab) write(name, content string) string {
	l.t.Helper()
	path := l.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// secret writes a credential and remembers it.
func (l *Lab) secret(name, value string) string {
	l.Secrets = append(l.Secrets, value)
	return l.write("secrets/"+name, value+"\n")
}

// environment writes a file of variables, one of which is a credential.
func (l *Lab) environment(name, variable, value string) string {
	l.Secrets = append(l.Secrets, value)
	return l.write("secrets/"+name, variable+"="+value+"\n")
}

// replaced is the fault that a file holds something else for a while.
func (l *Lab) replaced(name, path, content string) {
	var before []byte
	l.fault(name, func() {
		var err error
		if before, err = os.ReadFile(path); err == nil {
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			l.t.Error(err)
		}
	}, func() {
		if err := os.WriteFile(path, before, 0o600); err != nil {
			l.t.Error(err)
		}
	})
}

// renamed is the fault that a file or folder is away for a while.
func (l *Lab) renamed(name, path string) {
	move := func(from, to string) func() {
		return func() {
			if err := os.Rename(from, to); err != nil {
				l.t.Error(err)
			}
		}
	}
	l.fault(name, move(path, path+".away"), move(path+".away", path))
}

// Package deb_test builds the Debian package, installs, upgrades and purges it with dpkg.
package deb_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// pack makes the package of a version, as `make deb` does.
func pack(t *testing.T, exporter, version string) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), version+".deb")
	cmd := exec.Command(filepath.Join(testenv.Root(t), "test/release/deb.sh"), exporter, runtime.GOARCH, version, target)
	path := "PATH=" + filepath.Dir(testenv.Tool(t, "nfpm")) + ":" + os.Getenv("PATH")
	cmd.Env = append(os.Environ(), path, "SOURCE_DATE_EPOCH=1767225600")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return target
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// TestPackage builds two versions once for all that is done with them.
func TestPackage(t *testing.T) {
	testenv.Need(t, "dpkg", "dpkg-deb", "systemd-sysusers", "systemd-tmpfiles", "deb-systemd-helper", "deb-systemd-invoke")
	testenv.NeedRoot(t)
	exporter := testenv.Exporter(t)
	first, second := pack(t, exporter, "1.0.0"), pack(t, exporter, "v1.1.0-rc1")
	t.Run("content", func(t *testing.T) {
		content(t, first)
		if !equal(t, first, pack(t, exporter, "1.0.0")) {
			t.Error("the same package is not the same file twice")
		}
	})
	t.Run("root", func(t *testing.T) { intoRoot(t, first, second) })
	t.Run("machine", func(t *testing.T) { onMachine(t, first, second) })
	t.Run("guide", func(t *testing.T) { guide(t, first) })
}

// content: what an operator needs is there without the sources, and no test of ours.
func content(t *testing.T, first string) {
	t.Helper()
	dir := t.TempDir()
	run(t, "dpkg-deb", "--extract", first, dir)
	for path, want := range map[string]string{
		"usr/bin/vulcan_exporter":                                           "ELF",
		"lib/systemd/system/vulcan-exporter@.service":                       "ExecStart=",
		"usr/share/vulcan_exporter/alerts/storage_alerts.yml":               "storage_alerts",
		"usr/share/vulcan_exporter/dashboards/overview.json":                "panels",
		"usr/share/vulcan_exporter/prometheus/prometheus.yml":               "scrape_configs:",
		"usr/share/vulcan_exporter/prometheus/legacy-names.yml":             "record:",
		"usr/share/vulcan_exporter/prometheus/targets/node/local.yml":       "targets:",
		"usr/share/vulcan_exporter/alertmanager/alertmanager.yml":           "receivers:",
		"usr/share/vulcan_exporter/alertmanager/templates/mail.tmpl":        "define",
		"usr/share/vulcan_exporter/grafana/dashboards/vulcan_exporter.yml":  "providers:",
		"usr/share/vulcan_exporter/grafana/datasources/vulcan_exporter.yml": "datasources:",
		"usr/share/vulcan_exporter/docs/migration.md":                       "# From the scripts",
		"usr/share/vulcan_exporter/docs/runbooks.md":                        "CriticalServiceDown",
		"usr/share/doc/vulcan-exporter/examples/credentials.conf":           "LoadCredential=",
		"usr/share/bash-completion/completions/vulcan_exporter":             "complete",
	} {
		if content := read(t, filepath.Join(dir, path)); !strings.Contains(content, want) {
			t.Errorf("%s has no %q", path, want)
		}
	}
	for path, want := range map[string]string{
		"usr/share/man/man1/vulcan_exporter.1.gz":    ".SH",
		"usr/share/doc/vulcan-exporter/changelog.gz": "# Changelog",
	} {
		if content := run(t, "gzip", "-dc", filepath.Join(dir, path)); !strings.Contains(content, want) {
			t.Errorf("%s has no %q", path, want)
		}
	}
	for line := range strings.Lines(run(t, "dpkg-deb", "--contents", first)) {
		if strings.Contains(line, "_test.go") || strings.Contains(line, "testdata") {
			t.Errorf("packaged: %s", line)
		}
		// Reproducible also from another checkout, where files are older or newer.
		if !strings.Contains(line, " 2026-01-01 ") && !strings.Contains(line, " 2025-12-31 ") {
			t.Errorf("not of SOURCE_DATE_EPOCH: %s", line)
		}
	}
	// postinst, under set -e, calls systemd-sysusers.
	if depends := run(t, "dpkg-deb", "--field", first, "Depends"); !strings.Contains(depends, "systemd") {
		t.Errorf("it depends on %q", depends)
	}
}

// intoRoot installs, upgrades, removes and purges in a root file system of its own, as for an image.
func intoRoot(t *testing.T, first, second string) {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"etc", "var/lib/dpkg/info", "var/lib/dpkg/updates"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644))
	// Without a root file system there is no shell to change root to: the scripts are given DPKG_ROOT.
	dpkg := func(args ...string) {
		t.Helper()
		run(t, "dpkg", append([]string{"--root=" + root, "--force-script-chrootless", "--force-confold", "--force-depends"}, args...)...)
	}
	dpkg("--install", first)
	if users := read(t, filepath.Join(root, "etc/passwd")); !strings.Contains(users, "vulcan-exporter:") {
		t.Errorf("no user vulcan-exporter in:\n%s", users)
	}
	if info, err := os.Stat(filepath.Join(root, "etc/vulcan_exporter/credentials")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("credentials: %v, %v", info, err)
	}
	config := filepath.Join(root, "etc/vulcan_exporter.yml")
	run(t, filepath.Join(root, "usr/bin/vulcan_exporter"), "check", config)

	must(t, os.WriteFile(config, []byte("systemd: {}\n"), 0o644))
	dpkg("--install", second)
	if got := read(t, config); got != "systemd: {}\n" {
		t.Errorf("the upgrade replaced the configuration by %s", got)
	}
	// The service's state, and that, the secrets and the enabling of an instance.
	kept := []string{config, filepath.Join(root, "etc/systemd/system/multi-user.target.wants/vulcan-exporter@root.service")}
	for _, dir := range []string{"var/lib/vulcan_exporter", "var/lib/vulcan_exporter@root", "var/cache/vulcan_exporter@root", "etc/vulcan_exporter/credentials"} {
		kept = append(kept, filepath.Join(root, dir))
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o700))
	}
	must(t, os.MkdirAll(filepath.Dir(kept[1]), 0o755))
	must(t, os.Symlink("/lib/systemd/system/vulcan-exporter@.service", kept[1]))
	dpkg("--remove", "vulcan-exporter")
	for _, path := range kept {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("remove took %s away: %v", path, err)
		}
	}
	dpkg("--purge", "vulcan-exporter")
	for _, path := range kept {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("purge leaves %s", path)
		}
	}
}

func equal(t *testing.T, a, b string) bool {
	t.Helper()
	return bytes.Equal([]byte(read(t, a)), []byte(read(t, b)))
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	return string(content)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

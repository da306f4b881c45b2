package release_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// TestDebVersion: what git describe says sorts in dpkg as it came about.
func TestDebVersion(t *testing.T) {
	testenv.Need(t, "dpkg")
	deb := func(described string) string {
		out, err := exec.Command(filepath.Join(testenv.Root(t), "test", "release", "debversion.sh"), described).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	inOrder := []string{"00b9b55", "v1.1.9", "v1.2.0-alpha1", "v1.2.0-beta.2", "v1.2.0-rc1", "v1.2.0-rc1-3-g00b9b55", "v1.2.0-rc2", "v1.2.0", "v1.2.0-14-g00b9b55", "v1.2.0-14-g00b9b55-dirty", "v1.2.1", "v1.10.0"}
	for i, next := range inOrder[1:] {
		older, newer := deb(inOrder[i]), deb(next)
		if out, err := exec.Command("dpkg", "--compare-versions", older, "lt", newer).CombinedOutput(); err != nil {
			t.Errorf("%s is not below %s: %v %s", older, newer, err, out)
		}
	}
	if got := deb("v1.2.0-rc1"); got != "1.2.0~rc1" {
		t.Errorf("v1.2.0-rc1 is %s", got)
	}
}

// TestMakeRelease makes a release, in a copy of the work tree, where an earlier one was made: dist
// has what docs/release.md says and nothing of before, and the checksums are of that.
func TestMakeRelease(t *testing.T) {
	testenv.Need(t, "make", "git")
	nfpm := testenv.Tool(t, "nfpm")
	dir := t.TempDir()
	sh := func(script string, args ...string) string {
		t.Helper()
		cmd := exec.Command("bash", append([]string{"-euo", "pipefail", "-c", script, "bash"}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1795000000", "MAKEFLAGS=", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	sh(`git -C "$1" ls-files -co --exclude-standard -z | tar -C "$1" --ignore-failed-read --null -T - -cf - 2>/dev/null | tar -xf - || true
		git init -q && git add -A && git -c user.name=t -c user.email=t commit -qm t
		mkdir -p .tools/bin dist && ln -s "$2" .tools/bin/nfpm
		touch dist/vulcan-exporter_0.9.0_amd64.deb dist/vulcan_exporter-v0.9.0.linux-amd64.tar.gz`, testenv.Root(t), nfpm)
	sh("make -o .tools/built/nfpm release VERSION=v1.2.0-rc1")
	want := []string{
		"vulcan-exporter_1.2.0~rc1_amd64.deb", "vulcan-exporter_1.2.0~rc1_arm64.deb", "vulcan_exporter-v1.2.0-rc1.linux-amd64.tar.gz",
		"vulcan_exporter-v1.2.0-rc1.linux-arm64.tar.gz", "vulcan_exporter.cdx.json",
	}
	listed := strings.Fields(sh("cd dist; sha256sum --check --strict --quiet SHA256SUMS; sed 's/^[^ ]*  //' SHA256SUMS | LC_ALL=C sort"))
	if !slices.Equal(listed, want) {
		t.Errorf("the checksums are of %q, want %q", listed, want)
	}
	if there := strings.Fields(sh("cd dist; LC_ALL=C ls")); !slices.Equal(there, append([]string{"SHA256SUMS"}, want...)) {
		t.Errorf("dist has %q", there)
	}
	// `dpkg -i dist/*.deb` must find one.
	sh("make -o .tools/built/nfpm deb VERSION=v1.2.0")
	if there := strings.Fields(sh("cd dist; ls *.deb")); len(there) != 1 || !strings.Contains(there[0], "_1.2.0_") {
		t.Errorf("make deb leaves %q", there)
	}
}

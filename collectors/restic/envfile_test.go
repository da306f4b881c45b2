package restic

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEnvFile(t *testing.T) {
	got, err := parseEnvFile([]byte(`# comment
; comment
AWS_ACCESS_KEY_ID=abc
export RESTIC_REPOSITORY = "s3:https://x/y"
B2_ACCOUNT_KEY='$(not run) "plain"'
WITH="a \"b\" \\ $HOME"
TWO=one\
two
EMPTY=
`))
	if err != nil {
		t.Fatal(err)
	}
	want := environment{
		"AWS_ACCESS_KEY_ID": "abc", "RESTIC_REPOSITORY": "s3:https://x/y", "B2_ACCOUNT_KEY": `$(not run) "plain"`,
		"WITH": `a "b" \ $HOME`, "TWO": "onetwo", "EMPTY": "",
	}
	if strings.Join(got.list(), "|") != strings.Join(want.list(), "|") {
		t.Errorf("got %q", got.list())
	}
	for name, in := range map[string]string{
		"command": "P=$(cat /run/secret)", "backtick": "P=\"`cat /run/secret`\"", "open quote": "P='secret", "no key": "secret", "bad key": "a b=secret",
	} {
		_, err := parseEnvFile([]byte("A=1\n" + in))
		if err == nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A unit as NixOS' services.restic.backups writes it.
func TestUnitEnvironment(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keys := write("keys", "AWS_ACCESS_KEY_ID=abc\n")
	unit := write("restic-backups-Home.service", `[Unit]
Description=Environment=A=1
[Service]
Environment="LOCALE_ARCHIVE=/nix/x"
Environment="RESTIC_CACHE_DIR=/var/cache/restic-backups-Home" "RESTIC_PASSWORD_FILE=/run/secrets/p" RESTIC_REPOSITORY=s3:https://x/50%%
EnvironmentFile=`+keys+`
EnvironmentFile=-/nonexistent
ExecStart=/nix/restic backup
`)
	got, err := readEnvironment(unit)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"RESTIC_REPOSITORY": "s3:https://x/50%", "RESTIC_PASSWORD_FILE": "/run/secrets/p",
		"AWS_ACCESS_KEY_ID": "abc", "LOCALE_ARCHIVE": "/nix/x", "A": "",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	missing := write("restic-backups-Audio.service", "[Service]\nEnvironmentFile=/nonexistent\n")
	if _, err := readEnvironment(missing); !os.IsNotExist(err) {
		t.Errorf("a file that must be there: %v", err)
	}
	found, err := discover(Config{Definitions: []string{filepath.Join(dir, "restic-backups-*.service")}})
	if err != nil || len(found) != 2 || found[0].Name != "Audio" || found[1].Name != "Home" {
		t.Errorf("discovered %+v, %v", found, err)
	}
	for _, glob := range []string{"relative-*.env", filepath.Join(dir, "nothing-*.env"), "/["} {
		if found, err := discover(Config{Definitions: []string{glob}}); err == nil {
			t.Errorf("%s: no error, %+v", glob, found)
		}
	}
}

func FuzzEnvFile(f *testing.F) {
	f.Add([]byte("A=1\nexport B='x'\n# c\nC=\"a\\\"b\"\\\n d"))
	f.Add([]byte("[Service]\nEnvironment=\"A=b c\" D=e\nEnvironmentFile=-/x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		env, err := parseEnvFile(data)
		if err == nil {
			for key := range env {
				if !envKey.MatchString(key) {
					t.Errorf("key %q", key)
				}
			}
		}
		_, files, err := parseUnit(data)
		if err == nil {
			for _, file := range files {
				if !filepath.IsAbs(strings.TrimPrefix(file, "-")) {
					t.Errorf("file %q", file)
				}
			}
		}
	})
}

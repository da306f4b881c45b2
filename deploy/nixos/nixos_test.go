// Package nixos_test generates the module's options and evaluates the module with Debian's nix,
// over a small stand-in for nixpkgs' lib.
package nixos_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/collectors"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/docs"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

var update = flag.Bool("update", false, "rewrite options.nix")

// TestOptions: the typed options are those of the collectors.
func TestOptions(t *testing.T) {
	var want bytes.Buffer
	if err := docs.Nix(&want, collectors.All()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("options.nix", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("options.nix")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("options.nix is stale: go test ./deploy/nixos -update")
	}
}

func nix(t *testing.T, args ...string) (string, error) {
	t.Helper()
	testenv.Need(t, "nix-instantiate")
	cmd := exec.Command("nix-instantiate", args...)
	state := t.TempDir()
	cmd.Env = append(os.Environ(), "NIX_STATE_DIR="+state, "NIX_LOG_DIR="+state, "NIX_STORE_DIR=/nix/store", "NIX_REMOTE=dummy://", "NIX_CONFIG=build-users-group =", "HOME="+state)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return stderr.String(), err
	}
	return string(out), nil
}

// TestParse: every file is Nix, the flake and the VM test too.
func TestParse(t *testing.T) {
	files, err := filepath.Glob("*.nix")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	if out, err := nix(t, append([]string{"--parse"}, files...)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestVendorHash: the package names the hash of its dependencies in Nix' notation.
func TestVendorHash(t *testing.T) {
	hash, err := os.ReadFile("vendor-hash")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^sha256-[A-Za-z0-9+/]{43}=\n$`).Match(hash) {
		t.Errorf("vendor-hash is %q; vendor-hash.sh writes it", hash)
	}
}

type machine struct {
	Settings   json.RawMessage
	Failed     []string
	Warnings   []string
	Check      string
	Service    service
	Services   map[string]service
	Checks     map[string]string
	Texts      map[string]json.RawMessage // settings of instances
	Prometheus struct {
		ScrapeConfigs []map[string]any
		RuleFiles     []string
	}
}

type service struct {
	OverrideStrategy string
	WantedBy         []string
	Tools            []string
	Environment      map[string]string
	ServiceConfig    struct {
		LoadCredential      []string
		SupplementaryGroups []string
		DeviceAllow         []string
		PrivateUsers        any // false, or nothing
	}
}

// eval evaluates the module on a host with the user's own configuration, both in Nix.
func eval(t *testing.T, host, user string) (machine, string) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	out, err := nix(t, "--eval", "--strict", "--json", "--expr",
		"import "+dir+"/testdata/eval.nix { host = "+host+"; user.services.vulcan-exporter = { enable = true; } // "+user+"; }")
	if err != nil {
		return machine{}, out
	}
	var m machine
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return m, ""
}

// load gives the settings that Nix made to the exporter's own reader.
func (m machine) load(t *testing.T) []string {
	t.Helper()
	t.Setenv("CREDENTIALS_DIRECTORY", "/run/credentials/vulcan-exporter.service")
	t.Setenv("CACHE_DIRECTORY", "/var/cache/vulcan_exporter")
	sources, err := collector.Load("vulcan_exporter.yml", m.Settings, collectors.All())
	if err != nil {
		t.Fatalf("the exporter refuses what Nix made: %v\n%s", err, m.Settings)
	}
	var ids []string
	for _, s := range sources {
		ids = append(ids, s.ID())
	}
	return ids
}

// TestDerive: what the host's configuration says is watched, and the user's settings are added.
func TestDerive(t *testing.T) {
	m, fault := eval(t, "import ./testdata/host.nix", `{
		prometheus = true;
		groups = [ "mail" ];
		settings.criticalservice.units = [ "mine.service" ];
		settings.restic.interval = "2h";
		settings.homeassistant = { url = "http://127.0.0.1:8123"; token_file = "\${CREDENTIALS_DIRECTORY}/hass"; };
		credentials.hass = "/run/secrets/hass";
	}`)
	if fault != "" {
		t.Fatal(fault)
	}
	if len(m.Failed) > 0 {
		t.Errorf("assertions: %v", m.Failed)
	}
	ids := m.load(t)
	for _, want := range []string{"systemd/default", "criticalservice/default", "backup/default", "certificate/default", "zfs/default", "restic/Audio", "restic/local", "homeassistant/default"} {
		if !slices.Contains(ids, want) {
			t.Errorf("no source %s in %v", want, ids)
		}
	}
	for _, want := range []string{
		`"postgresql.service"`, `"nginx.service"`, `"dovecot2.service"`, `"sshd.service"`, `"redis-litellm.service"`, `"podman-litellm.service"`, `"container@secure-nginx.service"`, `"mine.service"`,
		`"keep_daily":7`, `"keep_weekly":5`, `"location":"s3:s3.example.org/backups-audio"`, `"interval":"2h"`,
		`"/var/lib/nginx-certs/www.crt"`, `"/var/lib/acme/acme.example.org/fullchain.pem"`, `"/var/lib/dovecot-certs/dovecot.crt"`,
		`"restic-backups-*.service"`, `"postgresqlBackup*.service"`,
	} {
		if !bytes.Contains(m.Settings, []byte(want)) {
			t.Errorf("no %s in %s", want, m.Settings)
		}
	}
	for _, never := range []string{"hidden", "grafana.service", "/never", "null", "/run/secrets"} {
		if bytes.Contains(m.Settings, []byte(never)) {
			t.Errorf("%s in %s", never, m.Settings)
		}
	}
	credentials := []string{"hass:/run/secrets/hass", "restic-Audio-environment:/run/secrets/aws-keys", "restic-Audio-password:/run/secrets/restic-password", "restic-local-password:/run/secrets/restic-password"}
	if got := m.Service.ServiceConfig.LoadCredential; !slices.Equal(got, credentials) {
		t.Errorf("credentials %v, want %v", got, credentials)
	}
	if got := m.Service.ServiceConfig.SupplementaryGroups; !slices.Equal(got, []string{"mail", "nginx"}) {
		t.Errorf("groups %v: those of the certificates are needed to read them", got)
	}
	if got := m.Service.ServiceConfig.DeviceAllow; !slices.Equal(got, []string{"/dev/zfs rw"}) {
		t.Errorf("devices %v", got)
	}
	if got := m.Service.ServiceConfig.PrivateUsers; got != false {
		t.Error("ZFS is asked from a user namespace, to which it shows no pools")
	}
	if got := m.Service.Environment["ARGS"]; got != "--web.listen-address=127.0.0.1:9847" {
		t.Errorf("ARGS %s", got)
	}
	if len(m.Warnings) != 2 || !strings.Contains(m.Warnings[0], "hidden ") || !strings.Contains(m.Warnings[1], "hiddenToo ") {
		t.Errorf("warnings %v", m.Warnings)
	}
	if len(m.Prometheus.ScrapeConfigs) != 1 || len(m.Prometheus.RuleFiles) < 10 {
		t.Errorf("prometheus %+v", m.Prometheus)
	}
	if !strings.Contains(m.Check, "/bin/vulcan_exporter check ") {
		t.Errorf("the build does not check the file: %s", m.Check)
	}
}

// TestDerivedSource: what the user says of a derived repository is laid over what is derived.
func TestDerivedSource(t *testing.T) {
	m, fault := eval(t, "import ./testdata/host.nix", `{
		settings.restic.sources = [
			{ name = "Audio"; max_age = "3d"; retention.keep_daily = 3; expect = [ { host = "studio"; } ]; }
			{ name = "local"; password_command = "pass restic"; }
			{ name = "hidden"; location = "/tank/hidden"; }
			{ name = "other"; location = "/tank/other"; password_command = "pass other"; }
		];
	}`)
	if fault != "" || len(m.Failed) > 0 {
		t.Fatal(fault, m.Failed)
	}
	m.load(t)
	var got struct {
		Restic struct{ Sources []json.RawMessage }
	}
	if err := json.Unmarshal(m.Settings, &got); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"environment_file":"${CREDENTIALS_DIRECTORY}/restic-Audio-environment","expect":[{"host":"studio"}],"location":"s3:s3.example.org/backups-audio","max_age":"3d","name":"Audio","password_file":"${CREDENTIALS_DIRECTORY}/restic-Audio-password","retention":{"keep_daily":3,"keep_weekly":5}}`,
		`{"location":"/tank/hidden","name":"hidden","password_file":"${CREDENTIALS_DIRECTORY}/restic-hidden-password"}`,
		`{"location":"/tank/restic","name":"local","password_command":"pass restic"}`,
		`{"location":"/tank/other","name":"other","password_command":"pass other"}`,
	}
	for i, source := range got.Restic.Sources {
		if i >= len(want) || string(source) != want[i] {
			t.Errorf("source %d: %s", i, source)
		}
	}
	if len(got.Restic.Sources) != len(want) {
		t.Errorf("%d sources, want %d", len(got.Restic.Sources), len(want))
	}
	credentials := []string{"restic-Audio-environment:/run/secrets/aws-keys", "restic-Audio-password:/run/secrets/restic-password", "restic-hidden-password:/x"}
	if got := m.Service.ServiceConfig.LoadCredential; !slices.Equal(got, credentials) {
		t.Errorf("credentials %v, want %v: what no source names is not handed over", got, credentials)
	}
	if len(m.Warnings) != 1 || !strings.Contains(m.Warnings[0], "hiddenToo ") {
		t.Errorf("warnings %v", m.Warnings)
	}
	m, fault = eval(t, "import ./testdata/host.nix", `{ settings.restic.sources = [ { name = "local"; } { name = "local"; } ]; }`)
	if fault != "" || len(m.Failed) != 1 || !strings.Contains(m.Failed[0], "two sources of the same name in restic") {
		t.Errorf("%v %s", m.Failed, fault)
	}
}

// TestCache: the service's home is no folder; restic's cache is in that of the unit.
func TestCache(t *testing.T) {
	unit, err := os.ReadFile("../systemd/vulcan-exporter.service")
	if err != nil || !bytes.Contains(unit, []byte("\nCacheDirectory=vulcan_exporter\n")) {
		t.Fatalf("the unit has no folder for a cache: %v", err)
	}
	for _, test := range []struct{ host, user, want string }{
		{"import ./testdata/host.nix", "{ }", `"cache_dir":"${CACHE_DIRECTORY}"`},
		{"{ }", `{ settings.restic.sources = [ { name = "a"; location = "/a"; password_command = "x"; } ]; }`, `"cache_dir":"${CACHE_DIRECTORY}"`},
		{"import ./testdata/host.nix", `{ settings.restic.cache_dir = "/var/cache/mine"; }`, `"cache_dir":"/var/cache/mine"`},
		{"{ }", "{ }", `{"systemd":{}}`},
	} {
		m, fault := eval(t, test.host, test.user)
		if fault != "" || !bytes.Contains(m.Settings, []byte(test.want)) || bytes.Count(m.Settings, []byte("cache_dir")) > 1 {
			t.Errorf("%s %s: %s%s, want %s", test.host, test.user, m.Settings, fault, test.want)
			continue
		}
		m.load(t)
		if strings.Contains(m.Check, " check ") && !strings.Contains(m.Check, " CACHE_DIRECTORY=") {
			t.Errorf("the build's check has no CACHE_DIRECTORY: %s", m.Check)
		}
	}
}

// TestInstances: each user has the instance of the packaged template, with a file, an address and
// credentials of its own; nothing of the template's sandbox is replaced.
func TestInstances(t *testing.T) {
	m, fault := eval(t, "{ }", `{
		prometheus = true;
		instances.root = {
			listenAddresses = [ "127.0.0.1:9848" ];
			settings.restic.definitions = [ "/etc/systemd/system/restic-backups-*.service" ];
			settings.container = { };
			credentials.key = "/run/secrets/key";
			extraFlags = [ "--web.enable-lifecycle" ];
		};
		instances.alice = {
			listenAddresses = [ "127.0.0.1:9849" ];
			groups = [ "mail" ];
			settings.systemd.user = "alice";
			settings.mbsync = { };
		};
	}`)
	if fault != "" || len(m.Failed) > 0 {
		t.Fatal(fault, m.Failed)
	}
	if len(m.Services) != 3 {
		t.Errorf("services %v", m.Services)
	}
	root, alice := m.Services["vulcan-exporter@root"], m.Services["vulcan-exporter@alice"]
	for name, s := range map[string]service{"root": root, "alice": alice} {
		// The template is the package's: a whole unit in its place would be without its sandbox.
		if s.OverrideStrategy != "asDropin" || !slices.Equal(s.WantedBy, []string{"multi-user.target"}) {
			t.Errorf("%s: %+v", name, s)
		}
		if len(s.ServiceConfig.DeviceAllow) > 0 || s.ServiceConfig.PrivateUsers != nil {
			t.Errorf("%s: the sandbox is opened: %+v", name, s)
		}
	}
	if got := root.Environment["ARGS"]; got != "--web.listen-address=127.0.0.1:9848 --web.enable-lifecycle" {
		t.Errorf("ARGS %s", got)
	}
	if got := alice.Environment["ARGS"]; got != "--web.listen-address=127.0.0.1:9849" {
		t.Errorf("ARGS %s", got)
	}
	if got := root.ServiceConfig.LoadCredential; !slices.Equal(got, []string{"key:/run/secrets/key"}) || len(root.Tools) != 1 {
		t.Errorf("root: %+v", root)
	}
	if got := alice.ServiceConfig.SupplementaryGroups; !slices.Equal(got, []string{"mail"}) || len(alice.Tools) != 0 {
		t.Errorf("alice: %+v", alice)
	}
	if !strings.Contains(m.Checks["vulcan_exporter/root.yml"], "check /nix/store/0-without-restic.yml") ||
		!strings.Contains(m.Checks["vulcan_exporter/alice.yml"], "check /nix/store/0-without-systemd.yml") {
		t.Errorf("files %v", m.Checks)
	}
	if got := string(m.Texts["root"]); got != `{"container":{},"restic":{"cache_dir":"${CACHE_DIRECTORY}","definitions":["/etc/systemd/system/restic-backups-*.service"]}}` {
		t.Errorf("root's settings: %s", got)
	}
	targets, _ := json.Marshal(m.Prometheus.ScrapeConfigs[0]["static_configs"])
	if string(targets) != `[{"targets":["127.0.0.1:9847","127.0.0.1:9849","127.0.0.1:9848"]}]` {
		t.Errorf("targets %s", targets)
	}
}

// TestInstanceTakesRepository: what an instance observes the service, which may not read it, does
// not observe too.
func TestInstanceTakesRepository(t *testing.T) {
	const unit = "/etc/systemd/system/restic-backups-"
	for restic, want := range map[string][]string{
		`sources = [ { name = "local"; location = "/tank/restic"; } { name = "hidden"; location = "/h"; } ];`: {"restic/Audio"},
		`definitions = [ "` + unit + `local.service" ];`:                                                      {"restic/Audio"},
		`definitions = [ "` + unit + `*.service" ];`:                                                          nil,
		`definitions = [ "/etc/restic/*.env" ];`:                                                              {"restic/Audio", "restic/local"},
	} {
		m, fault := eval(t, "import ./testdata/host.nix", `{ instances.root = { listenAddresses = [ "[::1]:1" ]; settings.restic = { `+restic+` }; }; }`)
		if fault != "" || len(m.Failed) > 0 {
			t.Fatal(fault, m.Failed)
		}
		ids := slices.DeleteFunc(m.load(t), func(id string) bool { return !strings.HasPrefix(id, "restic/") })
		if !slices.Equal(ids, want) {
			t.Errorf("%s: the service observes %v, want %v", restic, ids, want)
		}
		if warned := strings.Contains(strings.Join(m.Warnings, "\n"), "hidden "); warned == strings.HasPrefix(restic, "sources") {
			t.Errorf("%s: warnings %v", restic, m.Warnings)
		}
	}
}

// TestInstanceZFS: the device is an instance's that asks ZFS.
func TestInstanceZFS(t *testing.T) {
	m, fault := eval(t, "import ./testdata/host.nix", `{ derive = false; settings.systemd = { }; instances.root = { listenAddresses = [ "[::1]:1" ]; settings.zfs = { }; }; }`)
	if fault != "" || len(m.Failed) > 0 {
		t.Fatal(fault, m.Failed)
	}
	if got := m.Services["vulcan-exporter@root"]; !slices.Equal(got.ServiceConfig.DeviceAllow, []string{"/dev/zfs rw"}) || got.ServiceConfig.PrivateUsers != false {
		t.Errorf("%+v", got)
	}
	if len(m.Service.ServiceConfig.DeviceAllow) > 0 {
		t.Errorf("%+v", m.Service)
	}
}

// TestCheckInBuild: the sandbox of a build has none of the host's files, which definitions must
// match; all but restic is checked there.
func TestCheckInBuild(t *testing.T) {
	const definitions = `settings.restic.definitions = [ "/etc/systemd/system/restic-backups-*.service" ];`
	for user, want := range map[string]string{
		"{ }": "exporter check /nix/store/0-vulcan_exporter.yml\n",
		"{ settings.restic.sources = [ { name = \"a\"; location = \"/a\"; } ]; }":                                         "exporter check /nix/store/0-vulcan_exporter.yml\n",
		`{ settings.systemd.sources = [ { name = "a"; user = "a"; } ]; settings.mbsync.user = "a"; settings.zfs = { }; }`: "exporter check /nix/store/0-without-mbsync-systemd.yml\n",
		"{ " + definitions + " }": "exporter check /nix/store/0-without-restic.yml\n",
	} {
		m, fault := eval(t, "{ }", user)
		if fault != "" || !strings.Contains(m.Check, want) || !strings.Contains(m.Check, "cp /nix/store/0-vulcan_exporter.yml $out") {
			t.Errorf("%s: %s%s, want %s", user, m.Check, fault, want)
		}
	}
	m, fault := eval(t, "{ }", "{ derive = false; "+definitions+" }")
	if fault != "" || strings.Contains(m.Check, " check ") {
		t.Errorf("nothing to check, and %s%s", m.Check, fault)
	}
}

// TestRefused: what the types, the assertions and nothing else catch.
func TestRefused(t *testing.T) {
	for user, want := range map[string]string{
		`{ settings.backup.jobs = [ { unit = "x.service"; } ]; }`:                           "option services.vulcan-exporter.settings.backup.jobs.*.unit does not exist",
		`{ settings.systemd.interval = "soon"; }`:                                           "settings.systemd.interval is not of type",
		`{ settings.redis.sources = [ { name = "a"; password_file = "/nix/store/x"; } ]; }`: "password_file is not of type",
		`{ settings.restic.sources = [ { name = "a b"; } ]; }`:                              "sources.*.name is not of type",
		`{ settings.zfs.pools = "tank"; }`:                                                  "settings.zfs.pools is not",
	} {
		if _, fault := eval(t, "{ }", user); !strings.Contains(fault, want) {
			t.Errorf("%s: %q, want %s", user, fault, want)
		}
	}
	for user, want := range map[string]string{
		`{ derive = false; }`:           "nothing to watch",
		`{ settings.barometer = { }; }`: "unknown collectors barometer",
		`{ settings.homeassistant.token_file = "\${CREDENTIALS_DIRECTORY}/hass"; }`:                                                     "the settings name hass",
		`{ settings.redis.sources = [ { name = "a"; address = "x:1"; } { name = "a"; address = "y:1"; } ]; }`:                           "two sources of the same name in redis",
		`{ instances.alice = { listenAddresses = [ "127.0.0.1:9847" ]; settings.mbsync = { }; }; }`:                                     "127.0.0.1:9847",
		`{ instances.alice = { listenAddresses = [ ]; settings.mbsync = { }; }; }`:                                                      "instances.alice.listenAddresses: no address",
		`{ instances.alice.listenAddresses = [ "127.0.0.1:1" ]; }`:                                                                      "instances.alice: nothing to watch",
		`{ instances.alice = { listenAddresses = [ "127.0.0.1:1" ]; settings.redis.password_file = "\${CREDENTIALS_DIRECTORY}/p"; }; }`: "instances.alice.credentials: the settings name p",
	} {
		m, fault := eval(t, "{ }", user)
		if fault != "" || len(m.Failed) != 1 || !strings.Contains(m.Failed[0], want) {
			t.Errorf("%s: %v %s, want %s", user, m.Failed, fault, want)
		}
	}
}

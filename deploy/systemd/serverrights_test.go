package systemd_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
	"vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

// TestServerRights runs the collectors that ask servers in the shipped unit: first with wrong
// secrets, then with the right ones and none of the rights that docs/security.md names, then with
// these.
func TestServerRights(t *testing.T) {
	testenv.Need(t, "redis-cli", "psql")
	t.Parallel()
	s := serve(t)
	s.secrets("wrong")
	s.logs("vulcan-exporter.service")
	address := s.begin("vulcan-exporter.service", "/etc/vulcan_exporter.yml", "/etc/default/vulcan-exporter", s.config())
	for _, step := range []struct {
		name    string
		grant   func(*servers)
		lines   []string
		refused *regexp.Regexp
	}{
		{"without secrets", func(*servers) {}, withoutSecrets, anything},
		{"without rights", (*servers).admit, withoutRights, measured},
		{"with rights", (*servers).grant, withRights, nil},
	} {
		t.Run(step.name, func(t *testing.T) {
			s := *s
			s.host = &host{s.SystemdHost, t}
			step.grant(&s)
			s.Systemctl("daemon-reload")
			s.Systemctl("restart", "vulcan-exporter.service")
			s.metrics(address, step.lines...)
			if step.refused != nil {
				s.nothing(address, step.refused)
			}
			s.privileges("vulcan-exporter.service", "0000000000000000")
		})
	}
	t.Run("as the owner", func(t *testing.T) {
		s := *s
		s.host = &host{s.SystemdHost, t}
		s.owner(address)
	})
}

var withoutSecrets = []string{
	`home_assistant_api_error\{.*reason="auth"\} 1`,
	`pg_connection_error\{source="main",reason="auth"\} 1`, // no such role
	`pg_connection_error\{source="another",reason="auth"\} 1`,
	`redis_connection_error\{.*reason="auth"\} 1`,
	`litellm_database_error\{.*reason="auth"\} 1`,
	`litellm_redis_error\{.*reason="auth"\} 1`,
	`opnsense_api_key_accepted\{.*\} 0`,
	`dns_query_api_errors_total\{.*reason="token"\} [1-9].*`,
	`vulcan_collector_up\{collector="zfs",.*\} 0`, // no device
}

// admit hands out the secrets and makes the accounts, which may nothing.
func (s *servers) admit() {
	s.t.Helper()
	s.secrets("")
	s.postgres.Exec(s.t, "postgres", `CREATE ROLE "vulcan-exporter" LOGIN PASSWORD '`+databasePassword+`'`,
		`CREATE ROLE vulcan_exporter LOGIN IN ROLE pg_monitor`)
	s.acl("+ping")
	s.dns.Deny("Logs")
	for _, endpoint := range firewallEndpoints {
		s.firewall.Answer(endpoint, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"status":403,"message":"Forbidden"}`, http.StatusForbidden)
		})
	}
}

var firewallEndpoints = []string{
	"core/firmware/status", "core/system/status", "diagnostics/activity/getActivity", "diagnostics/system/systemDisk",
	"diagnostics/system/systemResources", "diagnostics/system/systemTemperature", "diagnostics/system/systemTime", "routing/settings/searchGateway",
}

var withoutRights = []string{
	`home_assistant_api_up\{.*\} 1`,
	`home_assistant_readable\{.*part="backups"\} 0`,
	`home_assistant_readable\{.*part="schedule"\} 0`,
	`home_assistant_readable\{.*part="recorder"\} 0`,
	`pg_up\{source="main"\} 1`,
	`pg_query_success\{source="main",query="activity"\} 0`, // others' sessions
	`pg_query_success\{source="main",query="wal"\} 0`,
	`pg_connection_error\{source="another",reason="auth"\} 1`,
	`vulcan_collector_up\{collector="redis",.*\} 0`, // PING it may, INFO not
	`litellm_database_part\{.*part="ledger",state="privilege"\} 1`,
	`litellm_database_part\{.*part="budgets",state="privilege"\} 1`,
	`opnsense_api_key_accepted\{.*\} 1`,
	`opnsense_facts_available\{.*endpoint="core/system/status"\} 0`,
	`dns_query_api_errors_total\{.*reason="permission"\} [1-9].*`,
	`vulcan_collector_up\{collector="zfs",.*\} 0`,
}

// grant is what docs/security.md says: roles, rules, privileges, a group, a device.
func (s *servers) grant() {
	s.t.Helper()
	s.postgres.Exec(s.t, "postgres", `GRANT pg_monitor TO "vulcan-exporter"`)
	s.run(`psql --no-psqlrc --quiet --username=postgres --host="$1" --port="$2" --dbname=litellm --variable=role=vulcan-exporter --file="$3"`,
		s.postgres.Dir, fmt.Sprint(s.postgres.Port), filepath.Join(testenv.Root(s.t), "deploy/litellm/create-role.sql"))
	s.acl("+ping", "+info", "+llen", "%R~litellm_*spend_update_buffer")
	for _, endpoint := range firewallEndpoints {
		s.firewall.Answer(endpoint, nil)
	}
	s.dns.Allow("Logs")
	for n := range 10 {
		s.dns.Log(technitiumtest.Row{
			Time: time.Now(), Client: "10.0.0.1", Protocol: "Udp", ResponseType: "Cached", RCode: "NoError",
			QName: fmt.Sprintf("host-%d.example", n), QType: "A", QClass: "IN", Answer: "192.0.2.1",
		})
	}
	s.use("vulcan-exporter.service", "zfs.conf")
	s.use("vulcan-exporter.service", "home-assistant.conf")
	s.use("vulcan-exporter.service", "local-only.conf")
}

var withRights = []string{
	`vulcan_collector_up\{collector="homeassistant",.*\} 1`,
	`home_assistant_backups\{.*\} 1`,
	`home_assistant_backup_expected_interval_seconds\{.*\} 86400`,
	`home_assistant_recorder_states_written_total\{.*\} 4711`,
	`vulcan_collector_up\{collector="zfs",.*\} 1`,
	`zfs_pool_size_bytes\{.*\} [1-9].*`,
	`zfs_dataset_snapshots\{.*\} [1-9].*`,
	`vulcan_collector_up\{collector="postgres",source="main"\} 1`,
	`pg_query_success\{source="main",query="activity"\} 1`,
	`pg_connections\{source="main",datname="litellm",.*state="idle".*\} [1-9].*`,
	`pg_wal_size_bytes\{source="main"\} [1-9].*`,
	`pg_connection_error\{source="another",reason="auth"\} 1`,
	`vulcan_collector_up\{collector="redis",.*\} 1`,
	`redis_max_clients\{.*\} [1-9].*`,
	`vulcan_collector_up\{collector="litellm",.*\} 1`,
	`litellm_database_part\{.*part="ledger",state="ok"\} 1`,
	`litellm_database_part\{.*part="budgets",state="ok"\} 1`,
	`litellm_requests_total\{.*outcome="success"\} [1-9].*`,
	`litellm_redis_queue_length\{.*queue="spend"\} 0`,
	`litellm_gateway_info\{.*version="1.80.0"\} 1`,
	`vulcan_collector_up\{collector="opnsense",.*\} 1`,
	`opnsense_version_info\{.*version="25.7.8".*\} 1`,
	`opnsense_load1\{.*\} [0-9].*`,
	`vulcan_collector_up\{collector="dnsquery",.*\} 1`,
	`dns_query_total\{.*rcode="NoError",response_type="Cached"\} 10`,
	`dns_query_rows_pushed_total\{.*\} 10`,
}

// What nobody may show who has no right, and nobody who has not even a secret.
var (
	measured = regexp.MustCompile(`(?m)^(home_assistant_(backups|backup_[a-z_]+|recorder_[a-z_]+)|zfs_[a-z_]+|pg_wal_[a-z_]+|` +
		`redis_(max_clients|memory_[a-z_]+|db_keys)|litellm_(requests_total|spend_usd_total|budget_[a-z_]+)|` +
		`opnsense_(load1|version_info|gateway_info|cpu_ratio)|dns_query_total)\{.*\} [^0\n].*$|^litellm_redis_queue_length\{.*$`)
	anything = regexp.MustCompile(measured.String() + `|^(home_assistant_(info|state)|pg_(server_info|connections|database_[a-z_]+)|` +
		`litellm_gateway_info|dns_query_server_[a-z_]+)\{.*$`)
)

// nothing of the servers is on the page.
func (s *servers) nothing(address string, refused *regexp.Regexp) {
	s.t.Helper()
	page, err := get(address)
	if err != nil {
		s.t.Fatal(err)
	}
	if shown := refused.FindAllString(page, -1); len(shown) > 0 {
		s.t.Errorf("shows what it may not see:\n%s", strings.Join(shown, "\n"))
	}
}

// owner: where Home Assistant keeps its files to itself (UMask=0077), its group sees nothing, and
// an instance that runs as its user all.
func (s *servers) owner(address string) {
	s.t.Helper()
	s.run("chmod -R go= /srv/hass")
	s.metrics(address, `home_assistant_readable\{.*part="backups"\} 0`, `home_assistant_readable\{.*part="recorder"\} 0`)
	own := s.begin("vulcan-exporter@hass.service", "/etc/vulcan_exporter/hass.yml", "/etc/default/vulcan-exporter-hass", fmt.Sprintf(home, s.home))
	s.privileges("vulcan-exporter@hass.service", "0000000000000000")
	s.metrics(own, `vulcan_collector_up\{collector="homeassistant",.*\} 1`, `home_assistant_api_up\{.*\} 1`,
		`home_assistant_backups\{.*\} 1`, `home_assistant_recorder_states_written_total\{.*\} 4711`)

	// The recorder in PostgreSQL, as a peer.
	const tables = `states, states_meta, schema_changes`
	s.postgres.Exec(s.t, "postgres", `CREATE ROLE hass LOGIN`, `CREATE TABLE states_meta (metadata_id bigint, entity_id text)`,
		`CREATE TABLE states (state_id bigint, metadata_id bigint, state text, last_updated_ts float8)`,
		`CREATE TABLE schema_changes (change_id bigint, schema_version int)`,
		`INSERT INTO states VALUES (815, 1, 'above_horizon', 1790000000)`, `REVOKE ALL ON `+tables+` FROM PUBLIC`)
	s.file("/etc/vulcan_exporter/hass.yml", fmt.Sprintf("homeassistant: {interval: 1s, timeout: 10s, recorder_dsn: \"host=/run/postgresql port=%d user=hass dbname=postgres\"}\n", s.postgres.Port))
	s.Systemctl("reload", "vulcan-exporter@hass.service")
	s.metrics(own, `home_assistant_readable\{.*part="recorder"\} 0`)
	s.postgres.Exec(s.t, "postgres", `GRANT SELECT ON `+tables+` TO hass`)
	s.metrics(own, `home_assistant_recorder_states_written_total\{.*\} 815`, `home_assistant_recorder_size_bytes\{.*\} [1-9].*`)
}

const home = `homeassistant: {interval: 1s, timeout: 10s, url: %q, token_file: "${CREDENTIALS_DIRECTORY}/home-assistant-token", backups: [/srv/hass/backups], config_dir: /srv/hass, recorder_sqlite: /srv/hass/home-assistant_v2.db}
`

// config reads all the servers, PostgreSQL both as a peer and with a password. Another is a role
// that is not called as the user is.
func (s *servers) config() string {
	return fmt.Sprintf(home, s.home) + fmt.Sprintf(`
zfs: {interval: 1s, timeout: 10s, scrub_max_age: 50y}
postgres:
  interval: 1s
  timeout: 10s
  sources:
    - {name: main, dsn: "host=/run/postgresql port=%[1]d user=vulcan-exporter dbname=postgres"}
    - {name: another, dsn: "host=/run/postgresql port=%[1]d user=vulcan_exporter dbname=postgres"}
redis: {interval: 1s, timeout: 10s, sources: [{name: cache, address: %[2]q, username: vulcan-exporter, password_file: "${CREDENTIALS_DIRECTORY}/redis-password"}]}
litellm:
  interval: 1s
  timeout: 10s
  sources:
    - name: main
      url: %[3]q
      key_file: ${CREDENTIALS_DIRECTORY}/litellm-key
      postgres: {dsn: "postgres://vulcan-exporter@127.0.0.1:%[1]d/litellm", password_file: "${CREDENTIALS_DIRECTORY}/postgres-password"}
      redis: {address: %[2]q, username: vulcan-exporter, password_file: "${CREDENTIALS_DIRECTORY}/redis-password"}
opnsense: {interval: 1s, timeout: 10s, sources: [{name: home, url: %[4]q, ca_file: /etc/vulcan_exporter/firewall.pem, key_file: "${CREDENTIALS_DIRECTORY}/opnsense-key", secret_file: "${CREDENTIALS_DIRECTORY}/opnsense-secret", listen: "%[7]s"}]}
dnsquery: {interval: 1s, timeout: 10s, sources: [{name: home, url: %[5]q, token_file: "${CREDENTIALS_DIRECTORY}/technitium-token", loki: {url: %[6]q}}]}
`, s.postgres.Port, s.redis.Address(), s.proxy, s.firewall.URL, s.dns.URL, s.loki.URL, freeAddress(s.t))
}

// secrets puts a value into each credential of the example.
func (s *servers) secrets(prefix string) {
	s.t.Helper()
	values := map[string]string{
		"restic-password": "none", "restic-environment": "none",
		"opnsense-key": testenv.OPNsenseKey, "opnsense-secret": testenv.OPNsenseSecret,
		"home-assistant-token": homeToken, "technitium-token": technitiumtest.Token,
		"redis-password": redisPassword, "postgres-password": databasePassword, "litellm-key": proxyKey,
	}
	for _, match := range regexp.MustCompile(`(?m)^LoadCredential=(\S+):(\S+)$`).FindAllStringSubmatch(read(s.t, "examples/credentials.conf"), -1) {
		value, ok := values[match[1]]
		if !ok {
			s.t.Fatalf("the example names %s", match[1])
		}
		s.file(match[2], prefix+value+"\n")
	}
	s.run("chmod 0600 /etc/vulcan_exporter/credentials/*; chmod 0644 /etc/vulcan_exporter/firewall.pem")
}

// acl gives the exporter's Redis user these rights and no other.
func (s *servers) acl(rights ...string) {
	s.t.Helper()
	args := append([]string{"-p", fmt.Sprint(s.redis.Port), "ACL", "SETUSER", "vulcan-exporter", "reset", "on", ">" + redisPassword}, rights...)
	if out := s.run(`redis-cli "$@"`, args...); strings.TrimSpace(out) != "OK" {
		s.t.Fatalf("ACL SETUSER: %s", out)
	}
}

# Typed options of all collectors, generated from their Go configuration by
# "go test ./deploy/nixos -update". Do not edit. null: not set, the exporter's own default.
{ lib }:
let
  inherit (lib) mkOption types;
  optional = type: description: mkOption {
    type = types.nullOr type;
    default = null;
    inherit description;
  };
  struct = options: types.submodule { inherit options; };
  # 30s, 5m, 1h30m, 7d
  duration = types.strMatching "0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?";
  # The path of a file, as text: a Nix path would be copied into the store, for all to read.
  secret = types.addCheck types.str (path: !(lib.hasPrefix builtins.storeDir path));
  common = {
    interval = optional duration "Time between runs.";
    timeout = optional duration "Deadline of one run.";
  };
in
{
  backup =
    let
      keys = common // {
        jobs = optional (types.listOf (struct {
          units = optional types.str "service or glob, such as restic-backups-*.service; what the * matches becomes the label backup";
          expected_interval = optional duration "time between two runs where there is no timer to read it from";
        })) "backup jobs that systemd runs";
        artifacts = optional (types.listOf (struct {
          name = optional types.str "value of the label backup";
          path = optional types.str "file, folder, or glob whose newest match counts";
          format = optional types.str "pg_dump: the end of the newest file is checked (plain, gzip, zstd)";
          max_age = optional duration "age at which it is stale";
          unit = optional types.str "service that writes it; while that runs the file is not judged";
        })) "files or folders that backups leave behind";
      };
    in
    {
      summary = "Backup jobs that systemd runs: their last success, failures and next run, and the files that they must leave behind.";
      options = keys;
    };
  certificate =
    let
      keys = common // {
        files = optional (types.listOf (struct {
          type = optional types.str "value of the label type, such as nginx; ca is for authorities, which have alerts of their own";
          paths = optional (types.listOf types.str) "absolute paths, and patterns with * ? [] {} and ** for any folders";
          exclude = optional (types.listOf types.str) "patterns of paths, or of file names where they hold no slash, to leave out";
          key = optional types.str "path of the private key, with {dir} and {stem} of the certificate's; else the usual names beside it are tried";
          password_file = optional secret "file with the password of PKCS#12 files";
          optional = optional types.bool "true where it is in order that nothing is found";
        })) "groups of certificate files";
        endpoints = optional (types.listOf (struct {
          name = optional types.str "value of the label name, unique among the endpoints";
          address = optional types.str "host:port";
          server_name = optional types.str "name to ask for and to expect in the certificate; the host of the address where empty";
          starttls = optional types.str "protocol that begins in plain text: smtp, imap, pop3 or postgres";
          ca_file = optional types.str "trusted root certificates for this endpoint";
          serves = optional types.str "path of the certificate file that the server is configured with, to notice that it was renewed and not reloaded";
          timeout = optional duration "deadline of connection and handshake; 5s where empty";
        })) "TLS servers whose certificates are taken from a handshake";
        roots = optional (types.listOf types.str) "files of trusted root certificates, instead of the system's store; shown as type ca";
        intermediates = optional (types.listOf types.str) "files of intermediate certificates that complete the chains of files; shown as type ca";
        crls = optional (types.listOf types.str) "revocation lists, shown as type crl, by which chains are judged";
      };
    in
    {
      summary = "Certificates in files and on the wire: expiry, keys, chains, revocation, and whether servers present what the files hold.";
      options = keys;
    };
  container =
    let
      keys = common // {
        socket = optional types.str "absolute path of the engine's socket, such as /run/docker.sock; empty: Podman's own, of the user or the system";
        user = optional types.str "name of the user whose Podman it is; empty: the system's";
        expected = optional (types.listOf types.str) "names of containers that should run";
        quadlets = optional (types.listOf types.str) "folders whose *.container files name further containers that should run, such as /etc/containers/systemd";
      };
    in
    {
      summary = "Containers of Podman and Docker: whether those that should run do, health, exits, crash loops.";
      options = keys // {
        sources = optional (types.listOf (struct (keys // {
          name = mkOption {
            type = types.strMatching "[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}";
            description = "Unique name.";
          };
        }))) "What is observed; keys beside sources are the defaults of all.";
      };
    };
  criticalservice =
    let
      keys = common // {
        units = optional (types.listOf types.str) "names of units, such as nginx.service, and globs, such as \"redis-*.service\", which stand for the installed units that match and are not disabled or masked";
      };
    in
    {
      summary = "Whether each of a required list of systemd units is up.";
      options = keys;
    };
  dnsquery =
    let
      keys = common // {
        url = optional types.str "the server's web service, such as http://127.0.0.1:5380 or https://dns.example:53443";
        token_file = optional secret "file with an API token; its user needs Logs: View, and Dashboard: View and Settings: View for what is said of the server";
        ca_file = optional types.str "certificates to trust instead of the system's, PEM";
        app = optional types.str "name of the query log app, as installed; default `Query Logs (Sqlite)`";
        class_path = optional types.str "class path of the query log app, such as QueryLogsMySql.App; default `QueryLogsSqlite.App`";
        node = optional types.str "node of a cluster to ask about; by default the one at url";
        overlap = optional duration "how far reading looks behind the newest row, twice the longest time that single rows come late; steps of the server's clock may be longer; default `10m`";
        max_clients = optional types.int "most clients with a counter of their own; what later ones ask is counted as other; default `100`";
        clients = optional (types.listOf types.str) "addresses of the clients with a counter of their own, instead of the first ones that come";
        top_domains = optional types.int "how many of the most frequent names are shown; 0: none";
        update_check = optional types.bool "let the server ask its vendor once a day whether there is a newer version; default `true`";
        names = optional (struct {
          file = optional types.str "names of clients in the format of /etc/hosts, read again when it changes";
          resolver = optional types.str "DNS server for reverse lookups of clients, such as 192.0.2.1:53; none by default";
          resolver_is_logged = optional types.bool "the resolver may be the server that is being logged, whose log then holds our own lookups";
        }) "names of clients";
        loki = optional (struct {
          url = optional types.str "Loki's base URL, such as http://127.0.0.1:3100; by default nothing is sent";
          tenant = optional types.str "tenant, sent as X-Scope-OrgID";
          username = optional types.str "user for basic authentication";
          password_file = optional secret "file with the user's password";
          token_file = optional secret "file with a bearer token";
          ca_file = optional types.str "certificates to trust instead of the system's, PEM";
          cert_file = optional types.str "client certificate, PEM";
          key_file = optional types.str "key of the client certificate, PEM";
          job_label = optional types.str "value of the label job";
          labels = optional (types.listOf types.str) "further stream labels beside job, source, rcode and response_type, for dashboards that select them: client_ip, client_hostname, protocol, qtype; each multiplies the streams";
          queue_bytes = optional types.int "disk for rows that Loki has not taken; when it is full, rows stay at the server until there is room";
        }) "where each row is sent, once";
      };
    in
    {
      summary = "The query log of Technitium DNS servers: every query counted exactly once, in Prometheus and in Loki.";
      options = keys // {
        sources = optional (types.listOf (struct (keys // {
          name = mkOption {
            type = types.strMatching "[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}";
            description = "Unique name.";
          };
        }))) "What is observed; keys beside sources are the defaults of all.";
      };
    };
  homeassistant =
    let
      keys = common // {
        url = optional types.str "base URL of the API, such as http://127.0.0.1:8123";
        token_file = optional secret "file with a long-lived access token";
        ca_file = optional types.str "CA certificates to trust instead of the system's, PEM";
        backups = optional (types.listOf types.str) "folders with the backups, *.tar";
        config_dir = optional types.str "Home Assistant's configuration folder, whose .storage/backup has the schedule of backups";
        recorder_sqlite = optional types.str "the recorder's SQLite file, home-assistant_v2.db";
        recorder_dsn = optional types.str "connection string of the recorder's PostgreSQL database, without a password";
        recorder_password_file = optional secret "file with the password of the role in recorder_dsn";
      };
    in
    {
      summary = "Home Assistant: API, backups and their schedule, the recorder's database.";
      options = keys;
    };
  litellm =
    let
      keys = common // {
        postgres = optional (struct {
          dsn = optional types.str "connection string without a password, such as host=/run/postgresql user=exporter dbname=litellm, a URL, or service=name";
          password_file = optional secret "file with the role's password";
        }) "LiteLLM's database";
        redis = optional (struct {
          address = optional types.str "host:port, or the absolute path of a socket";
          username = optional types.str "ACL user; empty: the default user";
          password_file = optional secret "file with the password";
          tls = optional types.bool "use TLS";
          tls_ca_file = optional types.str "CA certificates to trust instead of the system's, PEM";
        }) "LiteLLM's Redis";
        url = optional types.str "the proxy, such as http://127.0.0.1:4000";
        key_file = optional secret "file with a key of the proxy, for its version and for the canary";
        by_team = optional types.bool "tell spend apart by the alias of the team; default `true`";
        by_key = optional types.bool "tell spend apart by the alias of the key; default `true`";
        max_label_values = optional types.int "most values of each label; what comes later is counted as other; default `100`";
        overlap = optional duration "longest time from the start of a request to its row in the database; default `2h`";
        canary = optional (struct {
          models = optional (types.listOf types.str) "models to ask; none by default";
          interval = optional duration "time between two completions of a model";
          timeout = optional duration "time limit of one completion";
        }) "completions that the exporter asks for; they cost money";
      };
    in
    {
      summary = "LiteLLM gateways: spend that agrees with the bill, latency, budgets, freshness of the records, health.";
      options = keys // {
        sources = optional (types.listOf (struct (keys // {
          name = mkOption {
            type = types.strMatching "[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}";
            description = "Unique name.";
          };
        }))) "What is observed; keys beside sources are the defaults of all.";
      };
    };
  mbsync =
    let
      keys = common // {
        user = optional types.str "name or uid of the user whose manager runs the services; the system's when empty";
        accounts = optional (types.listOf (struct {
          units = optional types.str "service or glob, such as mbsync-*.service; the label account is what the * matches, or a plain name without mbsync-";
          expected_interval = optional duration "time between two runs where there is no timer to read it from";
          maildir = optional types.str "folder that holds the mailboxes to count, such as /home/u/Mail/{account}; none are counted when empty";
          mailboxes = optional (types.listOf types.str) "mailboxes to count, as folders below maildir or globs; [INBOX] when empty";
          journals = optional types.str "glob of the journals of interrupted runs where SyncState is a folder, such as /home/u/.mbsync/:{account}-*.journal";
          summary_log = optional types.str "file to which the service appends what mbsync prints; isync 1.5 ends it with a line of numbers";
        })) "accounts that services synchronise";
      };
    in
    {
      summary = "Mail accounts that mbsync synchronises: last success, failures, exit status and rhythm of each, and messages in their Maildirs.";
      options = keys;
    };
  opnsense =
    let
      keys = common // {
        url = optional types.str "address of the firewall, https only";
        ca_file = optional types.str "PEM certificates to verify the firewall against instead of the system's; a self-signed certificate is its own CA";
        pin_sha256 = optional types.str "base64 of the SHA-256 of the firewall's public key, instead of a CA";
        server_name = optional types.str "name in the firewall's certificate where it is not the host of url";
        insecure_skip_verify = optional types.bool "accept any certificate: whoever answers gets the API key";
        key_file = optional secret "file with the API key; without one clients send their own and no facts are read";
        secret_file = optional secret "file with the API secret";
        listen = optional types.str "address of the proxy; empty for none; default `127.0.0.1:8444`";
        listen_tls = optional (struct {
          cert_file = optional types.str "PEM certificate chain";
          key_file = optional types.str "PEM private key";
          client_ca_file = optional types.str "PEM certificates that client certificates must come from; without it clients need none";
        }) "TLS on the proxy's address";
        client = optional (struct {
          key_file = optional secret "file with the user name";
          secret_file = optional secret "file with the password";
        }) "key and secret that the proxy's clients must show; needs key_file";
        allow = optional (types.listOf types.str) "endpoints below /api/ that the proxy serves beside those of opnsense-exporter; * matches within one segment";
        rules = optional (types.listOf (struct {
          endpoint = optional types.str "path below /api/";
          field = optional types.str "keys joined by dots, * for any other key, [] for the elements of a list: rows[].priority";
          type = optional types.str "string, int, number, bool, object or array";
          values = optional (types.attrsOf types.str) "JSON for certain texts, before the type's own mapping";
          inject = optional types.str "JSON for a field that is null, empty or missing; counted as injected";
        })) "types that clients expect, beside the built-in ones and before them";
        http_version = optional types.str "auto, 1.1 or 2, towards the firewall; default `auto`";
        upstream_timeout = optional duration "longest time that the firewall may take for one answer; default `15s`";
        max_response_bytes = optional types.int "largest answer that is passed on; default `8388608`";
      };
    in
    {
      summary = "OPNsense firewalls: their health, load and gateways, and a proxy that lets opnsense-exporter read the API of every version.";
      options = keys // {
        sources = optional (types.listOf (struct (keys // {
          name = mkOption {
            type = types.strMatching "[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}";
            description = "Unique name.";
          };
        }))) "What is observed; keys beside sources are the defaults of all.";
      };
    };
  postgres =
    let
      keys = common // {
        dsn = optional types.str "connection string without a password, such as host=/run/postgresql user=exporter dbname=postgres, a URL, or service=name";
        password_file = optional secret "file with the role's password";
        query_limits = optional (types.listOf duration) "times for which running queries are counted; default `[1m, 5m]`";
        ignore_applications = optional types.str "application names whose long transactions and queries are normal; default `pg_dump\\|pg_dumpall\\|pg_restore\\|pg_basebackup`";
        top_statements = optional types.int "how many of the slowest statements to show, where pg_stat_statements is installed; 0: none; default `10`";
      };
    in
    {
      summary = "PostgreSQL servers: up, connections, long queries, databases, wraparound, replication, slow statements.";
      options = keys // {
        sources = optional (types.listOf (struct (keys // {
          name = mkOption {
            type = types.strMatching "[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}";
            description = "Unique name.";
          };
        }))) "What is observed; keys beside sources are the defaults of all.";
      };
    };
  redis =
    let
      keys = common // {
        address = optional types.str "host:port, or the absolute path of a socket";
        username = optional types.str "ACL user; empty: the default user";
        password_file = optional secret "file with the password";
        tls = optional types.bool "use TLS";
        tls_ca_file = optional types.str "CA certificates to trust instead of the system's, PEM";
      };
    in
    {
      summary = "Redis servers: up, memory, clients, evictions, persistence, keyspace, replication.";
      options = keys // {
        sources = optional (types.listOf (struct (keys // {
          name = mkOption {
            type = types.strMatching "[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}";
            description = "Unique name.";
          };
        }))) "What is observed; keys beside sources are the defaults of all.";
      };
    };
  restic =
    let
      keys = common // {
        definitions = optional (types.listOf types.str) "globs of env files or of service units with Environment= and EnvironmentFile= (NixOS: /etc/systemd/system/restic-backups-*.service), each one more repository, named by what the * matches";
        location = optional types.str "as for restic -r (a folder, s3:, b2:, rest:, sftp:, rclone: ...); else RESTIC_REPOSITORY of environment_file";
        password_file = optional secret "file with the repository's password";
        password_command = optional types.str "command that prints the password, instead of password_file";
        environment_file = optional secret "KEY=value lines (or a service unit) with the backend's credentials; read, never run";
        binary = optional types.str "restic to call; a path, or a name on PATH; default `restic`";
        cache_dir = optional types.str "folder for restic's cache; restic's own default where empty";
        options = optional (types.listOf types.str) "extended options of the backend, each as after restic -o";
        max_age = optional duration "how old the newest snapshot of the repository may become; default `1d16h`";
        expect = optional (types.listOf (struct {
          host = optional types.str "host name of the snapshots";
          tags = optional (types.listOf types.str) "tags that the snapshots have, all of them";
          paths = optional (types.listOf types.str) "paths that the snapshots have, all of them";
          max_age = optional duration "how old the newest one may become; the repository's max_age where 0";
        })) "snapshots of certain hosts, tags or paths that there must be";
        retention = optional (struct {
          keep_last = optional types.int "as --keep-last";
          keep_hourly = optional types.int "as --keep-hourly";
          keep_daily = optional types.int "as --keep-daily";
          keep_weekly = optional types.int "as --keep-weekly";
          keep_monthly = optional types.int "as --keep-monthly";
          keep_yearly = optional types.int "as --keep-yearly";
        }) "what forget is told to keep, to see whether that is there";
        locks_interval = optional duration "time between two listings of locks; each pass while there are locks; 0 lists none; default `6h`";
        check = optional (struct {
          interval = optional duration "time between two checks, later than which one is told to be overdue; without unit and result_file the exporter runs them itself; 0 expects none";
          parts = optional types.int "the exporter's check reads one of so many parts of the data each time";
          timeout = optional duration "deadline of one of the exporter's checks";
          unit = optional types.str "service that checks the repository";
          result_file = optional types.str "file with the output of the last restic check, text or JSON";
        }) "integrity checks";
        restore_drill = optional (struct {
          interval = optional duration "time between two drills; 0 makes none";
        }) "restores of a random file";
      };
    in
    {
      summary = "restic repositories: snapshots and their age, sizes, locks, integrity, retention and restore drills.";
      options = keys // {
        sources = optional (types.listOf (struct (keys // {
          name = mkOption {
            type = types.strMatching "[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}";
            description = "Unique name.";
          };
        }))) "What is observed; keys beside sources are the defaults of all.";
      };
    };
  systemd =
    let
      keys = common // {
        user = optional types.str "name or uid of the user whose manager to watch; the system's when empty";
        include = optional types.str "units to show, as a regular expression for the whole name; default `.+`";
        exclude = optional types.str "units not to show, as a regular expression for the whole name; default `.+\\.(device\\|scope\\|slice\\|target)\\|(var-lib-(containers\\|docker)\\|run-(user\\|netns\\|credentials\\|docker))-.+\\.mount`";
        resources = optional types.bool "show memory, CPU time and tasks of running services, from their control groups";
        cgroup_root = optional types.str "where the control group hierarchy is mounted; default `/sys/fs/cgroup`";
      };
    in
    {
      summary = "States, failures, restarts and timers of systemd units, fed by D-Bus signals.";
      options = keys // {
        sources = optional (types.listOf (struct (keys // {
          name = mkOption {
            type = types.strMatching "[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}";
            description = "Unique name.";
          };
        }))) "What is observed; keys beside sources are the defaults of all.";
      };
    };
  zfs =
    let
      keys = common // {
        pools = optional (types.listOf types.str) "names of the pools that must be imported; pools that are found are shown in any case";
        include = optional (types.listOf types.str) "globs of the datasets to show (** crosses slashes); all where empty";
        exclude = optional (types.listOf types.str) "globs of datasets not to show nor to ask for, such as those of containers";
        scrub_max_age = optional duration "how old the last finished scrub of a pool may become; 0 expects none; default `40d`";
        snapshots = optional (types.listOf (struct {
          datasets = optional types.str "glob of dataset names (** crosses slashes)";
          names = optional types.str "glob of the snapshot names that count, such as autosnap_*_hourly; all where empty";
          max_age = optional duration "how old the newest of them may become";
        })) "how old the newest snapshot of datasets may become";
        sanoid_config = optional types.str "path of a sanoid.conf whose monitoring limits are expected as well";
      };
    in
    {
      summary = "ZFS pools, devices, scrubs, datasets and the rhythm of snapshots.";
      options = keys;
    };
}

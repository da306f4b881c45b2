# What the rest of the host's configuration says of what there is to watch, so that no list is
# kept twice: units of enabled services, restic repositories, certificates, containers.
{ config, lib }:
let
  inherit (lib) attrByPath concatMap filter filterAttrs mapAttrsToList optional optionalAttrs;
  at = path: default: attrByPath path default config;
  enabled = path: at (path ++ [ "enable" ]) false;

  # A unit counts where the service is enabled and the host really defines it: names of units
  # differ between releases of NixOS.
  units = path: names: if enabled path then filter (n: (at [ "systemd" "services" ] { }) ? ${n}) names else [ ];
  services = concatMap ({ path, names }: units path names) [
    { path = [ "services" "postgresql" ]; names = [ "postgresql" ]; }
    { path = [ "services" "mysql" ]; names = [ "mysql" ]; }
    { path = [ "services" "nginx" ]; names = [ "nginx" ]; }
    { path = [ "services" "caddy" ]; names = [ "caddy" ]; }
    { path = [ "services" "postfix" ]; names = [ "postfix" ]; }
    { path = [ "services" "dovecot2" ]; names = [ "dovecot" "dovecot2" ]; }
    { path = [ "services" "step-ca" ]; names = [ "step-ca" ]; }
    { path = [ "services" "prometheus" ]; names = [ "prometheus" ]; }
    { path = [ "services" "prometheus" "alertmanager" ]; names = [ "alertmanager" ]; }
    { path = [ "services" "grafana" ]; names = [ "grafana" ]; }
    { path = [ "services" "loki" ]; names = [ "loki" ]; }
    { path = [ "services" "victoriametrics" ]; names = [ "victoriametrics" ]; }
    { path = [ "services" "home-assistant" ]; names = [ "home-assistant" ]; }
    { path = [ "services" "node-red" ]; names = [ "node-red" ]; }
    { path = [ "services" "technitium-dns-server" ]; names = [ "technitium-dns-server" ]; }
    { path = [ "services" "openssh" ]; names = [ "sshd" ]; }
    { path = [ "services" "samba" ]; names = [ "samba-smbd" "samba-nmbd" "samba-winbindd" ]; }
  ];
  redis = mapAttrsToList (n: _: if n == "" then "redis" else "redis-${n}")
    (filterAttrs (_: s: s.enable or false) (at [ "services" "redis" "servers" ] { }));
  backend = at [ "virtualisation" "oci-containers" "backend" ] "podman";
  oci = at [ "virtualisation" "oci-containers" "containers" ] { };
  ociUnits = mapAttrsToList (n: c: c.serviceName or "${backend}-${n}") (filterAttrs (_: c: c.autoStart or true) oci);
  nspawn = mapAttrsToList (n: _: "container@${n}") (filterAttrs (_: c: c.autoStart or false) (at [ "containers" ] { }));
  critical = map (n: "${n}.service") (services ++ redis ++ ociUnits ++ nspawn);

  # restic: repositories that are written out or in an environment file; the secrets become
  # credentials of the exporter's unit. Of one whose address is in a file of its own (which the
  # exporter's configuration cannot name) an environment file holds no address either.
  all = at [ "services" "restic" "backups" ] { };
  # Such a one is a source where the user's settings name it.
  told = b: b.repository or null != null || (b.environmentFile or null != null && b.repositoryFile or null == null);
  credential = name: "\${CREDENTIALS_DIRECTORY}/${name}";
  # "--keep-daily 7" as keep_daily = 7
  retention = options: lib.listToAttrs (concatMap
    (option:
      let found = builtins.match "--keep-(last|hourly|daily|weekly|monthly|yearly)[ =]([0-9]+)" option;
      in optional (found != null) {
        name = "keep_${builtins.elemAt found 0}";
        value = lib.toInt (builtins.elemAt found 1);
      })
    options);
  source = name: b: { inherit name; }
    // optionalAttrs (b.repository or null != null) { location = b.repository; }
    // optionalAttrs (b.passwordFile or null != null) { password_file = credential "restic-${name}-password"; }
    // optionalAttrs (b.environmentFile or null != null) { environment_file = credential "restic-${name}-environment"; }
    // optionalAttrs (retention (b.pruneOpts or [ ]) != { }) { retention = retention b.pruneOpts; };
  resticCredentials = lib.foldl' (found: name:
    let b = all.${name}; in found
      // optionalAttrs (b.passwordFile or null != null) { "restic-${name}-password" = toString b.passwordFile; }
      // optionalAttrs (b.environmentFile or null != null) { "restic-${name}-environment" = toString b.environmentFile; }
  ) { } (builtins.attrNames all);

  jobs = optional (all != { }) { units = "restic-backups-*.service"; }
    ++ optional (enabled [ "services" "postgresqlBackup" ]) { units = "postgresqlBackup*.service"; };

  # Certificates: of the ACME client, and what servers are given.
  acme = mapAttrsToList (_: c: "${c.directory}/fullchain.pem") (at [ "security" "acme" "certs" ] { });
  given = path: let file = at path null; in optional (file != null) (toString file);
  nginx = if !(enabled [ "services" "nginx" ]) then [ ] else concatMap
    (host: optional (host.sslCertificate or null != null && host.useACMEHost or null == null && !(host.enableACME or false)) (toString host.sslCertificate))
    (builtins.attrValues (at [ "services" "nginx" "virtualHosts" ] { }));
  files = filter (group: group.paths != [ ]) [
    { type = "acme"; paths = acme; key = "{dir}/key.pem"; }
    { type = "nginx"; paths = lib.unique nginx; }
    { type = "postfix"; paths = given [ "services" "postfix" "sslCert" ]; }
    { type = "dovecot"; paths = given [ "services" "dovecot2" "sslServerCert" ]; }
    { type = "postgresql"; paths = given [ "services" "postgresql" "settings" "ssl_cert_file" ]; }
  ];
in
{
  zfs = at [ "boot" "zfs" "enabled" ] false;
  settings = { systemd = { }; }
    // optionalAttrs (critical != [ ]) { criticalservice.units = critical; }
    // optionalAttrs (jobs != [ ]) { backup.jobs = jobs; }
    // optionalAttrs (files != [ ]) { certificate.files = files; }
    // optionalAttrs (at [ "boot" "zfs" "enabled" ] false) { zfs = { }; };
  repositories = builtins.mapAttrs source all;
  credentials = resticCredentials;
  # Certificates of the ACME client and their keys are readable to their groups only, 0640.
  groups = lib.unique (mapAttrsToList (_: c: c.group or "acme") (at [ "security" "acme" "certs" ] { }));
  # Repositories whose address the exporter's configuration has to tell.
  skipped = builtins.attrNames (filterAttrs (_: b: !(told b)) all);
}

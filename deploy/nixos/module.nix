# NixOS module of vulcan_exporter:
#
#   services.vulcan-exporter = {
#     enable = true;
#     settings.backup.artifacts = [ { name = "postgresql"; path = "/var/backup/*.sql.zst"; format = "pg_dump"; } ];
#   };
#
# Units, restic repositories and certificates come from the host's own configuration
# (derive.nix); what is said in settings is added to that. The sandbox is that of
# deploy/systemd/vulcan-exporter.service, which the package installs.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkEnableOption mkIf mkMerge mkOption types;
  cfg = config.services.vulcan-exporter;
  collectors = import ./options.nix { inherit lib; };
  derived = import ./derive.nix { inherit config lib; };
  format = pkgs.formats.yaml { };

  # null is "not set", at any depth.
  clean = value:
    if builtins.isAttrs value then lib.mapAttrs (_: clean) (lib.filterAttrs (_: v: v != null) value)
    else if builtins.isList value then map clean value
    else value;
  # The user's sources over the derived repositories of the same names. Two of the user's of one
  # name stay two, which is told.
  withRepositories = all:
    let
      restic = clean (if all.restic or null == null then { } else all.restic);
      users = restic.sources or [ ];
      of = name: builtins.filter (s: s.name == name) users;
      over = name: repository:
        let said = builtins.head (of name); in
        if builtins.length (of name) != 1 then repository
        else lib.recursiveUpdate (builtins.removeAttrs repository (lib.optional (said ? password_command) "password_file")) said;
      known = lib.filterAttrs (name: _: of name != [ ] || !(builtins.elem name derived.skipped)) derived.repositories;
      sources = lib.mapAttrsToList over known
        ++ builtins.filter (s: !(known ? ${s.name}) || builtins.length (of s.name) != 1) users;
    in
    if !cfg.derive || known == { } then all else all // { restic = restic // { inherit sources; }; };

  # The home of a system's user is no folder to write to; restic's cache goes into the unit's.
  withCache = all:
    if all.restic or null == null then all
    else all // { restic = { cache_dir = "\${CACHE_DIRECTORY}"; } // clean all.restic; };

  settings = clean cfg.settings;
  text = builtins.toJSON settings;

  # The file, and whether it is checked: what is wrong fails the build of the system, with line and
  # column, not the service. A build sees none of the host's files, but the files that
  # restic.definitions match are read with the configuration: with them all but restic is checked.
  file = name: settings:
    let
      raw = format.generate name settings;
      some = if settings.restic.definitions or [ ] == [ ] then settings else builtins.removeAttrs settings [ "restic" ];
      seen = if some == settings then raw else format.generate "without-restic.yml" some;
    in
    if !cfg.checkConfig then raw else pkgs.runCommandLocal name { } ''
      export CREDENTIALS_DIRECTORY=/run/credentials CACHE_DIRECTORY=/var/cache STATE_DIRECTORY=/var/lib
      ${lib.optionalString (some != { }) "${cfg.package}/bin/vulcan_exporter check ${seen}"}
      cp ${raw} $out
    '';

  # Names after ''${CREDENTIALS_DIRECTORY}/ anywhere in the settings.
  wanted = lib.unique (map builtins.head (builtins.filter builtins.isList
    (builtins.split "[$][{]CREDENTIALS_DIRECTORY[}]/([A-Za-z0-9._@-]+)" text)));
  missing = builtins.filter (name: !(cfg.credentials ? ${name})) wanted;
  unknown = builtins.filter (name: !(collectors ? ${name})) (builtins.attrNames settings);
  repeated = builtins.filter
    (name:
      let names = map (s: s.name) (settings.${name}.sources or [ ]);
      in builtins.length names != builtins.length (lib.unique names))
    (builtins.attrNames settings);
in
{
  options.services.vulcan-exporter = {
    enable = mkEnableOption "vulcan_exporter, monitoring that cannot lie";
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      description = "The package.";
    };
    settings = mkOption {
      type = types.submodule {
        freeformType = format.type;
        options = lib.mapAttrs
          (_: collector: mkOption {
            type = types.nullOr (types.submodule {
              freeformType = format.type;
              inherit (collector) options;
            });
            default = null;
            description = collector.summary;
          })
          collectors;
      };
      default = { };
      apply = all: withCache (withRepositories all);
      description = "Configuration; a collector runs if and only if its key is set. A source of a derived restic repository's name sets its keys: { name = \"home\"; max_age = \"8d\"; }.";
    };
    derive = mkOption {
      type = types.bool;
      default = true;
      description = "Add what the host's configuration tells: enabled services, restic backups, certificates, containers, ZFS.";
    };
    credentials = mkOption {
      type = types.attrsOf types.str;
      default = { };
      description = "Secrets by name: files of root's that the settings name as \${CREDENTIALS_DIRECTORY}/NAME.";
    };
    listenAddresses = mkOption {
      type = types.listOf types.str;
      default = [ "127.0.0.1:9847" ];
      description = "Addresses to listen on.";
    };
    groups = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Groups that may read what is to be read; those of derived ACME certificates are added.";
    };
    extraFlags = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Further arguments, such as --web.config.file=/etc/vulcan_exporter/web.yml.";
    };
    checkConfig = mkOption {
      type = types.bool;
      default = true;
      description = "Check the configuration when the system is built; restic only without definitions, which are files of the host.";
    };
    prometheus = mkOption {
      type = types.bool;
      default = false;
      description = "Let this host's Prometheus scrape the exporter and load its rules.";
    };
  };

  config = mkIf cfg.enable (mkMerge [
    (mkIf cfg.derive {
      services.vulcan-exporter = {
        inherit (derived) settings;
        credentials = lib.filterAttrs (name: _: builtins.elem name wanted) derived.credentials;
      };
      warnings = map (name: "services.vulcan-exporter: restic backup ${name} has its repository in a file; set settings.restic.sources = [ { name = \"${name}\"; location = ...; } ].")
        (builtins.filter (name: !(builtins.any (s: s.name == name) (settings.restic.sources or [ ]))) derived.skipped);
    })
    (mkIf (derived.zfs && cfg.derive) {
      systemd.services.vulcan-exporter = {
        path = [ config.boot.zfs.package ];
        serviceConfig = {
          PrivateDevices = false;
          DevicePolicy = "closed";
          DeviceAllow = [ "/dev/zfs rw" ];
          # In a user namespace OpenZFS 2.2 and later show no pool, and no error.
          PrivateUsers = false;
        };
      };
    })
    (mkIf cfg.prometheus {
      services.prometheus = {
        scrapeConfigs = [{
          job_name = "vulcan_exporter";
          static_configs = [{ targets = cfg.listenAddresses; }];
        }];
        ruleFiles = map (name: "${cfg.package}/share/vulcan_exporter/alerts/${name}")
          (builtins.filter (lib.hasSuffix ".yml") (builtins.attrNames (builtins.readDir ../../alerts)));
      };
    })
    {
      assertions = [
        {
          assertion = settings != { };
          message = "services.vulcan-exporter: nothing to watch; set a collector in settings.";
        }
        {
          assertion = unknown == [ ];
          message = "services.vulcan-exporter.settings: unknown collectors ${toString unknown}; expected ${toString (builtins.attrNames collectors)}.";
        }
        {
          assertion = missing == [ ];
          message = "services.vulcan-exporter.credentials: the settings name ${toString missing}, which are not there.";
        }
        {
          assertion = repeated == [ ];
          message = "services.vulcan-exporter.settings: two sources of the same name in ${toString repeated}.";
        }
      ];
      users.users.vulcan-exporter = {
        isSystemUser = true;
        group = "vulcan-exporter";
        description = "Prometheus exporter";
      };
      users.groups.vulcan-exporter = { };
      environment.etc."vulcan_exporter.yml".source = file "vulcan_exporter.yml" settings;
      environment.systemPackages = [ cfg.package ];
      systemd.packages = [ cfg.package ];
      systemd.services.vulcan-exporter = {
        wantedBy = [ "multi-user.target" ];
        path = lib.optional (settings ? restic) pkgs.restic;
        # The unit's arguments; words of ARGS are split at spaces.
        environment.ARGS = toString (map (a: "--web.listen-address=${a}") cfg.listenAddresses ++ cfg.extraFlags);
        reloadTriggers = [ config.environment.etc."vulcan_exporter.yml".source ];
        serviceConfig = {
          LoadCredential = lib.mapAttrsToList (name: path: "${name}:${path}") cfg.credentials;
          SupplementaryGroups = lib.unique (cfg.groups ++ lib.optionals cfg.derive derived.groups);
        };
      };
    }
  ]);
}

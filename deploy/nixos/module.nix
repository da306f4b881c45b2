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
#
# What only another user may read is an instance's, vulcan-exporter@USER.service with the sandbox of
# deploy/systemd/vulcan-exporter@.service, and with an address of its own:
#
#   services.vulcan-exporter.instances.root = {
#     listenAddresses = [ "127.0.0.1:9848" ];
#     settings.restic.definitions = [ "/etc/systemd/system/restic-backups-*.service" ];
#   };
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
  # Whether an instance observes the derived repository, as a source or by its unit.
  ofInstances = of: builtins.concatLists (lib.mapAttrsToList (_: i: let restic = (clean i.settings).restic or { }; in of restic) cfg.instances);
  taken = name: builtins.any (s: s.name == name) (ofInstances (restic: restic.sources or [ ]));
  defined = name: builtins.any
    (glob: builtins.elem glob (map (n: "/etc/systemd/system/restic-backups-${n}.service") [ "*" name ]))
    (ofInstances (restic: restic.definitions or [ ]));

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
      # What the service's settings name is the service's in any case.
      known = lib.filterAttrs (name: _: of name != [ ] || !(taken name || defined name || builtins.elem name derived.skipped)) derived.repositories;
      sources = lib.mapAttrsToList over known
        ++ builtins.filter (s: !(known ? ${s.name}) || builtins.length (of s.name) != 1) users;
    in
    if !cfg.derive || known == { } then all else all // { restic = restic // { inherit sources; }; };

  # The home of a system's user is no folder to write to; restic's cache goes into the unit's.
  withCache = all:
    if all.restic or null == null then all
    else all // { restic = { cache_dir = "\${CACHE_DIRECTORY}"; } // clean all.restic; };

  # The file, and whether it is checked: what is wrong fails the build of the system, with line and
  # column, not the service. A build has none of the host's files and users, but what
  # restic.definitions match and the users of mbsync and systemd are looked up with the
  # configuration: with them all but that collector is checked.
  file = name: settings:
    let
      raw = format.generate name settings;
      users = all: builtins.any (s: s ? user) ([ all ] ++ all.sources or [ ]);
      left = lib.optional (settings.restic.definitions or [ ] != [ ]) "restic"
        ++ builtins.filter (name: users (settings.${name} or { })) [ "mbsync" "systemd" ];
      some = builtins.removeAttrs settings left;
      seen = if left == [ ] then raw else format.generate "without-${builtins.concatStringsSep "-" left}.yml" some;
    in
    if !cfg.checkConfig then raw else pkgs.runCommandLocal name { } ''
      export CREDENTIALS_DIRECTORY=/run/credentials CACHE_DIRECTORY=/var/cache STATE_DIRECTORY=/var/lib
      ${lib.optionalString (some != { }) "${cfg.package}/bin/vulcan_exporter check ${seen}"}
      cp ${raw} $out
    '';

  # One exporter of the host: its options and where they are, the unit and the file of its own.
  exporter = option: unit: name: cfg:
    let
      settings = clean cfg.settings;
      # Names after ''${CREDENTIALS_DIRECTORY}/ anywhere in the settings.
      wanted = lib.unique (map builtins.head (builtins.filter builtins.isList
        (builtins.split "[$][{]CREDENTIALS_DIRECTORY[}]/([A-Za-z0-9._@-]+)" (builtins.toJSON settings))));
      missing = builtins.filter (name: !(cfg.credentials ? ${name})) wanted;
      unknown = builtins.filter (name: !(collectors ? ${name})) (builtins.attrNames settings);
      repeated = builtins.filter
        (name:
          let names = map (s: s.name) (settings.${name}.sources or [ ]);
          in builtins.length names != builtins.length (lib.unique names))
        (builtins.attrNames settings);
    in
    {
      inherit unit name settings wanted;
      inherit (cfg) groups;
      file = file (builtins.replaceStrings [ "/" ] [ "-" ] name) settings;
      assertions = [
        {
          assertion = settings != { };
          message = "${option}: nothing to watch; set a collector in settings.";
        }
        {
          assertion = cfg.listenAddresses != [ ];
          message = "${option}.listenAddresses: no address.";
        }
        {
          assertion = unknown == [ ];
          message = "${option}.settings: unknown collectors ${toString unknown}; expected ${toString (builtins.attrNames collectors)}.";
        }
        {
          assertion = missing == [ ];
          message = "${option}.credentials: the settings name ${toString missing}, which are not there.";
        }
        {
          assertion = repeated == [ ];
          message = "${option}.settings: two sources of the same name in ${toString repeated}.";
        }
      ];
      service = {
        wantedBy = [ "multi-user.target" ];
        path = lib.optional (settings ? restic) pkgs.restic;
        # The unit's arguments; words of ARGS are split at spaces.
        environment.ARGS = toString (map (a: "--web.listen-address=${a}") cfg.listenAddresses ++ cfg.extraFlags);
        reloadTriggers = [ config.environment.etc.${name}.source ];
        serviceConfig.LoadCredential = lib.mapAttrsToList (name: path: "${name}:${path}") cfg.credentials;
      };
    };
  main = exporter "services.vulcan-exporter" "vulcan-exporter" "vulcan_exporter.yml" cfg;
  instances = lib.mapAttrsToList
    (user: exporter "services.vulcan-exporter.instances.${user}" "vulcan-exporter@${user}" "vulcan_exporter/${user}.yml")
    cfg.instances;
  inherit (main) settings wanted;

  addresses = cfg.listenAddresses ++ builtins.concatLists (lib.mapAttrsToList (_: i: i.listenAddresses) cfg.instances);
  shared = builtins.filter (a: builtins.length (builtins.filter (b: a == b) addresses) > 1) (lib.unique addresses);

  zfsService = {
    path = [ config.boot.zfs.package ];
    serviceConfig = {
      PrivateDevices = false;
      DevicePolicy = "closed";
      DeviceAllow = [ "/dev/zfs rw" ];
      # In a user namespace OpenZFS 2.2 and later show no pool, and no error.
      PrivateUsers = false;
    };
  };

  settingsType = types.submodule {
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
  # What the exporter and each of its instances have.
  credentials = mkOption {
    type = types.attrsOf types.str;
    default = { };
    description = "Secrets by name: files of root's that the settings name as \${CREDENTIALS_DIRECTORY}/NAME.";
  };
  extraFlags = mkOption {
    type = types.listOf types.str;
    default = [ ];
    description = "Further arguments, such as --web.config.file=/etc/vulcan_exporter/web.yml.";
  };
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
      type = settingsType;
      default = { };
      apply = all: withCache (withRepositories all);
      description = "Configuration; a collector runs if and only if its key is set. A source of a derived restic repository's name sets its keys: { name = \"home\"; max_age = \"8d\"; }.";
    };
    derive = mkOption {
      type = types.bool;
      default = true;
      description = "Add what the host's configuration tells: enabled services, restic backups, certificates, containers, ZFS.";
    };
    inherit credentials extraFlags;
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
    instances = mkOption {
      type = types.attrsOf (types.submodule {
        options = {
          inherit credentials extraFlags;
          settings = mkOption {
            type = settingsType;
            default = { };
            apply = withCache;
            description = "Configuration of the instance, /etc/vulcan_exporter/USER.yml; nothing is derived. A restic repository that it names, or whose /etc/systemd/system/restic-backups-NAME.service is one of its definitions, is not derived for the service.";
          };
          listenAddresses = mkOption {
            type = types.listOf types.str;
            description = "Addresses to listen on, such as 127.0.0.1:9848; no other instance's.";
          };
          groups = mkOption {
            type = types.listOf types.str;
            default = [ ];
            description = "Groups of the service beside the user's own.";
          };
        };
      });
      default = { };
      description = "Further exporters by the user that they run as, vulcan-exporter@USER.service, for what that user alone may read: root for local restic repositories and the system's Podman socket, alice for her user manager, Maildirs and containers. Root's has the right to read all files, and to write none.";
    };
    checkConfig = mkOption {
      type = types.bool;
      default = true;
      description = "Check the configuration when the system is built; all but restic with definitions, and mbsync and systemd with a user, which are the host's.";
    };
    prometheus = mkOption {
      type = types.bool;
      default = false;
      description = "Let this host's Prometheus scrape the exporter and its instances, and load the rules.";
    };
  };

  config = mkIf cfg.enable (mkMerge [
    (mkIf cfg.derive {
      services.vulcan-exporter = {
        inherit (derived) settings;
        credentials = lib.filterAttrs (name: _: builtins.elem name wanted) derived.credentials;
      };
      warnings = map (name: "services.vulcan-exporter: restic backup ${name} has its repository in a file; set settings.restic.sources = [ { name = \"${name}\"; location = ...; } ].")
        (builtins.filter (name: !(taken name) && !(builtins.any (s: s.name == name) (settings.restic.sources or [ ]))) derived.skipped);
    })
    (mkIf (derived.zfs && cfg.derive) {
      systemd.services.vulcan-exporter = zfsService;
    })
    (mkIf cfg.prometheus {
      services.prometheus = {
        scrapeConfigs = [{
          job_name = "vulcan_exporter";
          static_configs = [{ targets = addresses; }];
        }];
        ruleFiles = map (name: "${cfg.package}/share/vulcan_exporter/alerts/${name}")
          (builtins.filter (lib.hasSuffix ".yml") (builtins.attrNames (builtins.readDir ../../alerts)));
      };
    })
    {
      assertions = main.assertions ++ builtins.concatMap (i: i.assertions) instances ++ [
        {
          assertion = shared == [ ];
          message = "services.vulcan-exporter: ${toString shared} is listened on by more than one; set listenAddresses.";
        }
      ];
      users.users.vulcan-exporter = {
        isSystemUser = true;
        group = "vulcan-exporter";
        description = "Prometheus exporter";
      };
      users.groups.vulcan-exporter = { };
      environment.etc = lib.listToAttrs (map (e: { inherit (e) name; value.source = e.file; }) ([ main ] ++ instances));
      environment.systemPackages = [ cfg.package ];
      systemd.packages = [ cfg.package ];
      systemd.services.vulcan-exporter = mkMerge [
        main.service
        { serviceConfig.SupplementaryGroups = lib.unique (cfg.groups ++ lib.optionals cfg.derive derived.groups); }
      ];
    }
    {
      systemd.services = lib.listToAttrs (map
        (i: {
          name = i.unit;
          value = mkMerge [
            i.service
            # The rest of the unit, and its sandbox, is the packaged template's.
            { overrideStrategy = "asDropin"; serviceConfig.SupplementaryGroups = i.groups; }
            (lib.optionalAttrs (i.settings ? zfs) zfsService)
          ];
        })
        instances);
    }
  ]);
}

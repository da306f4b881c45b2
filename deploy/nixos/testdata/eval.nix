# Evaluates the module on a host: { host, user } -> what the host becomes.
{ host ? { }, user ? { } }:
let
  lib = import ./lib.nix;
  package = { outPath = "/nix/store/00000000000000000000000000000000-vulcan_exporter"; };
  pkgs = {
    formats.yaml = _: { type = lib.types.anything; generate = name: value: { outPath = "/nix/store/0-${name}"; inherit value; }; };
    runCommandLocal = name: _: script: { outPath = "/nix/store/1-${name}"; inherit script; };
    callPackage = _: _: package;
    restic = { outPath = "/nix/store/2-restic"; };
  };
  # Options of the module, and anything else that NixOS would have.
  module = import ../module.nix { inherit config lib pkgs; };
  defs = [ host user module.config ];
  config = lib.evalTree [ ] lib.types.anything module.options defs;
  failed = builtins.filter (a: !a.assertion) config.assertions;
in
{
  settings = builtins.fromJSON (builtins.unsafeDiscardStringContext
    (builtins.toJSON (import ./clean.nix config.services.vulcan-exporter.settings)));
  failed = map (a: a.message) failed;
  warnings = config.warnings or [ ];
  service = builtins.removeAttrs config.systemd.services.vulcan-exporter [ "path" "reloadTriggers" ];
  # By the names of the units and of the files below /etc.
  services = builtins.mapAttrs (_: s: builtins.removeAttrs s [ "path" "reloadTriggers" ] // { tools = map toString s.path; })
    (builtins.removeAttrs config.systemd.services (builtins.attrNames (host.systemd.services or { })));
  checks = builtins.mapAttrs (_: file: file.source.script) config.environment.etc;
  texts = builtins.mapAttrs (_: i: builtins.fromJSON (builtins.unsafeDiscardStringContext (builtins.toJSON (import ./clean.nix i.settings))))
    config.services.vulcan-exporter.instances;
  check = config.environment.etc."vulcan_exporter.yml".source.script;
  prometheus = builtins.removeAttrs (config.services.prometheus or { }) [ "enable" "alertmanager" ];
}

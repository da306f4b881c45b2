# nix build 'git+https://vulcan.lan/vulcan_exporter?dir=deploy/nixos'
{
  description = "Prometheus exporter for a self-hosted server that shows nothing it did not measure";
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      each = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = each (pkgs: { default = pkgs.callPackage ./package.nix { version = self.shortRev or "dirty"; }; });
      nixosModules.default = ./module.nix;
      checks = each (pkgs: { vm = pkgs.testers.runNixOSTest (import ./vm-test.nix { module = self.nixosModules.default; }); });
    };
}

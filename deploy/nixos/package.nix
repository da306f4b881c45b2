# The static binary with its units, rules and reference.
{ lib, buildGoModule, version ? "unstable", vendorHash ? lib.fileContents ./vendor-hash }:
buildGoModule {
  pname = "vulcan_exporter";
  inherit version;
  src = lib.cleanSource ../..;
  # Of `go mod vendor`, by vendor-hash.sh. When it is stale, Nix names the right one: pass that.
  inherit vendorHash;
  subPackages = [ "cmd/vulcan_exporter" ];
  env.CGO_ENABLED = 0;
  ldflags = [ "-s" "-w" "-X github.com/prometheus/common/version.Version=${version}" ];
  # The tests need root and real servers; the VM test runs the exporter.
  doCheck = false;
  postInstall = ''
    mkdir -p $out/lib/systemd/system $out/share/vulcan_exporter $out/share/doc/vulcan_exporter
    for unit in deploy/systemd/vulcan-exporter{,@}.service deploy/systemd/vulcan-exporter.socket; do
      substitute $unit $out/lib/systemd/system/$(basename $unit) --replace-quiet /usr/bin/vulcan_exporter $out/bin/vulcan_exporter
    done
    cp -r alerts $out/share/vulcan_exporter/alerts
    mkdir $out/share/vulcan_exporter/dashboards && cp dashboards/*.json $out/share/vulcan_exporter/dashboards/
    cp -r docs/collectors docs/security.md $out/share/doc/vulcan_exporter/
  '';
  meta = {
    description = "Prometheus exporter for a self-hosted server that shows nothing it did not measure";
    homepage = "https://vulcan.lan/vulcan_exporter";
    license = lib.licenses.asl20;
    mainProgram = "vulcan_exporter";
    platforms = lib.platforms.linux;
  };
}

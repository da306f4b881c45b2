# A virtual machine that runs the exporter beside what it derives: a web server, a restic backup.
{ module }:
{
  name = "vulcan-exporter";
  nodes.machine = { pkgs, ... }: {
    imports = [ module ];
    environment.systemPackages = [ pkgs.curl ];
    environment.etc."restic-password".text = "only in this test";
    services.nginx.enable = true;
    services.restic.backups.home = {
      repository = "/var/lib/backup";
      passwordFile = "/etc/restic-password";
      paths = [ "/etc/hosts" ];
      initialize = true;
      pruneOpts = [ "--keep-daily 7" ];
    };
    services.vulcan-exporter = {
      enable = true;
      settings.restic.interval = "5s";
    };
  };
  testScript = ''
    def metric(line):
        machine.wait_until_succeeds(f"curl -sf http://127.0.0.1:9847/metrics | grep -E '^{line}$'", timeout=120)

    machine.wait_for_unit("vulcan-exporter.service")
    metric('critical_service_active{source="default",name="nginx.service"} 1')
    metric('backup_job_configured{source="default",name="restic-backups-home.service",backup="home"} 1')
    machine.succeed("systemctl stop nginx.service")
    metric('critical_service_active{source="default",name="nginx.service"} 0')
    machine.succeed("systemctl start restic-backups-home.service")
    metric('backup_last_run_success{source="default",name="restic-backups-home.service",backup="home"} 1')
    # The repository is root's: what the exporter may not read it says.
    metric('restic_listing_success{repository="home"} 0')
    machine.succeed("systemctl reload vulcan-exporter.service")
    metric("vulcan_config_last_reload_successful 1")
    exposure = machine.succeed("systemd-analyze security vulcan-exporter.service | tail -1")
    assert "OK" in exposure, exposure
  '';
}

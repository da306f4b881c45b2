# A host as its own configuration describes it, in the options of NixOS.
{
  systemd.services = {
    postgresql = { };
    nginx = { };
    dovecot2 = { };
    sshd = { };
    redis-litellm = { };
  };
  services = {
    postgresql.enable = true;
    nginx = {
      enable = true;
      virtualHosts."www.example.org" = { sslCertificate = "/var/lib/nginx-certs/www.crt"; };
      virtualHosts."acme.example.org" = { enableACME = true; sslCertificate = "/never"; };
    };
    dovecot2 = { enable = true; sslServerCert = "/var/lib/dovecot-certs/dovecot.crt"; };
    grafana.enable = false;
    openssh.enable = true;
    redis.servers.litellm.enable = true;
    postgresqlBackup.enable = true;
    prometheus.enable = true;
    restic.backups = {
      Audio = {
        repository = "s3:s3.example.org/backups-audio";
        passwordFile = "/run/secrets/restic-password";
        environmentFile = "/run/secrets/aws-keys";
        pruneOpts = [ "--keep-daily 7" "--keep-weekly=5" "--group-by host" ];
      };
      local = { repository = "/tank/restic"; passwordFile = "/run/secrets/restic-password"; environmentFile = null; };
      hidden = { repository = null; repositoryFile = "/run/secrets/where"; passwordFile = "/x"; environmentFile = null; };
      hiddenToo = { repository = null; repositoryFile = "/run/secrets/where"; passwordFile = "/x"; environmentFile = "/run/secrets/aws-keys"; };
    };
  };
  security.acme.certs."acme.example.org" = { directory = "/var/lib/acme/acme.example.org"; group = "nginx"; };
  virtualisation.oci-containers = { backend = "podman"; containers.litellm = { autoStart = true; }; };
  containers.secure-nginx.autoStart = true;
  boot.zfs = { enabled = true; package = "zfs"; };
}

#!/bin/bash
# podman.sh DIR - serves the API of a real podman on DIR/podman.sock, alone in its namespaces:
# the service, its containers and all that they start end with the first process. Needs root;
# tests start it through testenv.StartPodman.
#
# DIR/root is a folder with a root file system, imported as localhost/busybox:test.
set -eu
dir=$1
case ${2:-} in
"")
  mkdir -p "$dir"/{store,tmp,cgroup}
  # A container shares what the namespace has: no network, no cgroup of its own.
  cat >"$dir/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=1024:1024"]
cgroups = "disabled"
netns = "none"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
CONF
  exec unshare --fork --kill-child=SIGKILL --pid --mount --net --uts --ipc \
    --propagation private --mount-proc "$0" "$dir" mounts "vulcan-podman.$$"
  ;;
mounts)
  mount -n -t tmpfs tmpfs /run
  mount -n -t cgroup2 none "$dir/cgroup"
  mkdir -p "$dir/cgroup/$3"
  echo 0 >"$dir/cgroup/$3/cgroup.procs"
  umount -n "$dir/cgroup"
  exec unshare --cgroup "$0" "$dir" serve
  ;;
serve)
  umount -n -R /sys/fs/cgroup 2>/dev/null || true
  # crun refuses a hybrid hierarchy.
  mount -n -t cgroup2 none /sys/fs/cgroup
  export CONTAINERS_CONF=$dir/containers.conf TMPDIR=$dir/tmp
  podman=(podman --root "$dir/store" --runroot /run/store --tmpdir /run/store/libpod --storage-driver vfs)
  tar -C "$dir/root" -cf "$dir/image.tar" .
  "${podman[@]}" import -q "$dir/image.tar" localhost/busybox:test
  "${podman[@]}" system service --time=0 "unix://$dir/podman.sock" &
  # This shell stays the first process and reaps the containers' monitors.
  while wait -n; [ $? -ne 127 ]; do :; done
  ;;
esac

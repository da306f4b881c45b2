#!/bin/bash
# systemd.sh DIR - boots a real `systemd --system` as PID 1 of a private PID namespace, with its
# own system bus. Runs in the foreground and needs root; tests start it through testenv.Systemd.
#
#   DIR/units        its /etc/systemd/system and the only unit files that it loads
#   DIR/run          its /run (the bus is DIR/run/dbus/system_bus_socket)
#   DIR/var          its /var/lib/systemd (stamps of Persistent= timers survive a reboot)
#   DIR/console.log  what PID 1 logs
#
# Everything else is the host's: services see the host's / and must not write there.
# Tear down by killing the inner PID 1 with SIGKILL; the namespace dies with it.
set -eu
dir=$1
stage=${2:-prepare}
case $stage in
prepare)
  mkdir -p "$dir"/{run,units/default.target.wants,var,cgroup,none}
  : >>"$dir/console.log"
  for target in default sysinit basic shutdown sockets timers; do
    unit=$dir/units/$target.target
    [ -e "$unit" ] || printf '[Unit]\nDefaultDependencies=no\n' >"$unit"
  done
  # The vendor's own bus units: what is tested is a real system bus.
  cp /lib/systemd/system/dbus.{socket,service} "$dir/units/"
  ln -sf ../dbus.socket ../dbus.service "$dir/units/default.target.wants/"
  exec unshare --fork --kill-child=SIGKILL --pid --mount --uts --ipc \
    --propagation private --mount-proc "$0" "$dir" mounts "vulcan-test.$$"
  ;;
mounts)
  # /run first, and -n always: otherwise mount(8) writes to the host's /run/mount.
  mount -n --bind "$dir/run" /run
  mount -n --bind "$dir/var" /var/lib/systemd
  # systemctl enable and mask write here, never to the host.
  mount -n --bind "$dir/units" /etc/systemd/system
  # A cgroup of our own in the unified hierarchy, on hosts with cgroup v1 too.
  mount -n -t cgroup2 none "$dir/cgroup"
  mkdir -p "$dir/cgroup/$3"
  echo 0 >"$dir/cgroup/$3/cgroup.procs"
  umount -n "$dir/cgroup"
  exec unshare --cgroup "$0" "$dir" boot
  ;;
boot)
  umount -n -R /sys/fs/cgroup 2>/dev/null || true
  mount -n -t cgroup2 none /sys/fs/cgroup
  mount -n --bind "$dir/console.log" /dev/console
  # Read-only sysctls: PID 1 would raise fs.nr_open and others for the whole host.
  mount -n --bind /proc/sys /proc/sys
  mount -n -o remount,bind,ro /proc/sys
  hostname vulcan-test
  # container= tells systemd that it is not alone on the hardware. Never drop it.
  exec env -i PATH="$PATH" container=vulcan-test SYSTEMD_LOG_TARGET=console \
    SYSTEMD_UNIT_PATH=/etc/systemd/system \
    SYSTEMD_GENERATOR_PATH="$dir/none" SYSTEMD_ENVIRONMENT_GENERATOR_PATH="$dir/none" \
    /lib/systemd/systemd --system --unit=default.target --show-status=no
  ;;
esac

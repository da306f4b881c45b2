#!/usr/bin/env bash
# Installs the Debian packages of packages.txt that are missing, so that the
# tests meet real software. As root on Debian only: elsewhere it names them and
# the tests that need them skip (or fail, with VULCAN_REQUIRE_ALL=1).
# The machine keeps its package sources, and no installed service is started:
# a policy-rc.d forbids it for as long as the installation runs.
set -euo pipefail

policy=/usr/sbin/policy-rc.d
list=$(dirname "$(readlink -f "$0")")/packages.txt

missing() {
	local name
	while read -r name; do
		dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null |
			grep -qx installed || echo "$name"
	done < <(grep -v '^#' "$list")
}

forbid_starts() {
	if [[ -e $policy ]]; then mv "$policy" "$policy.vulcan-saved"; fi
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 0755 "$policy"
}

restore_policy() {
	rm -f "$policy"
	if [[ -e $policy.vulcan-saved ]]; then mv "$policy.vulcan-saved" "$policy"; fi
}

install() {
	DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get install --yes --quiet=2 \
		--no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

if ! command -v dpkg-query >/dev/null; then
	echo "not Debian: the tests use these packages where they exist: $(grep -v '^#' "$list" | xargs)"
	exit 0
fi
"$(dirname "$list")"/restic-trixie.sh
mapfile -t packages < <(missing)
if ((${#packages[@]} == 0)); then exit 0; fi
if ((EUID != 0)); then
	echo "not root: missing Debian packages for the tests: ${packages[*]}"
	exit 0
fi

exec 9>/run/lock/vulcan_exporter-setup
flock 9
trap restore_policy EXIT
forbid_starts
echo "installing: ${packages[*]}"
# The lists may be absent or too old to name files that still exist: only then
# are they fetched, from the sources that the machine has.
install "${packages[@]}" || { apt-get update --quiet=2 && install "${packages[@]}"; }
mapfile -t packages < <(missing)
if ((${#packages[@]} != 0)); then
	echo "still missing after installation: ${packages[*]}" >&2
	exit 1
fi

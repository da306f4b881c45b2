#!/usr/bin/env bash
# Unpacks Debian trixie's restic (0.18) to .tools/restic-0.18 beside the
# machine's own 0.14, so that tests meet both. apt is given lists and a cache of
# its own: the machine's sources, lists and packages stay as they are, and
# Debian's archive key signs what is fetched. Where that cannot work (not Debian,
# no network) it says so and the tests that need this restic skip or fail.
set -euo pipefail

root=$(readlink -f "$(dirname "$(readlink -f "$0")")/..")
target=$root/.tools/restic-0.18
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

if [[ -x $target ]]; then exit 0; fi
if [[ ! -e $keyring ]] || ! command -v apt-get >/dev/null; then
	echo "no Debian: put a restic 0.18 at $target for the tests of newer versions"
	exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,unpacked} "$root/.tools"
# Debian's mirror, as the machine names it.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
	grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ') || true
echo "deb [signed-by=$keyring] ${mirror:-http://deb.debian.org/debian} trixie main" >"$work/sources"
apt=(apt-get --quiet=2
	-o Dir::Etc::SourceList="$work/sources" -o Dir::Etc::SourceParts=/dev/null
	-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache"
	-o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none)
if ! { "${apt[@]}" update && (cd "$work" && "${apt[@]}" download restic); }; then
	echo "cannot fetch trixie's restic: the tests of newer versions skip or fail"
	exit 0
fi
dpkg-deb --extract "$work"/restic_*.deb "$work/unpacked"
install -m 0755 "$work/unpacked/usr/bin/restic" "$target.new"
mv "$target.new" "$target"
"$target" version

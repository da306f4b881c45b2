#!/usr/bin/env bash
# archive.sh BINARY ARCH VERSION OUTDIR [HOST]: vulcan_exporter-VERSION.linux-ARCH.tar.gz with the binary, its
# man page and completions, the rules, dashboards and what deploys it. The same commit gives the
# same bytes: names are sorted, times are SOURCE_DATE_EPOCH, owners are root. HOST is a build for this
# machine, which prints the pages.
set -euo pipefail
binary=$(realpath "$1") arch=$2 version=$3 out=$(realpath -m "$4") host=$(realpath "${5:-$1}")
cd "$(dirname "$0")/../.."
name=vulcan_exporter-$version.linux-$arch
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name" "$out"
cp "$binary" "$work/$name/vulcan_exporter"
test/release/pages.sh "$host" "$work/$name"
git ls-files README.md LICENSE CHANGELOG.md alerts/'*.yml' alerts/runbooks dashboards/'*.json' deploy docs |
	grep -v '_test.go$\|^alerts/tests\|^alerts/catalogue\|/testdata/' | tar -cf - -T - | tar -xf - -C "$work/$name"
tar -C "$work" --sort=name --owner=root:0 --group=root:0 --numeric-owner --mode=go-w --mtime="@$SOURCE_DATE_EPOCH" -cf - "$name" |
	gzip -9n >"$out/$name.tar.gz"

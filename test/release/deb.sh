#!/usr/bin/env bash
# deb.sh BINARY ARCH VERSION OUT [HOST]: the Debian package, into the folder or the file OUT. The same
# commit gives the same bytes: times are SOURCE_DATE_EPOCH. HOST is a build for this machine, which
# prints the pages.
set -euo pipefail
binary=$(realpath "$1") arch=$2 version=$3 out=$(realpath -m "$4") host=$(realpath "${5:-$1}")
cd "$(dirname "$0")/../.."
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
test/release/pages.sh "$host" "$pages"
gzip -9n "$pages/vulcan_exporter.1"
gzip -9nc CHANGELOG.md >"$pages/changelog.gz"
export SOURCE_DATE_EPOCH GOARCH=$arch BINARY=$binary PAGES=$pages VERSION
VERSION=$(test/release/debversion.sh "$version")
nfpm package --config deploy/deb/nfpm.yaml --packager deb --target "$out"

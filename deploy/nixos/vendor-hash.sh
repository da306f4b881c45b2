#!/usr/bin/env bash
# vendor-hash.sh - writes the vendorHash of package.nix: the hash of `go mod vendor`, as
# buildGoModule takes it. To be run when go.sum or imports have changed; needs nix.
set -euo pipefail
cd "$(dirname "$0")"
vendor=$(mktemp -d)
trap 'rm -rf "$vendor"' EXIT
go -C ../.. mod vendor -o "$vendor/vendor"
nix --extra-experimental-features nix-command hash path "$vendor/vendor" >vendor-hash

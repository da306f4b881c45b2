#!/usr/bin/env bash
# Proves every alert anew: faults, mutations, contract and unit tests; then writes docs/proof.json
# and docs/proof.md. With the name of a test only that one's faults are run again, with '^$' none:
# enough where texts or unit tests have changed. Mutants are run of what has changed only.
set -euo pipefail
cd "$(dirname "$0")/../.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
touch "$dir/e2e.jsonl"
VULCAN_PROOF_DIR=$dir VULCAN_REQUIRE_ALL=1 go test -count 1 -timeout 60m -run "${1:-.}" ./test/e2e/...
go -C test/mutate run . -known "$PWD/docs/proof.json" -json "$dir/mutation.json"
go -C test/mutate run ./proof -update -check -mutation "$dir/mutation.json" -e2e "$dir/e2e.jsonl"

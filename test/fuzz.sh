#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for $1 each.
set -euo pipefail
cd "$(dirname "$0")/.."

grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' . | xargs -r -n1 dirname | sort -u |
	while read -r dir; do
		for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | cut -d' ' -f2); do
			echo "== $dir $target"
			go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-10s}" "$dir" </dev/null
		done
	done

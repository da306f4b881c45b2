#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, on $1 inputs each.
# A count, not a time: at the end of a time, Go before 1.27 may take its own
# deadline for a failure of the target (https://go.dev/issue/75804).
set -euo pipefail
cd "$(dirname "$0")/.."

grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' . | xargs -r -n1 dirname | sort -u |
	while read -r dir; do
		for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | cut -d' ' -f2); do
			echo "== $dir $target"
			# Where inputs are counted, go itself does not end a target that hangs.
			timeout 10m go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$dir" </dev/null
		done
	done

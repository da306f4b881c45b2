#!/usr/bin/env bash
# pages.sh HOST OUTDIR: the man page and the completions that HOST, a build for this machine, prints.
# What differs from build to build is left out: the same sources give the same pages.
set -euo pipefail
mkdir -p "$2/completion"
"$1" --help-man | sed '1s/.*/.TH VULCAN_EXPORTER 1/; /^  *\(build user\|build date\|go version\|platform\|tags\):/d; /(branch:/d' >"$2/vulcan_exporter.1"
"$1" --completion-script-bash >"$2/completion/vulcan_exporter.bash"
"$1" --completion-script-zsh >"$2/completion/_vulcan_exporter"

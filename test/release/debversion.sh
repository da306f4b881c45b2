#!/usr/bin/env bash
# debversion.sh VERSION: what git describe says, as Debian orders versions: v1.2.0-rc1 comes before
# v1.2.0 (~), commits after a tag come after it (+), and what has no tag comes before all (0~).
sed -E 's/^v([0-9])/\1/; s/-(alpha|beta|rc)/~\1/; s/-/+/g; /^[0-9]+\./!s/^/0~/' <<<"$1"

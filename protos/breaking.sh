#!/bin/sh
# Changes that break callers: against the last release's tag; where there is no release yet, against the commit before.
set -eu
cd "$(dirname "$0")"
base=$(git describe --tags --match 'v*' --abbrev=0 2>/dev/null || git rev-parse --verify --quiet HEAD~1) || {
  echo "no git history here: nothing to compare the contracts with"
  exit 0
}
git cat-file -e "$base:protos/trunkshow" 2>/dev/null || exit 0
"$BIN/buf" breaking --against "../.git#ref=$base,subdir=protos"

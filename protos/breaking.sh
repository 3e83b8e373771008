#!/bin/sh
# Changes that break callers: against the last release's tag, or against the last commit where there is no release yet.
set -eu
cd "$(dirname "$0")"
base=$(git describe --tags --match 'v*' --abbrev=0 2>/dev/null || git rev-parse --verify --quiet HEAD) || {
  echo "no git history here: nothing to compare the contracts with"
  exit 0
}
git cat-file -e "$base:protos/trunkshow" 2>/dev/null || exit 0
"$BIN/buf" breaking --against "../.git#ref=$base,subdir=protos"

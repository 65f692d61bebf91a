#!/usr/bin/env bash
# Holds .github/workflows to actionlint, which Go installs.
# usage: scripts/check-workflows.sh      exits 3, with the reason as its last line, where there is neither
set -euo pipefail
cd "$(dirname "$0")/.."

version=v1.7.7
if command -v actionlint >/dev/null; then
  lint=actionlint
else
  command -v go >/dev/null || { echo 'needs actionlint, or Go to install it' && exit 3; }
  mkdir -p "${CARGO_TARGET_DIR:-target}/tools"
  tools=$(cd "${CARGO_TARGET_DIR:-target}/tools" && pwd)
  lint=$tools/actionlint
  [ -x "$lint" ] || GOBIN=$tools go install "github.com/rhysd/actionlint/cmd/actionlint@$version"
fi
# What a shell script in a workflow does wrong is found where shellcheck is installed.
"$lint" -color=false .github/workflows/*.yml
echo "$(ls .github/workflows/*.yml | wc -l) workflows, nothing found"

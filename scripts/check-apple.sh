#!/usr/bin/env bash
# Type-checks the runtime with Metal for iOS and macOS, without Xcode. Metal's methods are looked up when the
# program runs, so this proves names and types, not behaviour.
# usage: scripts/check-apple.sh [TARGET…]      default: aarch64-apple-ios aarch64-apple-darwin
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- aarch64-apple-ios aarch64-apple-darwin
settings=$(scripts/std-source.sh "$@") && eval "$settings"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/cross
# All at once: what one waits for another need not.
cargo check --locked --package localgrad --package localgrad-ffi --features localgrad/metal,localgrad-ffi/metal "${@/#/--target=}"

#!/usr/bin/env bash
# Type-checks the runtime, the C ABI and the Kotlin library's native side for Android phones, without the NDK: nothing is
# linked.
# usage: scripts/check-android.sh [TARGET…]      default: aarch64-linux-android and armv7-linux-androideabi, whose
# words have 32 bits
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- aarch64-linux-android armv7-linux-androideabi
settings=$(scripts/std-source.sh "$@") && eval "$settings"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/cross
for target in "$@"; do
  cargo check --locked --package localgrad --package localgrad-ffi --package localgrad-jni --target "$target"
done

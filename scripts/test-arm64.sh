#!/usr/bin/env bash
# Runs the runtime's tests for 64-bit Arm Linux (Jetson) under emulation, the kernels compiled as they are shipped, and looks whether
# the inner loops of what was compiled keep their sums in registers.
# usage: scripts/test-arm64.sh [CARGO-TEST-ARGUMENT…]      such as: --test parts -- conv::
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
scripts/debian-packages.sh gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static llvm
settings=$(scripts/std-source.sh $target) && eval "$settings"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/cross
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
# Incremental builds leave parts of the kernels as calls.
export CARGO_INCREMENTAL=0
shipped=(opt-level=3 debug-assertions=false overflow-checks=false)
cargo test --locked --package localgrad --target $target "${shipped[@]/#/--config=profile.dev.package.localgrad.}" "$@"
# shellcheck disable=SC2012 # the newest
scripts/arm64_tiles.py check "$(ls -t "$CARGO_TARGET_DIR/$target"/debug/deps/liblocalgrad-*.rlib | head -n 1)"

#!/usr/bin/env bash
# Type-checks the workspace with CUDA where CUDA is not installed: by kernels of our own, which need none of it, and by candle's,
# for which a stand-in for nvcc makes empty ones.
# usage: scripts/check-cuda.sh [CARGO-ARGUMENT…]      default: --workspace
#
# The target directory is this check's own: a real build must never pick up the empty kernels.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- --workspace
target=${CARGO_TARGET_DIR:-target}
export CARGO_TARGET_DIR=$target/cuda-check
# What was compiled without CUDA serves as well, as far as it does not depend on it: copied, with its times.
if [ -d "$target/debug/.fingerprint" ] && [ ! -e "$CARGO_TARGET_DIR" ]; then
  mkdir -p "$CARGO_TARGET_DIR/debug/deps"
  cp -a "$target/debug/.fingerprint" "$target/debug/build" "$CARGO_TARGET_DIR/debug/"
  find "$target/debug/deps" -name 'lib*' -exec cp -a -t "$CARGO_TARGET_DIR/debug/deps" {} +
fi
cargo check --locked "$@" --features localgrad-cli/nvidia
export PATH=$PWD/scripts/stand-in:$PATH CUDARC_CUDA_VERSION=13000 CUDA_COMPUTE_CAP=90
cargo check --locked "$@" --features cuda

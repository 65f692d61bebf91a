#!/usr/bin/env bash
# Type-checks the workspace with CUDA where CUDA is not installed: a stand-in for nvcc makes empty kernels.
# usage: scripts/check-cuda.sh [CARGO-ARGUMENT…]      default: --workspace
#
# The target directory is this check's own: a real build must never pick up the empty kernels.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- --workspace
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/cuda-check
export PATH=$PWD/scripts/stand-in:$PATH CUDARC_CUDA_VERSION=13000 CUDA_COMPUTE_CAP=90
cargo check --locked "$@" --features cuda

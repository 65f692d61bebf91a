#!/usr/bin/env bash
# Type-checks the workspace with CUDA, which needs none of it to be installed.
# usage: scripts/check-cuda.sh [CARGO-ARGUMENT…]      default: --workspace
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- --workspace
cargo check --locked "$@" --features localgrad-cli/cuda,localgrad-ffi/cuda

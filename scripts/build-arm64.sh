#!/usr/bin/env bash
# Builds the program for 64-bit Arm Linux with glibc 2.31 or later (JetPack 5 and later, Ubuntu 20.04, Debian 11): with CUDA, and
# without any of NVIDIA's tools. Zig links it, from Python's wheels.
# usage: scripts/build-arm64.sh         target/cross/aarch64-unknown-linux-gnu/release/localgrad
#        scripts/build-arm64.sh check   whether all of it type-checks for such machines, alone
# Exits 3, with the reason as the last line, where a machine cannot do it.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
glibc=2.31
settings=$(scripts/std-source.sh $target) && eval "$settings"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/cross
if [ "${1:-}" = check ]; then
  cargo check --locked --package localgrad-cli --target $target
  exit
fi

venv=${ZIG_VENV:-target/zig}
[ -e "$venv/bin/python" ] || python3 -m venv "$venv" || { echo 'needs python3 with venv' && exit 3; }
"$venv/bin/pip" install --quiet --disable-pip-version-check ziglang==0.15.1 cargo-zigbuild==0.24.0 >&2 ||
  { echo "needs the wheels of ziglang and cargo-zigbuild" && exit 3; }
PATH=$(cd "$venv/bin" && pwd):$PATH
cargo zigbuild --locked --release --package localgrad-cli --target $target.$glibc
program=$CARGO_TARGET_DIR/$target/release/localgrad
scripts/glibc.sh "$program" $glibc
ls -l "$program"

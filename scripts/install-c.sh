#!/usr/bin/env bash
# Installs the C library: header, shared and static library, pkg-config file and CMake config.
# usage: scripts/install-c.sh PREFIX [PROFILE]      PROFILE: release (fast, the default) or mobile (small)
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || { sed -n '3s/^# //p' "$0" >&2 && exit 2; }
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
profile=${2:-release}
cargo build --locked --package localgrad-ffi --profile "$profile"
built=${CARGO_TARGET_DIR:-target}/$profile

mkdir -p "$prefix"/{include,lib/pkgconfig,lib/cmake/localgrad}
cp ffi/include/localgrad.h "$prefix/include/"
for library in liblocalgrad.so liblocalgrad.dylib liblocalgrad.a; do
  [ ! -e "$built/$library" ] || cp "$built/$library" "$prefix/lib/"
done
# Found from the file's own place, so that the prefix can be moved.
sed -e '/^#/d' -e 's|^prefix=.*|prefix=${pcfiledir}/../..|' -e 's|^libdir=.*|libdir=${prefix}/lib|' \
  ffi/localgrad.pc > "$prefix/lib/pkgconfig/localgrad.pc"
cp ffi/cmake/localgrad-config.cmake "$prefix/lib/cmake/localgrad/"
echo "installed in $prefix"

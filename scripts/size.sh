#!/usr/bin/env bash
# Builds the small shared library of the C ABI and holds its size to the limit and to the last one recorded.
# usage: scripts/size.sh [TARGET…]      default: the machine's own, without a device and with CUDA; exits 1 above a limit
# LOCALGRAD_WRITE_SIZE=1 records the sizes in docs/size.txt
set -euo pipefail
cd "$(dirname "$0")/.."

mib=$((1024 * 1024))
host=$(rustc -vV | sed -n 's/^host: //p')
directory=${CARGO_TARGET_DIR:-target}
record=docs/size.txt

build() { # CARGO-ARGUMENT…
  cargo build --locked --quiet --package localgrad-ffi --profile mobile "$@"
}

hold() { # name library limit
  local bytes before growth='none recorded before'
  bytes=$(stat -c %s "$2")
  before=$(awk -v name="$1" '$1 == name { print $2 }' "$record" 2>/dev/null || true)
  [ -z "$before" ] || growth=$(printf '%+d since %d were recorded' $((bytes - before)) "$before")
  echo "$1: $bytes bytes stripped, $growth; the limit is $3"
  if [ -n "${LOCALGRAD_WRITE_SIZE:-}" ]; then
    { grep -vF "$1 " "$record" 2>/dev/null || true; echo "$1 $bytes"; } | sort > "$record.part"
    mv "$record.part" "$record"
  fi
  [ "$bytes" -lt "$3" ] || { echo "$1: too large" && exit 1; }
}

[ $# -gt 0 ] || set -- "$host"
for target in "$@"; do
  if [ "$target" = "$host" ]; then
    build
    hold "$host" "$directory/mobile/liblocalgrad.so" $((4 * mib))
    case $host in *-linux-*)
      build --features cuda
      hold "$host+cuda" "$directory/mobile/liblocalgrad.so" $((5 * mib)) ;;
    esac
    continue
  fi
  # The shared library is linked by the target's own compiler, where it has one.
  settings=$(scripts/std-source.sh "$target") && eval "$settings"
  name=${target//-/_}
  export "CARGO_TARGET_${name^^}_LINKER=${target/-unknown-/-}-gcc"
  CARGO_TARGET_DIR=$directory/cross build --target "$target"
  hold "$target" "$directory/cross/$target/mobile/liblocalgrad.so" $((4 * mib))
done

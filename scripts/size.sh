#!/usr/bin/env bash
# Builds the small shared library of the C ABI and holds its size to the limit and to the last one recorded.
# usage: scripts/size.sh [TARGET…]      default: the machine's own; exits 1 above the limit
# LOCALGRAD_WRITE_SIZE=1 records the sizes in docs/size.txt
set -euo pipefail
cd "$(dirname "$0")/.."

limit=$((4 * 1024 * 1024))
host=$(rustc -vV | sed -n 's/^host: //p')
[ $# -gt 0 ] || set -- "$host"
record=docs/size.txt
for target in "$@"; do
  directory=${CARGO_TARGET_DIR:-target}
  if [ "$target" = "$host" ]; then
    cargo build --locked --quiet --package localgrad-ffi --profile mobile
    library=$directory/mobile/liblocalgrad.so
  else
    # The shared library is linked by the target's own compiler, where it has one.
    settings=$(scripts/std-source.sh "$target") && eval "$settings"
    name=${target//-/_}
    export "CARGO_TARGET_${name^^}_LINKER=${target/-unknown-/-}-gcc"
    CARGO_TARGET_DIR=$directory/cross \
      cargo build --locked --quiet --package localgrad-ffi --profile mobile --target "$target"
    library=$directory/cross/$target/mobile/liblocalgrad.so
  fi
  bytes=$(stat -c %s "$library")
  before=$(awk -v target="$target" '$1 == target { print $2 }' "$record" 2>/dev/null || true)
  growth='none recorded before'
  [ -z "$before" ] || growth=$(printf '%+d since %d were recorded' $((bytes - before)) "$before")
  echo "$target: $bytes bytes stripped, $growth; the limit is $limit"
  if [ -n "${LOCALGRAD_WRITE_SIZE:-}" ]; then
    { grep -v "^$target " "$record" 2>/dev/null || true; echo "$target $bytes"; } | sort > "$record.part"
    mv "$record.part" "$record"
  fi
  [ "$bytes" -lt "$limit" ] || { echo "$target: too large" && exit 1; }
done

#!/usr/bin/env bash
# Which glibc a program or library needs at the least, whatever processor it is for: the newest version among its symbols.
# usage: scripts/glibc.sh FILE [MOST]      prints it; exits 1 where it is newer than MOST
set -euo pipefail

versions=$(readelf --version-info --wide "$1" | grep -o 'GLIBC_[0-9.]*' | sort -uV)
needed=$(tail -n 1 <<<"${versions:-GLIBC_0}")
needed=${needed#GLIBC_}
most=${2:-$needed}
if [ "$(printf '%s\n' "$needed" "$most" | sort -V | tail -n 1)" != "$most" ]; then
  echo "$1 needs glibc $needed, and $most is the most it may, for:"
  readelf --dyn-syms --wide "$1" | grep -F "@GLIBC_$needed" | awk '{ print "  " $8 }'
  exit 1
fi
echo "$needed"

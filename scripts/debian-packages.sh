#!/usr/bin/env bash
# Installs the Debian packages that are missing; does nothing where all are there.
# usage: scripts/debian-packages.sh NAME…      exits 3 where packages cannot be installed
set -euo pipefail

missing=()
for name in "$@"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  echo "needs the Debian packages ${missing[*]}; install them, or run as root on Debian" >&2
  exit 3
fi
apt-get -o Acquire::Retries=3 update -qq
DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 install -y -qq --no-install-recommends \
  -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null

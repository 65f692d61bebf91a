#!/usr/bin/env bash
# Runs a command where Swift 6 is: on this machine where it has Swift, else inside a folder with Debian's toolchain, in
# which this directory lies at the same path. That folder is made once, in about two minutes, and takes 3 GB.
# usage: scripts/with-swift.sh COMMAND…      exits 3, with the reason as its last line, where Swift cannot be had
# LOCALGRAD_SWIFT_ROOT says where the folder is, if not in the user's cache.
set -euo pipefail
cd "$(dirname "$0")/.."

cannot() { echo "$1" >&2 && exit 3; }

if command -v swift >/dev/null; then
  version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\).*/\1/p' | head -1)
  [ "${version:-0}" -ge 6 ] || cannot "needs Swift 6, and this machine has Swift ${version:-of an unknown version}"
  exec "$@"
fi

[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ -r /etc/apt/sources.list.d/debian.sources ] ||
  cannot 'needs Swift 6: install it from swift.org, or run as root on Debian'
unshare --mount true 2>/dev/null || cannot 'needs Swift 6, and this machine lets nobody mount what a folder with it needs'

folder=${LOCALGRAD_SWIFT_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/localgrad/swift}

install_swift() {
  local mirror
  mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources)
  scripts/debian-packages.sh debootstrap || return 1
  # Made aside and moved, so that an interrupted run leaves no half of it.
  rm -rf "$folder.part"
  debootstrap --variant=minbase --include=ca-certificates trixie "$folder.part" "$mirror" >/dev/null || return 1
  chroot "$folder.part" apt-get -o Acquire::Retries=3 update -qq || return 1
  DEBIAN_FRONTEND=noninteractive chroot "$folder.part" apt-get -o Acquire::Retries=3 install -y -qq \
    --no-install-recommends -o Dpkg::Use-Pty=0 swiftlang libc6-dev libstdc++-14-dev g++ git >/dev/null || return 1
  chroot "$folder.part" apt-get clean
  mv -T "$folder.part" "$folder"
}

mkdir -p "$(dirname "$folder")"
(
  flock 9
  # Not swift itself, a link that only the folder's own root can follow.
  [ -x "$folder/usr/bin/swiftc" ] || install_swift >&2
) 9>"$folder.lock" || cannot "Debian's Swift could not be installed in $folder"

# What is mounted here is gone with the process, however that ends.
export folder
exec unshare --mount --propagation private bash -euc '
  here=$PWD
  mkdir -p "$folder$here"
  mount -t proc proc "$folder/proc"
  mount --rbind /dev "$folder/dev"
  mount --bind "$here" "$folder$here"
  if [ -n "${CARGO_TARGET_DIR:-}" ] && [ -d "$CARGO_TARGET_DIR" ]; then
    built=$(cd "$CARGO_TARGET_DIR" && pwd)
    mkdir -p "$folder$built"
    mount --bind "$built" "$folder$built"
  fi
  exec chroot "$folder" env HOME=/tmp TMPDIR=/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    bash -c "cd \"\$0\" && exec \"\$@\"" "$here" "$@"
' with-swift "$@"

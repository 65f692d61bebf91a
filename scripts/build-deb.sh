#!/usr/bin/env bash
# Packs the program for Debian, Ubuntu and JetPack, with units of systemd that train at night.
# usage: scripts/build-deb.sh [PROGRAM]      default: target/release/localgrad; prints the package's path, in target/deb
# DEB_LEVEL is how hard it compresses, 0 to 9 (default: 6).
# For a Jetson: scripts/build-arm64.sh, then with the path that it says. Exits 3, with the reason as the last line, where that
# cannot be done.
set -euo pipefail
cd "$(dirname "$0")/.."

program=${1:-${CARGO_TARGET_DIR:-target}/release/localgrad}
for tool in dpkg-deb readelf; do
  command -v $tool >/dev/null || { echo "needs $tool, of Debian's dpkg and binutils" && exit 3; }
done
machine=$(readelf --file-header "$program" | sed -n 's/^ *Machine: *//p')
case $machine in
  AArch64) architecture=arm64 strips=aarch64-linux-gnu-strip ;;
  *X86-64) architecture=amd64 strips=x86_64-linux-gnu-strip ;;
  *) echo "no package for $machine" && exit 3 ;;
esac
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
out=${CARGO_TARGET_DIR:-target}/deb
tree=$out/localgrad_${version}_$architecture
rm -rf "$tree" && mkdir -p "$tree"/{DEBIAN,usr/bin,usr/lib/systemd/system,usr/share/doc/localgrad,etc/localgrad}

install -m 755 "$program" "$tree/usr/bin/localgrad"
# What debuggers want is half of the file. A compiler for another processor brings a program that can take it out.
command -v $strips >/dev/null || strips=strip
$strips --strip-unneeded "$tree/usr/bin/localgrad" 2>/dev/null || true
install -D -m 755 benches/board.sh "$tree/usr/share/localgrad/board.sh"
install -m 644 scripts/deb/*.service scripts/deb/*.timer "$tree/usr/lib/systemd/system"
install -m 644 scripts/deb/night.conf "$tree/etc/localgrad"
install -m 644 README.md docs/jetson.md docs/arm64.md "$tree/usr/share/doc/localgrad"
{
  echo 'localgrad is licensed under MIT or Apache-2.0, at your choice.'
  echo 'The embedded images are those of Fashion-MNIST.'
  for license in LICENSE-MIT cli/data/LICENSE-fashion-mnist; do printf '\n== %s\n\n' $license && cat $license; done
  printf '\n== LICENSE-APACHE\n\n/usr/share/common-licenses/Apache-2.0 has its text.\n'
} > "$tree/usr/share/doc/localgrad/copyright"

depends="libc6 (>= $(scripts/glibc.sh "$program"))"
! readelf --dynamic "$program" | grep -q 'libgcc_s\.so' || depends="$depends, libgcc-s1"
echo /etc/localgrad/night.conf > "$tree/DEBIAN/conffiles"
cat > "$tree/DEBIAN/control" <<CONTROL
Package: localgrad
Version: $version
Architecture: $architecture
Maintainer: localgrad <localgrad@localhost>
Section: science
Priority: optional
Depends: $depends
Installed-Size: $(du -sk "$tree" | cut -f1)
Description: trains neural networks on the device they run on, block by block
 One program that needs nothing else, within a budget of memory: on CPUs, and on
 NVIDIA's cards and boards where their driver is installed. With timers for
 training at night.
CONTROL
find "$tree" -type d -exec chmod 755 {} +
dpkg-deb --root-owner-group --build -Zxz "-z${DEB_LEVEL:-6}" "$tree" "$tree.deb" >&2
rm -rf "$tree"
echo "$tree.deb"

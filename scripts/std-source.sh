#!/usr/bin/env bash
# Makes cargo able to build for TARGETs whose standard library is not installed, by building that from source.
# usage: eval "$(scripts/std-source.sh TARGET…)"      exits 3 where no source for this rustc can be had
#
# The source is Debian's rust-src for exactly the running rustc. It is fetched with lists and a cache of our own,
# so the machine's apt set-up stays as it is. Prints nothing if every target is installed already.
set -euo pipefail

all_installed=yes
for target in "$@"; do
  [ -d "$(rustc --print target-libdir --target "$target")" ] || all_installed=no
done
[ $all_installed = no ] || exit 0

version=$(rustc -V | cut -d' ' -f2)
home=${CARGO_TARGET_DIR:-$(cd "$(dirname "$0")/.." && pwd)/target}/std-source
mkdir -p "$home" && home=$(cd "$home" && pwd)
library=$home/usr/src/rustc-$version/library

fetch_source() {
  local sources=/etc/apt/sources.list.d/debian.sources mirror package
  if [ ! -r $sources ] || ! command -v apt-get >/dev/null; then
    echo "no standard library for $*: try 'rustup target add $*'" >&2
    exit 3
  fi
  mirror=$(awk '/^URIs:/ { print $2; exit }' $sources)
  mkdir -p "$home"/apt/{lists/partial,cache/archives/partial,parts}
  : >"$home/apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie-backports main" \
    >"$home/apt/sources.list"
  cat >"$home/apt/apt.conf" <<CONF
Dir::State::Lists "$home/apt/lists";
Dir::State::status "$home/apt/status";
Dir::Cache "$home/apt/cache";
Dir::Etc::SourceList "$home/apt/sources.list";
Dir::Etc::SourceParts "$home/apt/parts";
Dir::Etc::PreferencesParts "$home/apt/parts";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "root";
CONF
  export APT_CONFIG=$home/apt/apt.conf
  apt-get update -qq -o APT::Update::Error-Mode=any >&2
  package=$(apt-cache madison rust-src | awk -v version="$version+" 'index($3, version) == 1 { print $3; exit }')
  if [ -z "$package" ]; then
    echo "the Debian mirror has no rust-src $version; try 'rustup target add $*'" >&2
    exit 3
  fi
  (cd "$home" && apt-get download -qq "rust-src=$package" >&2)
  # Unpacked aside and moved, so that an interrupted run leaves no half of it.
  rm -rf "$home/unpacked"
  dpkg -x "$home"/rust-src_*.deb "$home/unpacked"
  rm -rf "$home/usr" && mv "$home/unpacked/usr" "$home/usr"
  rm -rf "$home"/rust-src_*.deb "$home/unpacked" "$home/apt"
}

[ -d "$library" ] || fetch_source "$@"
cat <<ENV
export RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_abort __CARGO_TESTS_ONLY_SRC_ROOT='$library'
ENV

#!/usr/bin/env bash
# Builds the libraries that the Swift package carries on Apple's systems, and a package of them that stands by itself.
# usage: scripts/build-xcframework.sh [TARGET…]
# default: aarch64-apple-ios aarch64-apple-ios-sim aarch64-apple-darwin, and on a Mac x86_64-apple-ios and
# x86_64-apple-darwin beside the last two. LOCALGRAD_FEATURES=metal builds them with Metal.
#
# The result is ios/build/CLocalgrad.xcframework, and with all three platforms ios/build/localgrad-swift.zip beside it.
# Without Xcode each library is linked by LLVM's linker, with every function of the header, against what Apple's systems
# would bring: whatever is missing and is not the system's is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
  set -- aarch64-apple-ios aarch64-apple-ios-sim aarch64-apple-darwin
  ! command -v lipo >/dev/null || set -- "$@" x86_64-apple-ios x86_64-apple-darwin
fi
settings=$(scripts/std-source.sh "$@") && eval "$settings"
target=${CARGO_TARGET_DIR:-target}/cross
# As the package's manifest says.
export IPHONEOS_DEPLOYMENT_TARGET=16.0 MACOSX_DEPLOYMENT_TARGET=13.0
out=ios/build
framework=$out/CLocalgrad.xcframework
rm -rf "$framework" && mkdir -p "$framework"

build() { # target
  # One kind of library alone: a shared one would look for Xcode.
  CARGO_TARGET_DIR=$target cargo rustc --locked --quiet --package localgrad-ffi --profile mobile \
    ${LOCALGRAD_FEATURES:+--features "$LOCALGRAD_FEATURES"} --crate-type staticlib --target "$1"
}

platform() { # target: the folder, the platform and its variant
  case $1 in
    *-ios-sim | x86_64-apple-ios) echo 'ios-simulator ios simulator' ;;
    *-ios) echo 'ios-device ios -' ;;
    *-darwin) echo 'macos macos -' ;;
    *) echo "$1 is no target of Apple's" >&2 && return 1 ;;
  esac
}

architecture() { case $1 in aarch64-*) echo arm64 ;; *) echo x86_64 ;; esac; }

# Links all functions of the header from a library, and says which symbols are left to the system.
prove() { # target library
  local arch version proof=$target/proof linker
  arch=$(architecture "$1")
  linker=$(find "$(rustc --print sysroot)" -path '*/gcc-ld/ld64.lld' | head -1)
  [ -n "$linker" ] || { echo "  $1: no ld64.lld in the Rust toolchain, not linked" && return; }
  case $1 in
    *-ios-sim | x86_64-apple-ios) version='ios-simulator 16.0 16.0' ;;
    *-ios) version='ios 16.0 16.0' ;;
    *) version='macos 13.0 13.0' ;;
  esac
  mkdir -p "$proof"
  {
    grep -oE '\blg_[a-z0-9_]+\(' ffi/include/localgrad.h | sort -u | sed 's/^/-u _/; s/($//'
  } > "$proof/functions"
  # shellcheck disable=SC2046,SC2086 # words are meant
  "$linker" -arch "$arch" -platform_version $version -dylib -dead_strip -flat_namespace -undefined warning \
    $(cat "$proof/functions") "$2" -o "$proof/$1.dylib" 2> "$proof/$1.log" || { tail -n 20 "$proof/$1.log" && return 1; }
  grep -oE 'undefined symbol: .*' "$proof/$1.log" | sed 's/undefined symbol: //' | sort -u > "$proof/$1.undefined" || true
  if grep -E '^_?(lg_|.*localgrad|_?_?R[NIM]|_?_ZN)' "$proof/$1.undefined"; then
    echo "$1: these symbols are missing" && return 1
  fi
  printf '  %s: %d functions linked, %d symbols left to the system, %d bytes\n' "$1" \
    "$(wc -l < "$proof/functions")" "$(wc -l < "$proof/$1.undefined")" "$(stat -c %s "$proof/$1.dylib" 2>/dev/null ||
      stat -f %z "$proof/$1.dylib")"
}

for triple in "$@"; do
  read -r folder _ < <(platform "$triple")
  build "$triple"
  library=$target/$triple/mobile/liblocalgrad.a
  command -v xcodebuild >/dev/null || prove "$triple" "$library"
  if [ -e "$framework/$folder/liblocalgrad.a" ]; then
    lipo -create "$framework/$folder/liblocalgrad.a" "$library" -output "$framework/$folder/both.a"
    mv "$framework/$folder/both.a" "$framework/$folder/liblocalgrad.a"
    echo "$(cat "$framework/$folder/architectures") $(architecture "$triple")" > "$framework/$folder/architectures"
    continue
  fi
  mkdir -p "$framework/$folder/Headers"
  cp "$library" "$framework/$folder/"
  cp ffi/include/localgrad.h "$framework/$folder/Headers/"
  # The header lies beside it, and the linker is given the library.
  sed -e 's|"[^"]*localgrad.h"|"localgrad.h"|' -e '/link /d' ios/Sources/CLocalgrad/module.modulemap \
    > "$framework/$folder/Headers/module.modulemap"
  architecture "$triple" > "$framework/$folder/architectures"
  platform "$triple" > "$framework/$folder/platform"
done

property() { printf '%s<key>%s</key><string>%s</string>\n' '      ' "$1" "$2"; }
{
  cat <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>CFBundlePackageType</key><string>XFWK</string>
  <key>XCFrameworkFormatVersion</key><string>1.0</string>
  <key>AvailableLibraries</key>
  <array>
XML
  for place in "$framework"/*/; do
    read -r folder system variant < "$place/platform"
    echo '    <dict>'
    property LibraryIdentifier "$folder"
    property LibraryPath liblocalgrad.a
    property BinaryPath liblocalgrad.a
    property HeadersPath Headers
    property SupportedPlatform "$system"
    [ "$variant" = - ] || property SupportedPlatformVariant "$variant"
    echo '      <key>SupportedArchitectures</key><array>'
    for arch in $(cat "$place/architectures"); do echo "        <string>$arch</string>"; done
    printf '      </array>\n    </dict>\n'
  done
  printf '  </array>\n</dict>\n</plist>\n'
} > "$framework/Info.plist"
rm "$framework"/*/platform "$framework"/*/architectures
python3 - "$framework" <<'PY'
import pathlib, plistlib, sys
framework = pathlib.Path(sys.argv[1])
for library in plistlib.loads((framework / "Info.plist").read_bytes())["AvailableLibraries"]:
    folder = framework / library["LibraryIdentifier"]
    for name in (library["LibraryPath"], "Headers/localgrad.h", "Headers/module.modulemap"):
        assert (folder / name).is_file(), f"{folder / name} is missing"
PY
echo "built $framework: $(cd "$framework" && ls -d -- */ | tr -d / | tr '\n' ' ')"

if [ -d "$framework/ios-device" ] && [ -d "$framework/ios-simulator" ] && [ -d "$framework/macos" ]; then
  package=$out/localgrad-swift
  rm -rf "$package" "$package.zip" && mkdir -p "$package/build" "$package/Sources"
  cp ios/Package.swift ios/README.md LICENSE-MIT LICENSE-APACHE "$package/"
  cp -R ios/Sources/Localgrad "$package/Sources/"
  cp -R "$framework" "$package/build/"
  (cd "$out" && python3 -m zipfile -c localgrad-swift.zip localgrad-swift)
  echo "built $package.zip"
fi

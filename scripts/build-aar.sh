#!/usr/bin/env bash
# Makes what Android apps take in: target/android/localgrad.aar, with the native library for each processor, and
# target/android/repository, a folder in Maven's form from which Gradle takes the archive and what it needs.
# usage: scripts/build-aar.sh [TARGET…]      default: aarch64-linux-android armv7-linux-androideabi x86_64-linux-android
# exits 1 where a library is above the limit or its pages are too small, and 3, with the reason as its last line, where a machine cannot
# ANDROID_NDK_HOME names the NDK to link with. Where there is none, LLVM's linker and libraries of empty functions take its
# place, which proves that everything is found; such an archive is for looking at.
# LOCALGRAD_WRITE_SIZE=1 records the sizes in docs/size.txt
set -euo pipefail
cd "$(dirname "$0")/.."

limit=$((4 * 1024 * 1024))
api=24
[ $# -gt 0 ] || set -- aarch64-linux-android armv7-linux-androideabi x86_64-linux-android
command -v javac >/dev/null && command -v mvn >/dev/null || scripts/debian-packages.sh default-jdk-headless maven
settings=$(scripts/std-source.sh "$@") && eval "$settings"
target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
out=$target/android

abi() { # target
  case $1 in
    aarch64-*) echo arm64-v8a ;;
    armv7-*) echo armeabi-v7a ;;
    x86_64-*) echo x86_64 ;;
    *) echo "no phone has the processor of $1" >&2 && exit 1 ;;
  esac
}

# A linker that looks like the NDK's: clang's arguments in, a shared library out.
stand_in_linker() { # target
  local clang_target=${1/armv7-linux-androideabi/armv7a-linux-androideabi}$api
  local libraries=$out/stand-in/$1
  command -v clang >/dev/null && command -v ld.lld >/dev/null || scripts/debian-packages.sh clang lld >&2
  mkdir -p "$libraries"
  # Undefined functions are those of Android's C library, which a phone has.
  echo 'void localgrad_stand_in(void) {}' >"$libraries/empty.c"
  for name in c m dl log unwind gcc; do
    clang --target="$clang_target" -shared -nostdlib -fuse-ld=lld -o "$libraries/lib$name.so" "$libraries/empty.c"
  done
  cat >"$libraries/linker" <<LINKER
#!/usr/bin/env bash
exec clang --target=$clang_target -fuse-ld=lld -nostdlib -L$libraries -Wl,--unresolved-symbols=ignore-all "\$@"
LINKER
  chmod +x "$libraries/linker"
  echo "$libraries/linker"
}

ndk_linker() { # target
  echo "$ANDROID_NDK_HOME"/toolchains/llvm/prebuilt/*/bin/"${1/armv7-/armv7a-}$api-clang"
}

build() { # target
  local linker name=${1//-/_} library directory bytes
  if [ -n "${ANDROID_NDK_HOME:-}" ]; then linker=$(ndk_linker "$1"); else linker=$(stand_in_linker "$1"); fi
  export "CARGO_TARGET_${name^^}_LINKER=$linker"
  # Pages of 16 KiB, which newer phones have; addresses packed as Android since 6 reads them, equal functions once.
  CARGO_TARGET_DIR=$target/cross cargo rustc --locked --quiet --package localgrad-jni --profile mobile --target "$1" -- \
    -C link-arg=-Wl,-z,max-page-size=16384,--pack-dyn-relocs=android,--icf=all
  library=$target/cross/$1/mobile/liblocalgrad_jni.so
  check_pages "$library"
  directory=$out/jni/$(abi "$1")
  mkdir -p "$directory" && cp "$library" "$directory/"
  bytes=$(stat -c %s "$library")
  echo "$1: $bytes bytes stripped; the limit is $limit"
  if [ -n "${LOCALGRAD_WRITE_SIZE:-}" ]; then
    { grep -v "^$1 " docs/size.txt || true; echo "$1 $bytes"; } | sort >docs/size.txt.part
    mv docs/size.txt.part docs/size.txt
  fi
  [ "$bytes" -lt "$limit" ] || { echo "$1: too large" && exit 1; }
}

# Newer phones load nothing whose parts do not begin at pages of 16 KiB.
check_pages() { # library
  local places
  places=$(readelf --program-headers --wide "$1" | awk '$1 == "LOAD" { print $NF }')
  [ -n "$places" ] || { echo "$1 has nothing to load" && exit 1; }
  for place in $places; do
    [ $((place)) -ge 16384 ] || { echo "$1: a part begins at pages of $((place)) bytes; 16384 are needed" && exit 1; }
  done
}

rm -rf "$out/jni"
for each in "$@"; do
  build "$each"
done
mvn --batch-mode --no-transfer-progress --quiet --file android/pom.xml -Dlocalgrad.build="$out" --projects localgrad \
  --also-make -Dmaven.test.skip=true package
rm -rf "$out/aar" && mkdir -p "$out/aar"
cp android/localgrad/src/main/AndroidManifest.xml "$out/aar/"
cp android/localgrad/consumer-rules.pro "$out/aar/proguard.txt"
cp "$out"/localgrad/localgrad-*.jar "$out/aar/classes.jar"
: >"$out/aar/R.txt"
cp -r "$out/jni" "$out/aar/"
jar --create --no-manifest --file "$out/localgrad.aar" -C "$out/aar" .
echo "$out/localgrad.aar: $(stat -c %s "$out/localgrad.aar") bytes"

# The same archive with its sources, which hold the documentation, and with what it needs by name.
property() { sed -n "s|.*<$1>\(.*\)</$1>.*|\1|p" android/pom.xml | head -n 1; }
version=$(property version)
place=$out/repository/org/localgrad/localgrad/$version
rm -rf "$out/repository" && mkdir -p "$place"
cp "$out/localgrad.aar" "$place/localgrad-$version.aar"
jar --create --no-manifest --file "$place/localgrad-$version-sources.jar" -C android/localgrad/src/main/kotlin .
cat >"$place/localgrad-$version.pom" <<POM
<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>org.localgrad</groupId>
  <artifactId>localgrad</artifactId>
  <version>$version</version>
  <packaging>aar</packaging>
  <licenses>
    <license><name>MIT</name></license>
    <license><name>Apache-2.0</name></license>
  </licenses>
  <dependencies>
    <dependency>
      <groupId>org.jetbrains.kotlin</groupId>
      <artifactId>kotlin-stdlib</artifactId>
      <version>$(property kotlin.version)</version>
      <scope>compile</scope>
    </dependency>
    <dependency>
      <groupId>org.jetbrains.kotlinx</groupId>
      <artifactId>kotlinx-coroutines-core</artifactId>
      <version>$(property coroutines.version)</version>
      <scope>compile</scope>
    </dependency>
  </dependencies>
</project>
POM
echo "$out/repository: org.localgrad:localgrad:$version"

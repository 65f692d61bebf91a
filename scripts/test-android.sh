#!/usr/bin/env bash
# Runs the tests of the Kotlin library on the JVM, where every call of the native interface is looked at, and those of the
# sample app in Android's own framework (Robolectric). Installs what it needs.
# usage: scripts/test-android.sh [MAVEN-ARGUMENT…]      such as: -Dtest=TrainingTest
# exits 3, with the reason as its last line, where a machine cannot
set -euo pipefail
cd "$(dirname "$0")/.."

command -v javac >/dev/null && command -v mvn >/dev/null || scripts/debian-packages.sh default-jdk-headless maven
target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
# On CI all tests are built anyway: another selection would compile dependencies anew, with other features.
[ -n "${CI:-}" ] && selection=(--workspace --lib --tests) || selection=(--package localgrad-jni --package localgrad-ffi)
cargo build --locked --quiet "${selection[@]}"
# Trains through C what the tests train through Kotlin.
mkdir -p "$target/android"
cc -std=gnu11 -O1 -Wall -Wextra -Werror android/benches/twin.c -o "$target/android/twin" -Iffi/include \
  "$target/debug/liblocalgrad.a" -lm -lpthread -ldl

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
# A compiler that runs once need not be compiled well.
MAVEN_OPTS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC" mvn --batch-mode --no-transfer-progress --file android/pom.xml \
  -Dlocalgrad.libraries="$target/debug" -Dlocalgrad.build="$target/android" -Dlocalgrad.twin="$target/android/twin" \
  test "$@" 2>&1 | tee "$log" || status=$?
if grep -qE 'Could not (transfer|find) artifact|Unknown host|Connection refused' "$log"; then
  echo "Maven cannot fetch what the tests need: $(grep -oE 'Could not [^[]*' "$log" | head -n 1)"
  exit 3
fi
# Local references that pile up, as in a loop that leaks them, it only warns of.
if grep -E '(WARNING|FATAL ERROR) in native method|WARNING: JNI local refs' "$log"; then
  echo "the virtual machine found misuse of its native interface"
  exit 1
fi
exit $status

#!/usr/bin/env bash
# What the bridge to Kotlin costs: CPU time of the thread that calls, per step, beside that through C, and as a share of all
# CPU time of a step. `scripts/test-android.sh` makes what it runs.
# usage: android/benches/overhead.sh [STEPS] [BATCH] [MODEL]      105 steps of 32 images of resnet20 if nothing is said
set -euo pipefail
cd "$(dirname "$0")/../.."

steps=${1:-105} batch=${2:-32} model=${3:-resnet20}
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
classes=$target/android/localgrad
version() { sed -n "s/.*<$1.version>\(.*\)<.*/\1/p" android/pom.xml; }
libraries=$(find "${HOME}/.m2/repository" -name "kotlin-stdlib-$(version kotlin).jar" \
  -o -name "kotlinx-coroutines-core-jvm-$(version coroutines).jar" -o -name "android-all-$(version android).jar" | tr '\n' ':')
through_c=$("$target/android/twin" "$steps" "$batch" "$target/android/twin.safetensors" "$model")
through_kotlin=$(java "-Djava.library.path=$target/debug" \
  -cp "$classes/classes:$classes/test-classes:$libraries" \
  org.localgrad.Overhead "$steps" "$batch" "$model")
echo "C:      $through_c"
echo "Kotlin: $through_kotlin"
echo "$through_c $through_kotlin" | awk '{ printf "the bridge takes %.3f %% of a step\n", 100 * ($9 - $2) / $4 }'

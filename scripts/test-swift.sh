#!/usr/bin/env bash
# Runs the tests of the Swift package against the library that apps carry, and looks at the sources that only Apple's
# systems compile. Installs what it needs.
# usage: scripts/test-swift.sh [SWIFT-TEST-ARGUMENT…]      such as: --filter Personalizer
# exits 3, with the reason as its last line, where a machine cannot
# LOCALGRAD_PROFILE names the profile of the library, which is mobile if nothing is said.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/with-swift.sh true
profile=${LOCALGRAD_PROFILE:-mobile}
target=${CARGO_TARGET_DIR:-target}
cargo build --locked --quiet --package localgrad-ffi --profile "$profile"
[ "$profile" != dev ] || profile=debug

# The static library alone, so that no shared one is taken in its place.
mkdir -p "$target/swift/lib"
built=$(cd "$target" && pwd)
cp "$built/$profile/liblocalgrad.a" "$built/swift/lib/"

# What only phones compile is at least Swift. A Mac compiles it.
if [ "$(uname)" = Linux ]; then
  scripts/with-swift.sh bash -euc 'for file in ios/Sources/Localgrad/*.swift ios/Sample/*.swift ios/Sample/*/*.swift; do
    swiftc -frontend -parse -swift-version 6 -target arm64-apple-ios16.0 "$file"
  done'
  # Where there is no CoreVideo, a stand-in takes its place.
  stand_ins=LOCALGRAD_STAND_INS=1
fi
# The benchmark is built with the tests, and not run.
scripts/with-swift.sh env ${stand_ins:-} swift test --package-path ios --scratch-path "$built/swift/build" \
  -Xlinker "-L$built/swift/lib" "$@"

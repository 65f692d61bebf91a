#!/usr/bin/env bash
# Fuzzes every reader of untrusted bytes, four at a time.
# usage: scripts/fuzz.sh [SECONDS] [TARGET…]      default: 60 seconds for each target of fuzz/
# What a target finds lies in fuzz/artifacts/TARGET; run fuzz/target/…/TARGET on that file to see it again.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(sed -n 's/^path = "targets\/\(.*\)\.rs"/\1/p' fuzz/Cargo.toml)

cannot() { echo "$1" && exit 3; }
if rustc +nightly -V >/dev/null 2>&1; then
  rustc='rustc +nightly' cargo='cargo +nightly'
else
  # A stable compiler has the same passes, and is asked to let them be used.
  export RUSTC_BOOTSTRAP=1
  rustc=rustc cargo=cargo
fi
command -v c++ >/dev/null || cannot 'no C++ compiler, which libFuzzer is built with'

# What `cargo fuzz build` gives the compiler; with cargo alone there is nothing to install, and all are built at once.
host=$($rustc -vV | sed -n 's/^host: //p')
flags='--cfg fuzzing -Zsanitizer=address -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module'
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  flags+=" -Cllvm-args=-sanitizer-coverage-$option"
done
RUSTFLAGS=$flags $cargo build --locked --release --manifest-path fuzz/Cargo.toml --target "$host" "${@/#/--bin=}"
binaries=fuzz/target/$host/release

fuzz_one() { # target
  local found=fuzz/target/found/$1 log=fuzz/target/found/$1.log
  mkdir -p "$found" "fuzz/artifacts/$1"
  # A gigabyte is far more than any of these inputs justifies. Ten steps of a small network are four seconds of work, so
  # instrumented, and a machine has other work, too: what is not done in five minutes hangs.
  if ! "$binaries/$1" -max_total_time="$seconds" -timeout=300 -rss_limit_mb=1024 -max_len=16384 -verbosity=1 \
    -artifact_prefix="fuzz/artifacts/$1/" "$found" "fuzz/corpus/$1" >"$log" 2>&1; then
    tail -n 40 "$log"
    echo "$1: FOUND SOMETHING, see fuzz/artifacts/$1"
    return 1
  fi
  echo "$1: $(grep -o 'Done [0-9]* runs.*' "$log"), nothing found"
}
export -f fuzz_one
export seconds binaries
printf '%s\0' "$@" | xargs -0 -n 1 -P 4 bash -c 'fuzz_one "$0"'

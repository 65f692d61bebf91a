#!/usr/bin/env bash
# All that is known of GPUs, tried on this machine: what runs without one, and on those that are here their tests, NVIDIA's
# sanitizer and measurements. What fails does not end it; what could not be tried is said at the end, and why.
# usage: scripts/test-gpu.sh [OUT]      keeps what each part printed in OUT (default: target/gpu); exits 1 if a part failed
# LOCALGRAD_PARITY_DIR and LOCALGRAD_PYTHON are heeded as by the tests.
set -uo pipefail
cd "$(dirname "$0")/.."

out=${1:-target/gpu}
mkdir -p "$out"
summary=$out/summary.txt
: > "$summary"

# A script that a machine cannot run exits 3, with the reason as its last line.
part() { # name command…
  local name=$1 status=0 start=$SECONDS log
  log=$out/$(tr 'A-Z' 'a-z' <<<"$1" | tr -cs 'a-z0-9\n' -).log
  shift
  echo "== $name"
  "$@" > "$log" 2>&1 || status=$?
  case $status in
    0) printf 'passed   %6d s  %s\n' $((SECONDS - start)) "$name" ;;
    3) printf 'skipped           %s: %s\n' "$name" "$(tail -n 1 "$log")" ;;
    *)
      tail -n 30 "$log" >&2
      printf 'FAILED   %6d s  %s: %s\n' $((SECONDS - start)) "$name" "$log"
      ;;
  esac | tee -a "$summary"
}
skipped() { printf 'skipped           %s: %s\n' "$1" "$2" | tee -a "$summary"; }

# Without a card: the same kernels and the same code around them, emulated.
emulated() {
  LOCALGRAD_TEST_DEVICE=emulated cargo test --locked --workspace \
    --features localgrad-tests/emulated,localgrad-cli/emulated,localgrad-bridge/emulated "$@"
}
if command -v c++ >/dev/null; then
  part 'kernels, emulated' emulated --test device
  part 'operations, emulated' emulated --test parts
  part 'training, emulated' emulated --test training -- device
  # The C library has a test of that name, of the CPU alone.
  part 'parity, emulated' emulated --exclude localgrad-ffi --test parity
  part 'program, emulated' emulated --test program -- emulated
  count() {
    local localgrad=${CARGO_TARGET_DIR:-target}/release/localgrad
    cargo build --locked --release --features localgrad-cli/emulated || return
    $localgrad bench --model resnet32 --batch 128 --device emulated --count --json || return
    $localgrad plan --model resnet32 --rule bp --batch 128 --device emulated --json
  }
  part 'launches and bytes of a step, counted' count
else
  skipped 'all that is emulated' 'needs a C++ compiler'
fi
part 'kernels compiled for Metal and each generation of cards' scripts/gpu-kernels.sh report
part 'iOS and macOS, types' scripts/check-apple.sh
part 'arm64 with CUDA, types' scripts/build-arm64.sh check

# On a GPU.
on() { # device arguments of cargo test…
  local device=$1
  shift
  LOCALGRAD_TEST_DEVICE=$device cargo test --locked --release --workspace "$@"
}
program=${CARGO_TARGET_DIR:-target}/release/localgrad
metal=()
[ "$(uname -s)" != Darwin ] || metal=(--features localgrad-cli/metal,localgrad-tests/metal)
part 'the program' cargo build --locked --release ${metal[@]+"${metal[@]}"}
"$program" devices | tee "$out/devices.txt"
usable() { "$program" devices --json | grep "\"name\":\"$1\"" | grep -q '"usable":true'; }
why() { "$program" devices --json | sed -n "s/.*\"name\":\"$1\".*\"why\":\"\(.*\)\"}.*/\1/p"; }

# Three bench lines a network: end to end, MAN in four blocks, and what was planned; then the same steps under a budget.
measure() { # device
  local device=$1 words
  for words in '--model resnet32 --batch 128' '--model resnet32 --batch 128 --rule man --blocks 4' \
    '--model resnet50 --input 3x224x224 --classes 1000 --batch 32' '--model mobilenet_v2 --input 3x224x224 --batch 32'; do
    # shellcheck disable=SC2086 # words
    "$program" bench $words --device "$device" --steps 30 --json || return
  done
}
# A run on the device, one that is stopped and goes on there, and one that goes on on the CPU.
runs() { # device
  local device=$1 directory
  directory=$(mktemp -d)
  # A rate that hangs on how long a run is would be another one for a run that is made longer.
  local words=(--model resnet20 --data embedded --limit 1024 --seed 1 --schedule constant --json)
  "$program" train "${words[@]}" --steps 16 --device "$device" --out "$directory/whole" &&
    "$program" train "${words[@]}" --steps 8 --device "$device" --out "$directory/parts" &&
    "$program" train --resume --steps 16 --device "$device" --out "$directory/parts" --json &&
    cmp "$directory/whole/weights.safetensors" "$directory/parts/weights.safetensors" &&
    "$program" train --resume --steps 20 --device cpu --out "$directory/parts" --json &&
    "$program" train "${words[@]}" --steps 4 --device "$device" --memory-budget 64MiB --out "$directory/budget"
  local status=$?
  rm -rf "$directory"
  return $status
}
sanitize() { # tool
  compute-sanitizer --tool "$1" --error-exitcode 1 "$program" train --model resnet8 --widths 4,4,8,8 --data embedded \
    --limit 64 --batch 16 --steps 3 --device cuda --out "$(mktemp -d)/run"
}
for device in cuda metal; do
  if ! usable $device; then
    skipped "all on $device" "$(why $device)"
    continue
  fi
  part "operations on $device" on $device --test parts ${metal[@]+"${metal[@]}"}
  part "parity on $device" on $device --test parity ${metal[@]+"${metal[@]}"}
  part "runs on $device" runs $device
  part "measurements on $device" measure $device
done
if ! usable cuda; then
  skipped "NVIDIA's sanitizer, and PyTorch beside us" 'there is no card'
else
  if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck synccheck; do part "compute-sanitizer, $tool" sanitize $tool; done
  else
    skipped 'compute-sanitizer' "it is not in PATH; NVIDIA's CUDA toolkit has it"
  fi
  python=${LOCALGRAD_PYTHON:-python3}
  if "$python" -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    part 'PyTorch on the same card, eager' "$python" benches/torch_card.py
  else
    skipped 'PyTorch on the same card' "$python has no torch with CUDA"
  fi
fi

echo "== in short ($out)"
cat "$summary"
! grep -q '^FAILED' "$summary"

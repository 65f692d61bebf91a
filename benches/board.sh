#!/usr/bin/env bash
# Measures training on a board or any other Linux machine with nothing but the program, and writes one JSON file to send in:
# what the machine is, its governors, clocks and temperatures, and `localgrad bench` of a fixed list of networks, ways, batches and
# threads, also on the GPU where the program can use it.
# usage: benches/board.sh [--quick] [PROGRAM] [FILE]      default: localgrad on the PATH, and board-DATE.json
# --quick measures the first case of the list alone. A case that fails, or takes longer than ten minutes, is in the file with what
# the program said.
set -euo pipefail

quick=
[ "${1:-}" != --quick ] || { quick=yes && shift; }
here=$(cd "$(dirname "$0")/.." && pwd)
program=${1:-$(command -v localgrad || echo "$here/target/release/localgrad")}
[ -x "$program" ] || { echo "$program is missing: install the package, or cargo build --release" >&2 && exit 1; }
file=${2:-board-$(date +%F).json}
cores=$(nproc)

# Model, side, steps, then batches; batch 1 is what an app trains on as samples come.
networks=(
  'resnet20 3x32x32 10 1 32'
  'resnet32 3x32x32 5 8 64'
  'resnet18 3x32x32 3 8 32'
  'mobilenet_v2 3x224x224 3 1 8'
  'efficientnet_lite0 3x224x224 3 8'
  'resnet50 3x224x224 2 4'
)
ways=(
  '--rule bp'
  '--rule greedy --blocks 4'
  '--rule man --blocks 4'
)

text() { # a string of JSON from standard input, control characters away
  printf '"%s"' "$(tr -d '\000-\010\013-\037' | sed -e 's/[\\"]/\\&/g' -e 's/\t/ /g' | sed -e ':a;N;$!ba;s/\n/\\n/g')"
}

content() { # of a file, or null
  if [ -r "$1" ]; then tr '\000' ' ' <"$1" 2>/dev/null | text; else printf null; fi
}

governors() {
  local policy comma=
  for policy in /sys/devices/system/cpu/cpufreq/policy*; do
    [ -e "$policy" ] || continue
    printf '%s{"cores":%s,"governor":%s,"most_kilohertz":%s}' "$comma" "$(content "$policy/related_cpus")" \
      "$(content "$policy/scaling_governor")" "$(content "$policy/cpuinfo_max_freq")"
    comma=,
  done
}

zones() {
  local zone comma=
  for zone in /sys/class/thermal/thermal_zone*; do
    [ -e "$zone" ] || continue
    printf '%s{"name":%s,"millidegrees":%s}' "$comma" "$(content "$zone/type")" "$(content "$zone/temp")"
    comma=,
  done
}

lines() { # those of JSON of standard input, as the elements of a list
  sed -n '/^{.*}$/p' | paste -sd, -
}

machine() {
  printf '{"system":%s,"release":%s,"model":%s,"cores":%s,"memory":%s,"load":%s,"governors":[%s],"zones":[%s],"processor":%s}' \
    "$(uname -srm | text)" "$(sed -n 's/^PRETTY_NAME=//p' /etc/os-release 2>/dev/null | tr -d '"' | text)" \
    "$(content /proc/device-tree/model)" "$cores" "$(sed -n '1p' /proc/meminfo | text)" "$(content /proc/loadavg)" \
    "$(governors)" "$(zones)" "$({ LC_ALL=C lscpu 2>/dev/null || sed -n '1,30p' /proc/cpuinfo; } | grep -v ^Vulnerab | text)"
}

first=yes
measure() { # words of `localgrad bench`
  local output status=0 messages
  messages=$(mktemp)
  echo "bench $*" >&2
  output=$(timeout 600 "$program" bench "$@" --json 2>"$messages") || status=$?
  [ $first = yes ] || printf ',\n'
  first=no
  printf '{"words":%s,"status":%s,"zones":[%s],"said":%s,"results":[%s]}' "$(text <<<"$*")" "$status" "$(zones)" \
    "$([ $status = 0 ] && printf null || tail -n 5 "$messages" | text)" "$(lines <<<"$output")"
  rm -f "$messages"
}

measure_all() {
  local network model input steps batches batch way threads
  for network in "${networks[@]}"; do
    read -r model input steps batches <<<"$network"
    for batch in $batches; do
      for threads in $(printf '1\n%s\n' "$cores" | uniq); do
        for way in "${ways[@]}"; do
          # shellcheck disable=SC2086 # words
          measure --model "$model" --input "$input" --batch "$batch" --steps "$steps" --threads "$threads" $way
          [ -z "$quick" ] || return 0
        done
      done
      ! "$program" devices --json 2>/dev/null | grep -q '"name":"cuda","usable":true' ||
        measure --model "$model" --input "$input" --batch "$batch" --steps 20 --device cuda --rule bp
    done
  done
}

{
  printf '{"format":1,"date":%s,"program":%s,\n"machine":%s,\n"devices":[%s],\n"measured":[\n' "$(date -u +%FT%TZ | text)" \
    "$("$program" --version | text)" "$(machine)" "$("$program" devices --json 2>/dev/null | lines)"
  measure_all
  printf '\n],\n"zones_after":[%s]}\n' "$(zones)"
} >"$file.part"
mv "$file.part" "$file"
echo "$file"

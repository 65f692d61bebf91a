#!/usr/bin/env bash
# Unpacks a package aside, holds its units to systemd, and trains and measures with the program out of it.
# usage: scripts/test-deb.sh PACKAGE.deb
set -euo pipefail

package=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
dpkg-deb --extract "$package" "$root"
dpkg-deb --field "$package" Package Version Architecture Depends Installed-Size

program=$root/usr/bin/localgrad runner=
if [ "$(dpkg-deb --field "$package" Architecture)" != "$(dpkg --print-architecture)" ]; then
  if ! command -v qemu-aarch64-static >/dev/null || [ ! -d /usr/aarch64-linux-gnu ]; then
    echo 'not run: it is for another processor, and there is no emulator' && exit 0
  fi
  runner='qemu-aarch64-static -L /usr/aarch64-linux-gnu'
fi
# What the units run, with the words that they give it, but for less of it.
words=$(sed -n 's/^LOCALGRAD_WORDS="\(.*\)"/\1/p' "$root/etc/localgrad/night.conf")
echo "night.conf: $words"
grep -q -- '--max-temperature' <<<"$words"
mkdir -p "$root/host/sys/class/thermal/thermal_zone0"
echo cpu-thermal > "$root/host/sys/class/thermal/thermal_zone0/type"
echo 45000 > "$root/host/sys/class/thermal/thermal_zone0/temp"
for steps in 2 4; do
  # shellcheck disable=SC2086 # words
  (cd "$root" && $runner "$program" train --resume --out run --max-temperature 80 --board "$root/host" \
    --model resnet8 --widths 4,4,4,8 --rule dgl --batch 8 --limit 32 --hold-out 8 --steps $steps --threads 1)
done
[ -s "$root/run/weights.safetensors" ]
# The emulator's times would say nothing.
if [ -z "$runner" ]; then
  "$root/usr/share/localgrad/board.sh" --quick "$program" "$root/board.json"
  grep -q '"event":"bench"' "$root/board.json"
  ! command -v python3 >/dev/null || python3 -m json.tool "$root/board.json" >/dev/null
fi

if command -v systemd-analyze >/dev/null; then
  # What the units name, and any machine has.
  install -m 755 /dev/null "$root/usr/bin/systemctl"
  for name in sysinit basic timers shutdown time-set time-sync; do
    echo '[Unit]' > "$root/usr/lib/systemd/system/$name.target"
  done
  said=$(systemd-analyze verify --root="$root" "$root"/usr/lib/systemd/system/localgrad-*.{service,timer} 2>&1) ||
    { echo "$said" && exit 1; }
  ours=$(grep localgrad- <<<"$said" || true)
  [ -z "$ours" ] || { echo "$ours" && exit 1; }
  echo 'systemd finds nothing wrong with the units'
else
  echo 'the units are not looked at: there is no systemd-analyze'
fi

#!/usr/bin/env bash
# Compiles every kernel of devices where there is no device: for Metal by clang, in whose place Apple's compiler is stood in for, and
# for CUDA by NVRTC, from NVIDIA's Python wheels, without a toolkit.
# usage: scripts/gpu-kernels.sh           Metal; and is the PTX of runtime/src/device/ptx of these sources?
#        scripts/gpu-kernels.sh ptx       writes that PTX, for all cards and for those with tensor cores
#        scripts/gpu-kernels.sh report    also machine code of each generation: registers and shared bytes a kernel, printed
# Exits 3, with the reason as the last line, where a compiler is not to be had.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rustc --edition 2024 -o "$work/kernels" scripts/gpu/kernels.rs
for dialect in metal-stand-in cuda tensor-tiles tensor-cores; do
  "$work/kernels" "$dialect" "$work/$dialect" >&2
done

clang=$(command -v clang-14 || command -v clang || true)
[ -n "$clang" ] || scripts/debian-packages.sh clang >&2 || { echo 'needs clang' && exit 3; }
"${clang:-clang}" -x cl -cl-std=clc++2021 -Xclang -finclude-default-header -fsyntax-only \
  "$work/metal-stand-in/all.clcpp"
echo 'Metal: every kernel compiles' >&2

venv=${NVRTC_VENV:-target/nvrtc}
wheels=(nvidia-cuda-nvrtc-cu11==11.8.89)
[ "${1:-}" != report ] || wheels+=(nvidia-cuda-nvrtc-cu12==12.9.86)
[ -e "$venv/bin/python" ] || python3 -m venv "$venv" || { echo 'needs python3 with venv' && exit 3; }
"$venv/bin/pip" install --quiet --disable-pip-version-check "${wheels[@]}" >&2 ||
  { echo "needs NVRTC's wheels" && exit 3; }
libraries=$(echo "$venv"/lib/python3*/site-packages/nvidia/cuda_nvrtc/lib)

ship() { # architecture texts
  "$venv/bin/python" scripts/gpu/nvrtc.py "$libraries/libnvrtc.so.11.2" "$1" "$work/$2" "runtime/src/device/ptx/$1" $3
}
writes=
[ "${1:-}" != ptx ] || writes=write
ship compute_53 cuda "$writes"
ship compute_80 tensor-tiles "$writes"
echo 'CUDA: every kernel compiles, and the PTX is of these sources' >&2
[ "${1:-}" = report ] || exit 0
# Nano, TX2, Xavier and Turing have no TF32; Ampere, Orin, Hopper and Blackwell have.
compile() { # library architecture text
  "$venv/bin/python" scripts/gpu/nvrtc.py "$libraries/libnvrtc.so.$1" "$2" "$work/$3/all.cu"
}
for architecture in sm_53 sm_62 sm_72 sm_75; do compile 11.2 "$architecture" cuda; done
for architecture in sm_80 sm_87 sm_90; do compile 11.2 "$architecture" tensor-cores; done
compile 12 sm_120 tensor-cores

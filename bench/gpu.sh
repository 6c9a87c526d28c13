#!/usr/bin/env bash
# Builds, tests and measures the GPU kinds on a machine with a CUDA device, and writes a table.
#
#   bench/gpu.sh [OUT]     OUT: folder for gpu.jsonl, gpu.md and the logs (default build/gpu-bench)
#
# Needs no network: nvcc, cmake, ninja and the libraries of deploy/packages.txt are there, and
# MRL_FAISS_GPU names a FAISS with GPU that was carried in (deploy/deps/faiss-gpu.sh; without it
# faiss_gpu is left out). PYTHON (default python3) with torch measures the rival. MRL_ROWS lists the
# sizes (default "1000000 10000000"). Meant to end within 8 minutes (MRL_LIMIT_S, default 470 s) on 16
# cores and an H100; a step that is out of time is left out and said. Ends with 69 where there is no
# device, with 1 when a step failed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:-build/gpu-bench}
python=${PYTHON:-python3}
limit_s=${MRL_LIMIT_S:-470}
seconds=0.5  # of measuring, a line
failed=0
PATH=$PATH:/usr/local/cuda/bin

say() { printf '== [%4ds] %s\n' "$SECONDS" "$*"; }
missing() { echo "bench/gpu.sh: $*" >&2; exit 69; }
# step NAME SECONDS_MAX COMMAND…: runs it if there is time, within its own limit.
step() {
  local name=$1 most=$2 left=$((limit_s - SECONDS)) code=0
  shift 2
  if [ "$left" -lt 10 ]; then
    say "left out, no time: $name"
    return 0
  fi
  say "$name"
  timeout "$((left < most ? left : most))" "$@" || code=$?
  if [ "$code" = 124 ]; then
    say "out of time, the rest is left out: $name"
  elif [ "$code" != 0 ]; then
    say "failed with $code: $name"
    failed=1
  fi
}

command -v nvidia-smi >/dev/null ||
  missing "there is no nvidia-smi: this needs a machine with a CUDA device and its driver"
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .) ||
  missing "nvidia-smi sees no device"
[[ $arch =~ ^[0-9]+$ ]] || missing "nvidia-smi names no compute capability, but \`$arch\`"
command -v nvcc >/dev/null || missing "there is no nvcc: install the CUDA toolkit, 12 or 13"
mkdir -p "$out"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$out/device.txt"

say "building for sm_$arch"
cmake --preset gpu -DMRL_PYTHON="$python" -DCMAKE_CUDA_ARCHITECTURES="$arch" \
  -DMRL_FAISS_GPU="${MRL_FAISS_GPU:-}" >"$out/configure.log" 2>&1 || { tail -20 "$out/configure.log"; exit 1; }
cmake --build --preset gpu --target gpu_device_test mrl-gpu-bench >"$out/build.log" 2>&1 ||
  { tail -40 "$out/build.log"; exit 1; }

step "tests on the device" 60 build/gpu/tests/gpu_device_test --gtest_brief=1
: >"$out/gpu.jsonl"
# The rival first: what the larger size may take of the time stays with the last step.
for rows in ${MRL_ROWS:-1000000 10000000}; do
  step "torch, $rows rows" 60 sh -c \
    "'$python' bench/gpu_rival.py --rows $rows --seconds $seconds >>'$out/gpu.jsonl'"
done
for rows in ${MRL_ROWS:-1000000 10000000}; do
  step "mrl, $rows rows" 240 sh -c \
    "build/gpu/bin/mrl-gpu-bench --rows $rows --seconds $seconds --folder '$out' >>'$out/gpu.jsonl'"
done
"$python" bench/gpu_table.py "$out/gpu.jsonl" | tee "$out/gpu.md"
say "done: $out/gpu.md"
exit "$failed"

#!/usr/bin/env bash
# Builds, tests and measures the GPU kinds on a machine with a CUDA device, and writes a table.
#
#   bench/gpu.sh [OUT]     OUT: folder for gpu.jsonl, gpu.md and the logs (default build/gpu-bench)
#
# Needs no network: nvcc, cmake, ninja and the libraries of deploy/packages.txt are there, and
# MRL_FAISS_GPU names a FAISS with GPU that was carried in (deploy/deps/faiss-gpu.sh; without it
# faiss_gpu is left out). PYTHON (default python3) with torch measures the rival. MRL_ROWS lists the
# sizes (default "1000000 10000000"). Meant to end within 8 minutes on 16 cores and an H100; a step
# that is out of time is left out and said.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:-build/gpu-bench}
python=${PYTHON:-python3}
limit_s=${MRL_LIMIT_S:-470}
mkdir -p "$out"
PATH=$PATH:/usr/local/cuda/bin

say() { printf '== [%4ds] %s\n' "$SECONDS" "$*"; }
# step NAME SECONDS_MAX COMMAND…: runs it if there is time, within its own limit.
step() {
  local name=$1 most=$2
  shift 2
  local left=$((limit_s - SECONDS))
  if [ "$left" -lt 10 ]; then
    say "left out, no time: $name"
    return 0
  fi
  say "$name"
  timeout "$((left < most ? left : most))" "$@" || say "failed with $?: $name"
}

command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total \
  --format=csv,noheader | tee "$out/device.txt"
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .)
say "building for sm_${arch:-90}"
cmake --preset gpu -DMRL_PYTHON="$python" -DCMAKE_CUDA_ARCHITECTURES="${arch:-90}" \
  -DMRL_FAISS_GPU="${MRL_FAISS_GPU:-}" >"$out/configure.log" 2>&1 || { tail -20 "$out/configure.log"; exit 1; }
cmake --build --preset gpu --target gpu_device_test mrl-gpu-bench >"$out/build.log" 2>&1 ||
  { tail -40 "$out/build.log"; exit 1; }

step "tests on the device" 60 build/gpu/tests/gpu_device_test --gtest_brief=1
: >"$out/gpu.jsonl"
for rows in ${MRL_ROWS:-1000000 10000000}; do
  seconds=0.5
  step "mrl, $rows rows" 150 sh -c \
    "build/gpu/bin/mrl-gpu-bench --rows $rows --seconds $seconds --folder '$out' >>'$out/gpu.jsonl'"
  step "torch, $rows rows" 60 sh -c \
    "'$python' bench/gpu_rival.py --rows $rows --seconds $seconds >>'$out/gpu.jsonl'"
done
"$python" bench/gpu_table.py "$out/gpu.jsonl" | tee "$out/gpu.md"
say "done: $out/gpu.md"

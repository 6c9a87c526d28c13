#!/usr/bin/env bash
# Sets a Debian 12 machine up for mrl.
#
#   deploy/setup.sh run [--keep]   install, build, index the WordNet example, serve it, ask it
#   deploy/setup.sh test           install, build, run every test
#
# What is slow to make (Python packages, compiled objects, clang-tidy's verdicts) is cached by content
# under ${XDG_CACHE_HOME:-~/.cache}/mrl.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mrl
requirements=deploy/requirements.txt
export CCACHE_DIR="$cache/ccache" CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=3G
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
mkdir -p "$cache"

say() { printf '== [%4ds] %s\n' "$SECONDS" "$*"; }

# apt_install PACKAGE…: what apt says is in apt.log.
apt_install() {
  local as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  { "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends "$@"; } >"$cache/apt.log" 2>&1
}

install_packages() {
  local wanted missing=()
  wanted=$(sed 's/#.*//' deploy/packages.txt)
  for package in $wanted; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    say "installing ${#missing[@]} packages"
    apt_install "${missing[@]}" || { tail -20 "$cache/apt.log"; exit 1; }
  fi
}

make_python() {
  local venv
  venv=$cache/venv-$(sha256sum <"$requirements" | cut -c1-16)
  if [ ! -f "$venv/complete" ]; then
    say "making the Python environment $venv"
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
    touch "$venv/complete"
  fi
  python=$venv/bin/python
}

# promtool out of Debian's package of Prometheus, which would start a server if it was installed.
find_promtool() {
  export PATH=$PATH:$cache/prometheus/usr/bin
  command -v promtool >/dev/null && return
  (rm -rf "$cache/prometheus" && mkdir "$cache/prometheus" && cd "$cache/prometheus" &&
    apt-get download -qq prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb |
      tar -x ./usr/bin/promtool && rm prometheus_*.deb) >/dev/null 2>&1 ||
    say "promtool cannot be fetched: its tests are skipped"
}

# What makes and runs containers, for the tests of packages, image and service. Its packages are not in
# the list, since they change the network's settings of a machine; root alone can use them as the tests do.
find_containers() {
  local tools=(buildah debootstrap podman runc)
  [ "$(id -u)" = 0 ] || { say "containers: not root, so their tests are SKIPPED"; return 0; }
  dpkg-query -W "${tools[@]}" >/dev/null 2>&1 && return
  say "installing ${tools[*]}"
  apt_install "${tools[@]}" ||
    say "containers: their tests are SKIPPED, they cannot be installed: $(tail -1 "$cache/apt.log")"
}

# build PRESET [TARGET…]
build() {
  local preset=$1
  shift
  say "building preset $preset"
  cmake --preset "$preset" -DMRL_PYTHON="$python" >"$cache/configure-$preset.log" 2>&1 ||
    { cat "$cache/configure-$preset.log"; return 1; }
  cmake --build --preset "$preset" ${1:+--target "$@"}
}

run_example() {
  build release mrl-index mrl-server mrl
  local bin=$root/build/release/bin index=$root/build/example/wordnet
  local funnel=16:1000,32:500,64:200,128:100,512:10
  mkdir -p "$root/build/example"
  say "building the example index: 10,000 WordNet entries, 512 dimensions"
  "$bin/mrl-index" build --replace --input examples/wordnet/embeddings.npy --id-field id \
    --payloads examples/wordnet/points.jsonl --dims 16,32,64,128,256,512 --output "$index"
  "$bin/mrl-index" verify --index "$index"

  local log=$root/build/example/server.log ready=$root/build/example/server.ready
  "$bin/mrl-server" --index "wordnet=$index" --grpc-port 0 --http-port 0 >"$ready" 2>"$log" &
  server=$!
  trap 'kill "$server" 2>/dev/null || true' EXIT
  local address=
  for _ in $(seq 100); do
    address=$(sed -n 's/.*grpc=\([^ ]*\).*/\1/p' "$ready")
    [ -n "$address" ] && "$bin/mrl" --server "$address" status >/dev/null 2>&1 && break
    kill -0 "$server" 2>/dev/null || { cat "$log"; exit 1; }
    sleep 0.1
  done
  [ -n "$address" ] || { echo "mrl-server did not serve within 10 s"; cat "$log"; exit 1; }
  say "serving at $address"
  local id
  for id in dog.n.01 piano.n.01 coffee.n.01 mountain.n.01; do
    printf '\nNeighbours of %s through %s\n' "$id" "$funnel"
    "$bin/mrl" --server "$address" explain wordnet --id "$id" -k 5 --funnel "${funnel%:10}:5"
  done
  printf '\nRecall of that funnel, and of the built-in rule, on 500 entries that are not in the index\n'
  "$bin/mrl-index" eval --index "$index" --queries examples/wordnet/queries.npy -k 10 \
    --funnel "$funnel" --funnel 256b1:2000,512b1:400,512:10 --exact
  finish_example "$bin" "$index" "$address"
}

finish_example() {
  local bin=$1 index=$2 address=$3
  cat <<TEXT

The programs are under $bin: mrl-index, mrl-server, mrl (each with --help).
Go on:
  $bin/mrl-index search --index $index --id car.n.01 --funnel 64:100,512:10 --explain
  $bin/mrl-server --index wordnet=$index
  $bin/mrl search wordnet --id whale.n.02
TEXT
  if [ "$keep" = yes ]; then
    trap - EXIT
    echo "The server goes on at $address (process $server)."
  else
    kill "$server"
    wait "$server"
    echo "The server was stopped; --keep leaves it running."
  fi
}

passed=0
failed=0
# check NAME COMMAND…: runs one step and counts how it ended, without stopping.
check() {
  local name=$1
  shift
  say "$name"
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    say "FAILED: $name"
  fi
}

# check_by SECONDS NAME COMMAND…: as check, for a step that is left out when so much time has passed. A run
# that compiles everything anew would not fit into the time of CI; the next one finds its objects.
check_by() {
  local latest=$1 name=$2
  shift
  if [ "$SECONDS" -lt "$latest" ]; then
    check "$@"
  else
    say "SKIPPED, too much time has passed: $name"
  fi
}

sources() { git ls-files 'base/*.h' 'base/*.cc' 'index/*.h' 'index/*.cc' 'server/*.h' 'server/*.cc' \
  'client/*.h' 'client/*.cc' 'tests/*.h' 'tests/*.cc'; }

check_format() { sources | xargs clang-format --dry-run -Werror; }

# The product's own folders; the tests join as they are gone through.
check_tidy() {
  "$python" deploy/clang_tidy.py build/release "$cache/tidy" --minutes 8 base/ index/ server/ client/
}

# What runs under ASan and UBSan: the tests of every module that does not need a whole program. Servers
# run under TSan, programs in the release build: all of it twice would not fit into the time of a run.
sanitized="base_test coarse_test collection_test filter_test format_test funnel_test gpu_host_test io_test kernels_test"
sanitized+=" schedule_test schema_test server_test store_test transform_test tune_test"

check_sanitized() { build dev $sanitized && ctest --preset dev -R "^(${sanitized// /|})\$"; }

# What runs in several threads: the pool, shared searches, and the server with all that it calls.
check_threads() { build tsan thread_tests && ctest --preset tsan -L threads; }

# The GPU configuration: compiled and linked where nvcc is there, with FAISS's GPU classes where
# faiss-gpu.sh has built them before: a quarter of an hour of both cores is not in a run's time. Then
# what needs no device, and the tests on one, which say why they are skipped where there is none.
check_gpu() {
  local nvcc faiss log=$cache/gpu.log
  nvcc=$(PATH=$PATH:/usr/local/cuda/bin command -v nvcc) ||
    { say "GPU: SKIPPED, there is no nvcc on this machine: nothing of it was compiled"; return 0; }
  if faiss=$(deploy/deps/faiss-gpu.sh --arch 90 --find 2>"$log"); then
    say "GPU: building preset gpu with $nvcc and the FAISS at $faiss"
  else
    say "GPU: FAISS's GPU classes SKIPPED, $(cat "$log")"
    say "GPU: building preset gpu with $nvcc, without faiss_gpu"
    faiss=
  fi
  { cmake --preset gpu -DMRL_PYTHON="$python" -DCMAKE_CUDA_ARCHITECTURES=90 -DMRL_FAISS_GPU="$faiss" &&
    cmake --build --preset gpu --target mrl-server mrl-index mrl-gpu-bench coarse_test gpu_host_test gpu_device_test &&
    MRL_SOURCE_DIR=$root build/gpu/tests/gpu_host_test --gtest_brief=1; } >"$log" 2>&1 ||
    { tail -40 "$log"; return 1; }
  build/gpu/bin/mrl-server --version
  build/gpu/tests/gpu_device_test --gtest_brief=1 >"$log" 2>&1 || { tail -40 "$log"; return 1; }
  if grep -q SKIPPED "$log"; then
    say "GPU: tests on a device SKIPPED: $(grep -m1 -A1 Skipped "$log" | tail -1)"
  fi
}

# The kernels for 64-bit Arm, cross-compiled and run in QEMU.
check_arm() { build neon && ctest --preset neon; }

# The packages, which ccache makes of what is compiled already; with them the tests of the folder tests/deploy
# that make packages and containers run, and say why where they cannot.
check_packages() { build package && export MRL_DEPLOY_TESTS=1; }

check_fuzz() {
  build fuzz fuzzers || return 1
  local target
  for target in build/fuzz/fuzz/*_fuzz; do
    "$target" -max_total_time=15 -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$cache/" \
      >"$cache/fuzz.log" 2>&1 || { tail -30 "$cache/fuzz.log"; return 1; }
    say "$(basename "$target"): $(grep '^Done' "$cache/fuzz.log")"
  done
}

run_tests() {
  build release || { say "FAILED: building preset release"; echo "0 passed, 1 failed"; exit 1; }
  check "clang-format" check_format
  check "clang-tidy" check_tidy
  check_by 1500 "tests under ASan and UBSan" check_sanitized
  check_by 2400 "tests under TSan" check_threads
  check_by 4000 "fuzzing for 15 s a target" check_fuzz
  check "kernels for Arm" check_arm
  check_by 4400 "GPU" check_gpu
  check_by 3600 "packages" check_packages
  say "tests of the release build"
  test_release
}

# The tests of the release build, what they skipped and why, and how they ended: last, and with the steps
# before them counted where one of those failed.
test_release() {
  local log=$cache/ctest.log bad=0 all=0 status=0
  ctest --preset release 2>&1 | tee "$log" | sed '/^[0-9]*% tests passed/,$d' || status=$?
  show_skipped build/release/Testing/Temporary/LastTest.log || true
  sed -n '/^[0-9]*% tests passed/,$p' "$log"
  [ "$failed" = 0 ] && exit "$status"
  read -r bad all < <(sed -n 's/.*tests passed, \([0-9]*\) tests\? failed out of \([0-9]*\)$/\1 \2/p' "$log") ||
    all=1 bad=1
  say "$failed steps before the tests of the release build failed"
  echo "$((passed + all - bad)) passed, $((failed + bad)) failed"
  exit 1
}

# show_skipped LOG: the reasons that pytest and GoogleTest gave, each once.
show_skipped() {
  sed -n '/^SKIPPED \[/p; /: Skipped$/{n;p}' "$1" | sort | uniq | while read -r reason; do
    say "skipped: ${reason#SKIPPED }"
  done
}

keep=no
[ "${2:-}" = --keep ] && keep=yes
case "${1:-}" in
  run | test)
    install_packages
    make_python
    if [ "$1" = run ]; then run_example; else find_promtool; find_containers; run_tests; fi
    ;;
  *)
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac

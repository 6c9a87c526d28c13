#!/usr/bin/env bash
# Builds FAISS with its GPU classes from the distribution's source package.
#
#   deploy/deps/faiss-gpu.sh [--arch LIST] [--jobs N]   build (about half an hour of one core per
#                                                       architecture); prints the prefix
#   deploy/deps/faiss-gpu.sh [--arch LIST] --find       print the prefix if it is built; else exit 1
#   deploy/deps/faiss-gpu.sh --installed DIR            check a FAISS with GPU that is installed at
#                                                       DIR (conda, own build; 1.7, 1.9 to 1.15)
#
# LIST: CUDA architectures, separated by commas or semicolons (default 90). CUDA 12 takes 70 to 90,
# CUDA 13 takes 75 to 120. Give the prefix to CMake:
#   cmake --preset gpu -DMRL_FAISS_GPU="$(deploy/deps/faiss-gpu.sh --find)"
#
# What is built lies under ${XDG_CACHE_HOME:-~/.cache}/mrl/faiss-gpu-KEY; KEY is a hash of what
# builds it, the package's version, the compiler's version and the architectures. Needs nvcc, cmake,
# apt sources of the distribution (deb lines are enough) and libopenblas-dev.
set -euo pipefail

script=$(readlink -f "${BASH_SOURCE[0]}")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mrl
archs=90
jobs=$(nproc)
find_only=no
installed=

die() { echo "faiss-gpu.sh: $*" >&2; exit "${code:-1}"; }
usage() { sed -n '2,17s/^# \{0,1\}//p' "$script"; }

while [ $# -gt 0 ]; do
  case $1 in
    --arch) archs=${2:?--arch needs a list}; shift 2 ;;
    --jobs) jobs=${2:?--jobs needs a number}; shift 2 ;;
    --find) find_only=yes; shift ;;
    --installed) installed=${2:?--installed needs a folder}; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) code=2 die "unknown argument \`$1\`; --help lists them" ;;
  esac
done
archs=${archs//,/;}
[[ $archs =~ ^[0-9]+[a-z]?(;[0-9]+[a-z]?)*$ ]] || code=2 die "--arch takes numbers such as 80;90, not \`$archs\`"

# A version of FAISS that index/coarse/faiss_version.h knows.
check_installed() {
  local header=$1/include/faiss/Index.h config
  [ -f "$header" ] || die "$1 holds no include/faiss/Index.h"
  [ -f "$1/include/faiss/gpu/GpuIndex.h" ] || die "the FAISS at $1 was built without GPU"
  config=$(find "$1" -name faiss-config.cmake -print -quit)
  [ -n "$config" ] || die "$1 holds no faiss-config.cmake"
  local major minor
  major=$(sed -n 's/^#define FAISS_VERSION_MAJOR \([0-9]*\).*/\1/p' "$header")
  minor=$(sed -n 's/^#define FAISS_VERSION_MINOR \([0-9]*\).*/\1/p' "$header")
  case $major.$minor in
    1.7 | 1.9 | 1.1[0-5]) ;;
    *) die "FAISS $major.$minor at $1 is not known: 1.7 as the distribution has it, or 1.9 to 1.15" ;;
  esac
  echo "$1"
}

if [ -n "$installed" ]; then
  check_installed "$installed"
  exit 0
fi

# The distribution's own sources, asked for source packages, with lists of their own: needs no root
# and leaves the machine's apt as it was.
fetch_source() {
  mkdir -p "$work/parts" "$work/lists/partial" "$work/src"
  local file
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"$work/parts/$(basename "$file")"
  done
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] && sed -n 's/^deb /deb-src /p' "$file" >"$work/parts/$(basename "$file" .list).list"
  done
  local options=(-o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$work/parts"
    -o "Dir::State::lists=$work/lists" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=")
  apt-get "${options[@]}" update || true  # a third party's sources may have no source packages
  (cd "$work/src" && apt-get "${options[@]}" source --download-only faiss)
  (cd "$work/src" && dpkg-source --no-check -x ./*.dsc tree)
}

build() {
  # Its CMake asks for C++11, which CUDA's own headers have left behind.
  sed -i 's/CMAKE_CXX_STANDARD 11/CMAKE_CXX_STANDARD 17/' "$work/src/tree/CMakeLists.txt"
  cmake -S "$work/src/tree" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DFAISS_ENABLE_GPU=ON \
    -DFAISS_ENABLE_PYTHON=OFF -DFAISS_ENABLE_C_API=OFF -DBUILD_TESTING=OFF -DBUILD_SHARED_LIBS=OFF \
    -DFAISS_OPT_LEVEL=generic -DBLA_VENDOR=OpenBLAS -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
    -DCMAKE_CUDA_ARCHITECTURES="$archs" -DCMAKE_CUDA_COMPILER="$(command -v nvcc)" \
    -DCMAKE_CUDA_STANDARD=17 -DCMAKE_INSTALL_PREFIX="$prefix.new" &&
    cmake --build "$work/build" --target faiss -j "$jobs" && cmake --install "$work/build"
}

PATH=$PATH:/usr/local/cuda/bin
command -v nvcc >/dev/null || die "nvcc is not on the PATH: install the CUDA toolkit, 12 or 13"
version=$(dpkg-query -W -f='${Version}' libfaiss-dev 2>/dev/null) ||
  version=$(apt-cache madison libfaiss-dev 2>/dev/null | awk -F'|' 'NR==1{gsub(/ /,"",$2);print $2}')
[ -n "$version" ] || die "libfaiss-dev is not installed, and apt does not know it: run apt-get update"
key=$({ declare -f fetch_source build; echo "$version $archs"; nvcc --version | tail -2; } | sha256sum | cut -c1-16)
prefix=$cache/faiss-gpu-$key
if [ -f "$prefix/complete" ]; then
  echo "$prefix"
  exit 0
fi
[ "$find_only" = no ] || die "FAISS with GPU for $archs is not built: run deploy/deps/faiss-gpu.sh --arch '$archs'"

mkdir -p "$cache"
exec 9>"$prefix.lock"
flock 9  # one build at a time; who waited finds it made
if [ -f "$prefix/complete" ]; then
  echo "$prefix"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$cache/faiss-gpu-$key.log

{ fetch_source && rm -rf "$prefix.new" && build; } >"$log" 2>&1 || { tail -30 "$log" >&2; die "see $log"; }
mv "$prefix.new" "$prefix"
touch "$prefix/complete"
check_installed "$prefix" >/dev/null
echo "$prefix"

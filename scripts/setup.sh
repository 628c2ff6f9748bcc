# Sourced by ./demo, ./test and the scripts beside it: installs what is missing, configures, builds. Quick when nothing is.
set -euo pipefail

OCTET_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
OCTET_TORCH_VERSION=${OCTET_TORCH_VERSION:-2.13.0}
OCTET_BUILD_DIR=${OCTET_BUILD_DIR:-$OCTET_ROOT/build}

# OpenMP threads that wait for each other soon give their core away. By default they spin, which beside any other work on the
# machine makes training ten times slower; on an idle one it costs nothing that shows.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-1000}

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'octet: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else return 1; fi
}

# The program and the library need the first list, the suite and the benchmarks the second.
OCTET_PACKAGES="g++ cmake ninja-build python3 python3-venv python3-pip zlib1g-dev nlohmann-json3-dev libcli11-dev flatbuffers-compiler libflatbuffers-dev libgemmlowp-dev libturbojpeg0-dev libpng-dev libprotozero-dev libsndfile1-dev libsoxr-dev libkissfft-dev dataset-fashion-mnist"
OCTET_TEST_PACKAGES="libgtest-dev libbenchmark-dev"
OCTET_OPTIONAL_PACKAGES="ccache libwebp-dev"

is_installed() { [ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" = "install ok installed" ]; }

install_packages() {
  local wanted="$OCTET_PACKAGES $OCTET_TEST_PACKAGES $OCTET_OPTIONAL_PACKAGES"
  if ! command -v apt-get >/dev/null; then
    local tool absent=""
    for tool in g++ cmake ninja python3; do command -v "$tool" >/dev/null || absent="$absent $tool"; done
    [ -z "$absent" ] || die "no apt-get on this system; please install by hand:$absent, and what these Debian packages hold: $wanted"
    say "no apt-get on this system: relying on what is installed. Needed, by Debian's names: $wanted"
    return
  fi
  apt_install $wanted
}

# apt_install PACKAGE ...: what of them is missing
apt_install() {
  local missing="" package
  command -v apt-get >/dev/null || die "no apt-get on this system; please install by hand what these Debian packages hold: $*"
  for package in "$@"; do is_installed "$package" || missing="$missing $package"; done
  [ -n "$missing" ] || return 0
  say "installing:$missing"
  local log; log=$(mktemp)
  if ! { as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die "apt-get could not install:$missing (as root or with sudo, run: apt-get update && apt-get install$missing)"
  fi
  rm -f "$log"
}

# Folder of the torch that this python imports, or nothing.
torch_folder() {
  "$1" -c "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')" 2>/dev/null || true
}

torch_serves() {
  [ -n "$1" ] && [ -f "$1/lib/libtorch_cpu.so" ] && [ -f "$1/include/ATen/ATen.h" ] || return 1
  local major minor
  major=$(sed -n 's/#define TORCH_VERSION_MAJOR \([0-9]*\).*/\1/p' "$1/include/torch/headeronly/version.h" 2>/dev/null || true)
  minor=$(sed -n 's/#define TORCH_VERSION_MINOR \([0-9]*\).*/\1/p' "$1/include/torch/headeronly/version.h" 2>/dev/null || true)
  [ "${major:-0}" -gt 2 ] || { [ "${major:-0}" = 2 ] && [ "${minor:-0}" -ge 9 ]; }
}

# torch into a virtual environment without the packages that only Python needs. A CUDA build's libtorch_cpu loads libcupti and
# libcudart: those two come in the versions that its metadata names.
install_torch() {
  local venv=$1 version=$2 log; log=$(mktemp)
  say "fetching torch $version into ${venv#"$OCTET_ROOT"/} (once)"
  [ -x "$venv/bin/pip" ] || python3 -m venv "$venv" || die "python3 -m venv failed; install python3-venv"
  if ! "$venv/bin/pip" install -q --no-deps "torch==$version" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die "pip could not install torch==$version; install torch $version by hand and set OCTET_TORCH_DIR to its folder"
  fi
  local needs
  needs=$("$venv/bin/python" - <<'PY'
import importlib.metadata as metadata, re
for line in metadata.requires("torch") or []:
    line = line.split(";")[0].replace(" ", "")
    toolkit = re.fullmatch(r"cuda-toolkit\[(.*)\](==[0-9.]+)", line)
    if toolkit:  # releases from 2.12 on
        print("cuda-toolkit[cudart,cupti]" + toolkit[2])
    elif re.match(r"nvidia-cuda-(cupti|runtime)(-cu\d+)?==", line):
        print(line)
PY
  )
  if [ -n "$needs" ]; then
    local need
    for need in $needs; do
      "$venv/bin/pip" install -q "$need" >"$log" 2>&1 || { tail -n 5 "$log" >&2; die "pip could not install $need"; }
    done
  fi
  rm -f "$log"
}

find_torch() {
  if [ -n "${OCTET_TORCH_DIR:-}" ]; then TORCH=$OCTET_TORCH_DIR; return; fi
  TORCH=$(torch_folder python3)
  torch_serves "$TORCH" && return
  local venv=$OCTET_ROOT/.venv
  [ -x "$venv/bin/python" ] && TORCH=$(torch_folder "$venv/bin/python")
  torch_serves "$TORCH" && return
  install_torch "$venv" "$OCTET_TORCH_VERSION"
  TORCH=$(torch_folder "$venv/bin/python")
  torch_serves "$TORCH" || die "torch in $venv does not serve: no libtorch of 2.9 or newer in '$TORCH'"
}

# For the fuzz targets and the suites that are built beside them, in one build folder, whose objects all of them share: a clang with
# libFuzzer.
use_fuzzing_clang() {
  local name compiler=${OCTET_CLANG:-}
  for name in "" clang++ clang++-{21,20,19,18,17,16}; do
    [ -z "$compiler" ] && has_libfuzzer "$name" && compiler=$name
  done
  if [ -z "$compiler" ]; then
    apt_install clang-16 libclang-rt-16-dev
    compiler=clang++-16
  fi
  has_libfuzzer "$compiler" || die "$compiler is no clang 16 or newer with libFuzzer (Debian: clang-16 libclang-rt-16-dev)"
  OCTET_CMAKE_ARGS="-DCMAKE_CXX_COMPILER=$compiler -DOCTET_BUILD_FUZZERS=ON -DOCTET_BUILD_TESTS=ON -DOCTET_BUILD_BENCHMARKS=OFF"
  # libtorch is not instrumented and keeps some memory for the life of the process. What asks for too much gets none, and says so.
  export ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0:allocator_may_return_null=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
}

has_libfuzzer() {
  local major; major=$("${1:-false}" -dumpversion 2>/dev/null | cut -d. -f1) || true
  [ "${major:-0}" -ge 16 ] && echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
    "$1" -fsanitize=fuzzer,address -x c++ - -o /dev/null 2>/dev/null
}

# build [target ...]
build() {
  local log=$OCTET_BUILD_DIR/configure.log
  mkdir -p "$OCTET_BUILD_DIR"
  if ! cmake -S "$OCTET_ROOT" -B "$OCTET_BUILD_DIR" -G Ninja -DOCTET_TORCH_DIR="$TORCH" ${OCTET_CMAKE_ARGS:-} >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    die "the configuration failed; the whole log is $log"
  fi
  say "building (${OCTET_JOBS:-$(nproc)} jobs)"
  ninja -C "$OCTET_BUILD_DIR" --quiet -j"${OCTET_JOBS:-$(nproc)}" "$@" >&2 || die "the build failed"
}

set_up() {
  install_packages
  find_torch
}

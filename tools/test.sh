#!/usr/bin/env bash
# Installs what is missing, builds and runs all tests. CI runs this.
#
#   tools/test.sh              every stage but the last, by value
#   tools/test.sh STAGE...     some of: checks cpu simt cuda tsan fuzz avx2 tidy tsan-all
#
# checks: clang-format, the project's own rules.   cpu: build/, tests on the CPU.   simt: build-simt/, the CUDA kernels on the host under
# AddressSanitizer and UBSan.   cuda: build-cuda/, where there is nvcc: all CUDA compiled and linked for one architecture, registers and
# spills against the committed table, and the program started.   tsan: build-tsan/, a few of simt's under ThreadSanitizer.   fuzz: each
# fuzz target for two seconds, where there is clang.   avx2: build-avx2/, -march=x86-64-v3 and its tests, where the processor has more.
# tidy: clang-tidy, newest files first.   tsan-all: build-tsan-cpu/, every test of the CPU under ThreadSanitizer.
#
# A run of all keeps a clock: from OTNFM_TEST_MINUTES (70) on it starts no stage that may be left out (tsan, fuzz, avx2, tidy), and its last
# lines say which those were.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

required=(checks cpu simt cuda)
optional=(tsan fuzz avx2 tidy)
known=("${required[@]}" "${optional[@]}" tsan-all)
case ${1:-} in -h | --help) sed -n '2,16s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;; esac
for stage in "$@"; do
  [[ " ${known[*]} " == *" $stage "* ]] || fail "no stage is named '$stage' (${known[*]})"
done

configure() { cmake --preset "$1" -DOTNFM_TESTS=ON "${@:2}" >/dev/null; }
build() { cmake --build "$1" -j "$jobs" "${@:2}"; }
# Tests that run side by side must not spin for each other's processors.
run_ctest() { OMP_WAIT_POLICY=passive ctest --test-dir "$1" -j "$jobs" --output-on-failure --no-tests=error "${@:2}"; }

# Another version of clang-format lays some lines out otherwise.
format() {
  local version
  version=$(clang-format --version | sed -E 's/.*version ([0-9]+).*/\1/')
  if [[ $version -ne 14 ]]; then
    say "not checked: the sources are formatted with clang-format 14, and $version is installed"
    return
  fi
  find kernels engine layers ot tools tests bench \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' \) -print0 |
    xargs -0 -P "$jobs" -n 32 clang-format --dry-run -Werror
}

checks() {
  run_stage "checks: format" format
  run_stage "checks: rules" python3 tools/check_rules.py
  run_stage "checks: rules, planted" python3 tools/check_rules.py --self-test
}

tidy() {
  run_stage "tidy: configure" configure cpu -B build-tidy -DOTNFM_UNITY=OFF
  run_stage "tidy: clang-tidy" python3 tools/check_tidy.py --build build-tidy
}

cpu() {
  run_stage "cpu: configure" configure cpu
  run_stage "cpu: build" build build
  run_stage "cpu: tests" run_ctest build
}

# Sanitized loops that this processor cannot run take a minute and a half to compile, for nothing.
loops_that_run() { grep -qw avx512f /proc/cpuinfo && echo -DOTNFM_AVX512_LOOPS=ON || echo -DOTNFM_AVX512_LOOPS=OFF; }

simt() {
  run_stage "simt: configure" configure simt "$(loops_that_run)"
  run_stage "simt: build" build build-simt
  run_stage "simt: tests" run_ctest build-simt
}

# A GoogleTest program in as many parts as there are processors.
run_shards() {
  local shard pid status=0 pids=()
  for ((shard = 0; shard < jobs; ++shard)); do
    GTEST_TOTAL_SHARDS=$jobs GTEST_SHARD_INDEX=$shard "$@" &
    pids+=("$!")
  done
  for pid in "${pids[@]}"; do wait "$pid" || status=$?; done
  return "$status"
}

# ThreadSanitizer costs 50 ms a block of threads: the shim's own tests, and of each kernel a shape or two of about a warp.
tsan() {
  local patterns=(_31x1_ _2x32_ /adamw_33_ /gradient_norm_33_ /concat_columns_33x /split_columns_a_31x /sample_distribution_moons_33_
                  /gather_rows_11x33 "/time_function*_31x1x" "/group_norm*_3x5x6_" "/attention*_2x5x6_" "/conv2d*_3x5x4x3_") filter=''
  local pattern
  for pattern in "${patterns[@]}"; do filter+=":Ops/*$pattern*"; done
  run_stage "tsan: configure" configure tsan "$(loops_that_run)"
  run_stage "tsan: build" build build-tsan --target test_simt_tests test_kernels
  run_stage "tsan: tests of the shim" build-tsan/test_simt_tests --gtest_brief=1
  # What oneDNN does inside is its own affair (tools/cmake/OtnfmTargets.cmake says it to ctest).
  TSAN_OPTIONS=ignore_noninstrumented_modules=1 run_stage "tsan: kernels" run_shards build-tsan/test_kernels --gtest_brief=1 --gtest_filter="${filter#:}"
}

fuzz() {
  # Its fuzzing library is a package of its own.
  if ! clang++ -std=c++20 -I. -fsanitize=fuzzer -x c++ - -o /dev/null <tests/fuzz/nothing.cpp 2>/dev/null; then
    say "not run: the fuzz targets want clang++ and its fuzzing library (tools/setup.sh --checks installs both)"
    return
  fi
  run_stage "fuzz: configure" configure cpu
  run_stage "fuzz: the libraries" build build --target otnfm
  run_stage "fuzz: targets" tests/fuzz/run.sh build --seconds 2
}

# The processor of most laptops, and of the .deb: where this one is no better, the stage cpu was that already.
avx2() {
  if ! grep -qw avx512f /proc/cpuinfo; then
    say "not run: this processor has no AVX-512, so that the stage cpu has shown x86-64-v3"
    return
  fi
  export OTNFM_PROCESSOR=avx2
  run_stage "avx2: configure" configure avx2
  run_stage "avx2: build" build build-avx2 --target otnfm test_kernels test_ot test_layers test_engine_api
  run_stage "avx2: tests" run_ctest build-avx2 -R '^(kernels|ot|layers|engine/api)'
  unset OTNFM_PROCESSOR
}

tsan-all() {
  run_stage "tsan-all: configure" configure tsan-cpu
  run_stage "tsan-all: build" build build-tsan-cpu
  run_stage "tsan-all: tests" run_ctest build-tsan-cpu
}

has_gpu() { nvidia-smi -L >/dev/null 2>&1; }

start_program() {
  local text
  text=$(build-cuda/otnfm info) || return 1
  printf '%s\n' "$text"
  has_gpu && return
  grep -q 'cuda .*none: ' <<<"$text" || fail "'build-cuda/otnfm info' does not say that there is no GPU"
  if OTNFM_REQUIRE=cuda build-cuda/test_kernels --gtest_brief=1 --gtest_filter='*residual*' >/dev/null 2>&1; then
    fail "with OTNFM_REQUIRE=cuda the kernel tests pass on a machine without a GPU"
  fi
}

cuda() {
  local nvcc
  nvcc=$(find_nvcc)
  if [[ -z $nvcc ]]; then
    say "no nvcc: the CUDA build is left out (tools/setup.sh --cuda installs one)"
    return
  fi
  export CUDACXX=$nvcc
  run_stage "cuda: configure" configure cuda
  run_stage "cuda: build" build build-cuda --target otnfm test_kernels bench_kernels
  run_stage "cuda: registers and spills" python3 tools/check_ptxas.py --check
  run_stage "cuda: start" start_program
  if has_gpu; then run_stage "cuda: tests" env OTNFM_REQUIRE=cuda build-cuda/test_kernels --gtest_brief=1; fi
}

run_stage "setup" tools/setup.sh --checks
left_out=()
if [[ $# -gt 0 ]]; then
  for stage in "$@"; do "$stage"; done
else
  for stage in "${required[@]}"; do "$stage"; done
  for stage in "${optional[@]}"; do
    if ((SECONDS < 60 * ${OTNFM_TEST_MINUTES:-70})); then "$stage"; else left_out+=("$stage"); fi
  done
fi
print_stages
[[ ${#left_out[@]} -eq 0 ]] || say "left out for lack of time, after $((SECONDS / 60)) minutes: ${left_out[*]}"
say "every stage that ran passed, in $((SECONDS / 60)) minutes"

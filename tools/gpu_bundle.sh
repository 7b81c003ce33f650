#!/usr/bin/env bash
# Builds what tools/gpu_check.sh runs into one folder that needs nothing installed on the GPU machine but its driver, cuBLAS and cuDNN:
# the programs for one architecture, static cudart, and beside them every shared library but those of glibc, the driver and CUDA,
# packed in programs.tar.gz (tools/gpu_check.sh unpacks them beside itself).
#
#   tools/gpu_bundle.sh [FOLDER]          FOLDER is ./gpu-bundle unless told
#   there: FOLDER/gpu_check.sh --out RESULTS
#
# OTNFM_CUDA_ARCHITECTURES chooses the architecture (90a: H100 and H200).
set -euo pipefail
start_folder=$PWD
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in -h | --help) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;; esac
[[ $# -le 1 ]] || fail "at most one argument, the folder, but $# were given"
bundle=$(cd "$start_folder" && realpath -m "${1:-gpu-bundle}")
[[ ! -e $bundle || -e $bundle/gpu_check.sh ]] || fail "$bundle is there and is no bundle"
limit_mb=60

nvcc=$(find_nvcc)
[[ -n $nvcc ]] || fail "no nvcc was found (tools/setup.sh --cuda installs one)"
export CUDACXX=$nvcc

# DT_RPATH and not DT_RUNPATH: it also holds for what the libraries beside the programs need themselves.
# x86-64-v3 (AVX2, FMA) and not native: the GPU machine has another processor.
configure() {
  cmake -G Ninja -S . -B build-gpu -DCMAKE_BUILD_TYPE=Release -DOTNFM_CUDA=ON -DOTNFM_MARCH=x86-64-v3 -DOTNFM_TESTS=ON -DOTNFM_BENCH=ON \
    -DOTNFM_CUDA_ARCHITECTURES="${OTNFM_CUDA_ARCHITECTURES:-90a}" \
    -DCMAKE_EXE_LINKER_FLAGS='-Wl,--disable-new-dtags,-rpath,\$ORIGIN/lib' >/dev/null
}

# What the GPU machine has of its own, in the version that its driver or its glibc needs.
is_systems_own() {
  case $(basename "$1") in
    ld-linux* | libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libresolv.so.*) return 0 ;;
    libcuda.so.* | libcublas* | libcudnn* | libnvrtc* | libnvJitLink* | libnvidia-*) return 0 ;;
  esac
  return 1
}

collect() {
  local program library programs
  programs=$(mktemp -d) && mkdir "$programs/lib" || return 1
  rm -rf "$bundle" && mkdir -p "$bundle" || return 1
  for program in build-gpu/otnfm build-gpu/test_* build-gpu/bench_*; do
    [[ -f $program && -x $program ]] || continue
    strip -o "$programs/$(basename "$program")" "$program" || return 1
    while read -r library; do
      [[ -e $library ]] || { fail "$program needs a library that is not here: $library"; }
      is_systems_own "$library" || cp -Ln "$library" "$programs/lib/"
    done < <(ldd "$program" | awk '/=> not found/ {print $1} /=> \// {print $3}')
  done
  strip --strip-unneeded "$programs"/lib/*.so* || return 1
  tar -czf "$bundle/programs.tar.gz" -C "$programs" . || return 1
  rm -rf "$programs"
  cp tools/gpu_check.sh tools/gpu_report.py bench/peers/toy_step.py "$bundle/" || return 1
  { git describe --always --dirty 2>/dev/null || echo unknown; } >"$bundle/VERSION"
}

weigh() {
  local kb
  kb=$(du -sk "$bundle" | cut -f1)
  [[ $kb -le $((limit_mb * 1024)) ]] || fail "$bundle is $((kb / 1024)) MB, over the limit of $limit_mb MB"
  say "$bundle: $((kb / 1024)) MB"
}

run_stage "configure" configure
run_stage "build" cmake --build build-gpu -j "$jobs"
run_stage "collect" collect
run_stage "weigh" weigh

#!/usr/bin/env bash
# The proof on a GPU, in one call of under 8 minutes and without a network: every test on cuda, the benchmarks with their roofline
# fractions, compute-sanitizer's memcheck and racecheck over the kernel tests, and the peers that can be imported.
#
#   gpu_check.sh [BUILD_DIR] [--out FOLDER] [--seconds S]
#
# BUILD_DIR holds the programs: a build with CUDA, or the folder of tools/gpu_bundle.sh; unless told, this script's own folder where
# that is such a bundle, else build-cuda. FOLDER (./gpu-results) gets result.json, result.md and a log of each stage. Exit 0: all
# that could run passed.
set -uo pipefail

script_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
fail() { printf 'gpu_check.sh: error: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

build='' out=gpu-results limit=460
while [[ $# -gt 0 ]]; do
  case $1 in
    --out | --seconds)
      [[ $# -ge 2 ]] || { printf 'gpu_check.sh: error: %s needs a value\n' "$1" >&2; exit 2; }
      if [[ $1 == --out ]]; then out=$2; else limit=$2; fi
      shift 2 ;;
    -h | --help) usage; exit 0 ;;
    -*) printf 'gpu_check.sh: error: unknown flag %s\n' "$1" >&2; exit 2 ;;
    *) build=$1; shift ;;
  esac
done
if [[ -z $build ]]; then
  build=$script_folder
  [[ ! -f $build/programs.tar.gz || -x $build/test_kernels ]] || tar -xzf "$build/programs.tar.gz" -C "$build" || fail "$build/programs.tar.gz cannot be unpacked"
  [[ -x $build/test_kernels ]] || build=$script_folder/../build-cuda
fi
[[ -x $build/test_kernels && -x $build/otnfm ]] || fail "$build holds no otnfm and test_kernels: build with CUDA, or name the folder"
build=$(cd "$build" && pwd)
python=$(command -v python3) || fail "python3 is needed for the report"
nvidia-smi -L >/dev/null 2>&1 || fail "no GPU: nvidia-smi lists none"
mkdir -p "$out" && out=$(cd "$out" && pwd) || fail "$out cannot be made"
rm -f "$out"/{test,bench,peer}_*.json "$out"/*.log "$out"/result.*  # of an earlier run
: >"$out/stages.tsv"

# cuBLAS, and cuDNN with the compiler of its kernels: the loader's own, a CUDA toolkit's, or those that came with PyTorch.
library_folders() {
  local candidates=() folder name
  candidates=(/usr/local/cuda/lib64 /usr/local/cuda-*/lib64 "$script_folder/../.cuda/toolkit/lib")
  while read -r folder; do candidates+=("$folder"); done < <("$python" - <<'PYTHON'
import glob, importlib.util
spec = importlib.util.find_spec("nvidia")
for root in (spec.submodule_search_locations or []) if spec else []:
    for folder in sorted(glob.glob(root + "/*/lib")):
        print(folder)
PYTHON
  )
  for name in libcublasLt.so.13 libcudnn.so.9 libnvrtc.so.13; do
    ldconfig -p 2>/dev/null | grep -q "$name" && continue
    for folder in "${candidates[@]}"; do
      if [[ -e $folder/$name ]]; then printf '%s\n' "$folder"; break; fi
    done
  done | sort -u | paste -sd:
}
folders=$(library_folders)
[[ -z $folders ]] || export LD_LIBRARY_PATH=$folders${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export OTNFM_REQUIRE=cuda

# stage NAME SECONDS COMMAND...: runs it under both its own limit and what is left of the whole; its log and its outcome are kept.
began=$SECONDS bad=0
stage() {
  local name=$1 own=$2 left status outcome start=$SECONDS
  shift 2
  left=$((limit - (SECONDS - began)))
  if [[ $left -lt 5 ]]; then
    outcome='no time left'
  else
    timeout --kill-after=5 "$((own < left ? own : left))" "$@" >"$out/$name.log" 2>&1
    status=$?
    case $status in
      0) outcome=passed ;;
      124 | 137) outcome='out of time' ;;
      *) outcome="failed ($status)" ;;
    esac
  fi
  [[ $outcome == passed ]] || bad=$((bad + 1))
  printf '%s\t%s\t%d\n' "$name" "$outcome" "$((SECONDS - start))" >>"$out/stages.tsv"
  printf '%-28s %-14s %4d s\n' "$name" "$outcome" "$((SECONDS - start))"
  [[ $outcome == passed || $outcome == 'no time left' ]] || tail -n 15 "$out/$name.log" | sed 's/^/    /'
}
skip() {
  printf '%s\tskipped: %s\t0\n' "$1" "$2" >>"$out/stages.tsv"
  printf '%-28s skipped: %s\n' "$1" "$2"
}

nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader | head -1 | tee "$out/gpu.txt"
stage info 30 "$build/otnfm" info
for program in "$build"/test_*; do
  [[ -x $program && ! -d $program ]] || continue
  name=$(basename "$program")
  stage "$name" 150 "$program" --gtest_brief=1 --gtest_output="json:$out/$name.json"
done
for program in "$build"/bench_*; do
  [[ -x $program && ! -d $program ]] || continue
  name=$(basename "$program")
  stage "$name" 60 "$program" --benchmark_filter=cuda --benchmark_min_time=0.05 --benchmark_out_format=json --benchmark_out="$out/$name.json"
done

if "$python" -c 'import torch; assert torch.cuda.is_available()' >/dev/null 2>&1; then
  peer=$script_folder/toy_step.py
  [[ -f $peer ]] || peer=$script_folder/../bench/peers/toy_step.py
  stage peer_torch_toy_step 90 "$python" "$peer" --device cuda --rounds 3 --steps 300 --ours "$build/bench_engine" --json "$out/peer_torch_toy_step.json"
else
  skip peer_torch_toy_step 'PyTorch with CUDA cannot be imported'
fi

sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null || true)
for tool in memcheck racecheck; do
  if [[ -n $sanitizer ]]; then
    stage "sanitizer_$tool" 120 "$sanitizer" --tool "$tool" --error-exitcode 9 "$build/test_kernels" --gtest_brief=1 --gtest_filter='Ops/*'
  else
    skip "sanitizer_$tool" 'compute-sanitizer is not installed'
  fi
done

version=unknown
if [[ -f $build/VERSION ]]; then
  version=$(<"$build/VERSION")
else
  version=$(git -C "$script_folder" describe --always --dirty 2>/dev/null || echo unknown)
fi
"$python" "$script_folder/gpu_report.py" "$out" --version "$version" || bad=$((bad + 1))
printf '%d s in all; %s/result.json, %s/result.md\n' "$((SECONDS - began))" "$out" "$out"
[[ $bad -eq 0 ]] || fail "$bad stages did not pass"

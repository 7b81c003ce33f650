#!/usr/bin/env bash
# Builds the fuzz targets by clang, over a build of the project, and runs them one after the other:
#
#   tests/fuzz/run.sh BUILD_DIR [--seconds N] [--executions N] [TARGET...]
#
# --seconds N      so long for each target (3 unless told)
# --executions N   or until so many inputs were tried
# The inputs of seeds/ and regressions/ come first. What is found stays in BUILD_DIR/fuzz/found and fails the script. A
# target may take 256 MB at a time, 1 GB in all, and 5 seconds an input.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[[ $# -gt 0 ]] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
build=$1 seconds=3 executions=-1
shift
targets=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --seconds) seconds=$2; shift ;;
    --executions) executions=$2; shift ;;
    *) targets+=("$1") ;;
  esac
  shift
done
readers=(npy npy_images npz csv idx idx_labels cifar10 png lap safetensors)
all=("${readers[@]}" configuration model)
[[ ${#targets[@]} -gt 0 ]] || targets=("${all[@]}")
for target in "${targets[@]}"; do
  if [[ " ${all[*]} " != *" $target "* ]]; then
    echo "run.sh: error: no target is named '$target': there are ${all[*]}" >&2
    exit 2
  fi
done

# The parts that parse are instrumented; what they stand on comes from the build as it is. Objects are remade where a
# source or any header is newer.
work=$build/fuzz
mkdir -p "$work/objects" "$work/found"
compiler=(clang++ -std=c++20 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -I.
          -isystem /usr/include/eigen3 -DFMT_SHARED)
if command -v ccache >/dev/null; then compiler=(ccache "${compiler[@]}"); fi
object_of() { echo "$work/objects/${1//\//_}.o"; }
compile() {
  local object
  object=$(object_of "$1")
  if [[ ! -e $object || -n $(find "$1" kernels engine layers ot tests/fuzz -newer "$object" \( -name '*.h' -o -path "$1" \) -print -quit) ]]; then
    "${compiler[@]}" -fsanitize=fuzzer-no-link -c "$1" -o "$object"
  fi
}
reads_files() { [[ " ${readers[*]} " == *" $1 "* ]]; }
sources_of() {
  printf '%s\n' "tests/fuzz/$1.cpp" engine/io/{npy,npy_header,npz,csv,array_file,image_array,idx,cifar10,png_reader,lap,inflate,input_file,safetensors,text,atomic_file}.cpp engine/core/json_text.cpp kernels/check.cpp kernels/host/parallel.cpp
  reads_files "$1" || printf '%s\n' layers/*.cpp layers/*/*.cpp engine/core/option_table.cpp engine/generate/model_file.cpp engine/train/options.cpp
}
archives() { local name; for name in "$@"; do find "$build" -name "libotnfm_$name.a" -not -path '*/package/*'; done; }

# As many at once as there are processors; the last wait is for each that is left.
while read -r source; do
  if [[ $(jobs -rp | wc -l) -ge $(nproc) ]]; then wait -n; fi
  compile "$source" &
done < <(for target in "${targets[@]}"; do sources_of "$target"; done | sort -u)
for job in $(jobs -p); do wait "$job"; done

failed=()
for target in "${targets[@]}"; do
  mapfile -t objects < <(sources_of "$target" | while read -r source; do object_of "$source"; done)
  libraries=(-lz -lfmt -lpng)
  if ! reads_files "$target"; then
    mapfile -t found < <(archives train objectives couplings evaluate generate metrics data layers plot io core ot kernels)
    # A library's object may be several files at once, some of them instrumented here: what comes first counts.
    libraries+=(-Wl,--allow-multiple-definition -Wl,--start-group "${found[@]}" -Wl,--end-group -lspdlog -lpng -ldnnl -lgomp)
  fi
  "${compiler[@]}" -fsanitize=fuzzer "${objects[@]}" "${libraries[@]}" -o "$work/$target"

  mkdir -p "$work/corpus/$target"
  inputs=()
  for folder in "tests/fuzz/regressions/$target" "tests/fuzz/seeds/$target"; do
    if [[ -d $folder ]]; then inputs+=("$folder"); fi
  done
  printf '=== fuzz: %s\n' "$target"
  if "$work/$target" -max_total_time="$seconds" -runs="$executions" -max_len=8192 -timeout=5 -rss_limit_mb=1024 \
    -malloc_limit_mb=256 -artifact_prefix="$work/found/$target-" -print_final_stats=1 "$work/corpus/$target" "${inputs[@]}" \
    >"$work/$target.log" 2>&1; then
    grep -E 'number_of_executed_units|peak_rss' "$work/$target.log"
  else
    tail -n 40 "$work/$target.log"
    failed+=("$target")
  fi
done
if [[ ${#failed[@]} -gt 0 ]]; then
  echo "run.sh: error: found by ${failed[*]}: see $work/found" >&2
  exit 1
fi

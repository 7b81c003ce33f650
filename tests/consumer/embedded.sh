#!/usr/bin/env bash
# otnfm inside another project's tree, by add_subdirectory and by FetchContent:
#   tests/consumer/embedded.sh BUILD_DIR [--link]
# Configures both and compiles what is the project's own and a file of each library. --link makes and runs the programs, for which
# everything is compiled once more (minutes).
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$(cd "$source/../.." && pwd)
work=$(cd "$1" && pwd)/embedded
rm -rf "$work"

for by_fetch in OFF ON; do
  project=$work/fetch-$by_fetch
  cmake -G Ninja -S "$source/embedded" -B "$project" -DOTNFM_TREE="$tree" -DBY_FETCH=$by_fetch -DOTNFM_CUDA=OFF -DOTNFM_UNITY=OFF >"$work.log" 2>&1 || { cat "$work.log" >&2; exit 1; }
  [[ $by_fetch == OFF ]] || continue
  mapfile -t objects < <(ninja -C "$project" -t targets all | grep -oE \
    '^[^:]*(pairs_only.dir/[^:]*|example_cpp.dir/[^:]*|example_c.dir/[^:]*|kernels.dir/check.cpp|ot.dir/assignment.cpp|core.dir/core/parameters.cpp|io.dir/io/text.cpp|data.dir/data/random_permutation.cpp|layers.dir/linear.cpp|generate.dir/generate/noise.cpp|api.dir/api/c.cpp).o')
  [[ ${#objects[@]} -eq 11 ]] || { echo "embedded.sh: only ${objects[*]} found to compile" >&2; exit 1; }
  ninja -C "$project" -j "${OTNFM_JOBS:-2}" "${objects[@]}" >"$work.log" || { cat "$work.log" >&2; exit 1; }
  # The build without a target makes the project's programs, and of otnfm only what they need.
  ninja -C "$project" -t commands all >"$work.log"
  grep -q pairs_only "$work.log"
  if grep -E 'package/libotnfm(_ot)?\.a|libotnfm_metrics' "$work.log"; then
    echo "embedded.sh: the project's own build makes what it does not use" >&2
    exit 1
  fi
  if [[ ${2:-} == --link ]]; then
    ninja -C "$project" -j "${OTNFM_JOBS:-2}" >"$work.log"
    "$project/pairs_only"
    if "$project/example_cpp" 2>/dev/null || "$project/example_c" 2>/dev/null; then exit 1; fi # they start, and want a model
  fi
done

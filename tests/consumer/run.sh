#!/usr/bin/env bash
# Installs the package into a folder, builds the outside project of this folder against it, and runs what it made:
#   tests/consumer/run.sh BUILD_DIR
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$1" && pwd)
work=$build/consumer
rm -rf "$work"
mkdir -p "$work"

# As it is after tools/demo.sh, which builds the program alone: installing makes the libraries.
rm -f "$build"/package/libotnfm*
cmake --install "$build" --prefix "$work/prefix" >"$work/install.log"
"$work/prefix/bin/otnfm" train --data moons --coupling independent --flow coupling --steps 50 --out "$work/run" >"$work/train.log" 2>&1
model=$work/run/model.safetensors

cmake -S "$source" -B "$work/project" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/configure.log"
cmake --build "$work/project" -j "${OTNFM_JOBS:-2}" >"$work/build.log"
"$work/project/pairs_only"
"$work/project/transport_c"
cpp=$("$work/project/example_cpp" "$model")
[[ $("$work/project/example_static" "$model") == "$cpp" ]]
c=$("$work/project/example_c" "$model")
printf '%s\n%s\n' "$cpp" "$c"
[[ ${cpp%%,*} == "${c%%,*}" ]] # the same first sample from both languages
library=$(find "$work/prefix" -name libotnfm_c.so)
python3 "$source/smoke.py" "$library" "$model"

# Headers show nothing of how CUDA is called.
if grep -rn 'namespace cuda\|cuda::' "$work/prefix/include"; then
  echo "run.sh: the installed headers show the CUDA backend" >&2
  exit 1
fi

# The C library shows its own functions and nothing else, each with a version.
shown=$(nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }')
if grep -v '^otnfm_[a-z_]*@@OTNFM_0$' <<<"$shown"; then
  echo "run.sh: the C library shows more than its C functions" >&2
  exit 1
fi

# pkg-config says the same as CMake, where it is installed.
if command -v pkg-config >/dev/null; then
  export PKG_CONFIG_PATH=${library%/*}/pkgconfig
  c++ -o "$work/by_pkg_config" "$source/example.cpp" $(pkg-config --cflags --libs otnfm) -Wl,-rpath,"${library%/*}"
  [[ $("$work/by_pkg_config" "$model") == "$cpp" ]]
  cc -std=c99 -pedantic -Wall -Wextra -Werror -o "$work/by_pkg_config_c" "$source/example.c" \
    $(pkg-config --cflags --libs otnfm-c) -Wl,-rpath,"${library%/*}"
  [[ $("$work/by_pkg_config_c" "$model") == "$c" ]]
fi

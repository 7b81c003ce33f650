#!/usr/bin/env bash
# From a clone to a picture: installs what is missing, builds, trains a one-step generator of 8 Gaussians on the device at
# hand, and prints its W2 beside the floor (the W2 between two fresh draws of the data).
#
#   tools/demo.sh [FOLDER]   FOLDER, ./demo-8gaussians unless told, gets the model and samples.png
set -euo pipefail
start_folder=$PWD
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in -h | --help) sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;; esac
[[ $# -le 1 ]] || fail "at most one argument, the folder, but $# were given"
out=$(realpath -m "$start_folder/demo-8gaussians")
# A second run starts anew in the demo's own folder; a folder that was named is not touched, and train says if it is taken.
[[ $# -gt 0 ]] || rm -f "$out"/{model.safetensors,state.safetensors,metrics.jsonl,samples.png,eval.json}
[[ $# -eq 0 ]] || out=$(cd "$start_folder" && realpath -m "$1")

# CUDA only where a GPU can run it: it takes minutes to compile.
cuda=OFF setup_flags=()
if nvidia-smi -L >/dev/null 2>&1; then
  cuda=ON setup_flags=(--cuda)
fi

configure() {
  local generator=()
  [[ -f build/CMakeCache.txt ]] || generator=(-G Ninja)
  cmake "${generator[@]}" -S . -B build -DOTNFM_CUDA=$cuda >/dev/null
}

evaluate() {
  build/otnfm eval "$out/model.safetensors" --data 8gaussians --json | tee "$out/eval.json" | python3 -c '
import json, sys
e = json.load(sys.stdin)
print("W2 %.3f between samples and data, %.3f between data and data (ratio %.2f); collapse_rho %.2f; network evaluations a sample: %d"
      % (e["w2"], e["w2_floor"], e["w2_ratio"], e["collapse_rho"], e["nfe"]))'
}

run_stage "install what is missing" tools/setup.sh "${setup_flags[@]}"
run_stage "configure" configure
run_stage "build" cmake --build build --target otnfm -j "$jobs"
run_stage "train" build/otnfm train --data 8gaussians --coupling global --out "$out"
run_stage "evaluate" evaluate
print_stages
say "picture: $out/samples.png"
say "more:    build/otnfm --help"

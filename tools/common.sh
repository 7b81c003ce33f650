# Shared by the scripts in this folder, which source it. It goes to the root of the project and defines:
#   say TEXT            a line of the script's own
#   fail TEXT           one line on stderr, exit 1
#   find_nvcc           prints the path of nvcc: CUDACXX, PATH, /usr/local/cuda, .cuda/toolkit (tools/setup.sh --cuda); else nothing
#   run_stage NAME COMMAND...  runs one stage, timed and named; the first that fails ends the script
#   print_stages        the stages so far, with their times

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
project_root=$PWD
script_name=$(basename "$0")
jobs=${OTNFM_JOBS:-$(nproc)}

# Paths relative to the tree: another clone, CI's say, finds in ccache what this one compiled.
export CCACHE_BASEDIR=$project_root CCACHE_NOHASHDIR=true

say() { printf '%s: %s\n' "$script_name" "$*"; }
fail() { printf '%s: error: %s\n' "$script_name" "$*" >&2; exit 1; }

find_nvcc() {
  local candidate
  for candidate in "${CUDACXX:-}" "$(command -v nvcc || true)" /usr/local/cuda/bin/nvcc "$project_root/.cuda/toolkit/bin/nvcc"; do
    if [[ -n $candidate && -x $candidate ]]; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 0
}

stage_lines=()
run_stage() {
  local name=$1 status=0 start=$SECONDS
  shift
  printf '\n=== %s\n' "$name"
  "$@" || status=$?
  local seconds=$((SECONDS - start))
  if [[ $status -ne 0 ]]; then
    print_stages
    fail "stage '$name' failed with status $status after $seconds s"
  fi
  stage_lines+=("$(printf '%6d s  %s' "$seconds" "$name")")
  printf '=== %s: %d s\n' "$name" "$seconds"
}

print_stages() {
  printf '\n'
  if [[ ${#stage_lines[@]} -gt 0 ]]; then printf '%s\n' "${stage_lines[@]}"; fi
}

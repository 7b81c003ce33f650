#!/usr/bin/env bash
# Makes a .deb of the program, the libraries and the headers, and tries it in a clean root.
#
#   tools/package.sh [--march ARCH] [--no-check]   prints the path of the package
#
# Built for x86-64-v3 (AVX2) unless told, so that it runs on other machines than this. The check unpacks the package and
# the libraries that it names into an empty folder and runs the program there by chroot, as root, or else by the folder's
# own loader.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

march=x86-64-v3 check=true
while [[ $# -gt 0 ]]; do
  case $1 in
    --march) march=${2:?--march takes an architecture}; shift ;;
    --no-check) check=false ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) fail "unknown argument '$1' (see --help)" ;;
  esac
  shift
done
command -v dpkg-shlibdeps >/dev/null || fail "dpkg-shlibdeps is missing: install dpkg-dev"

cmake -G Ninja -S . -B build-package -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr -DOTNFM_MARCH="$march" \
  -DOTNFM_TESTS=OFF -DOTNFM_BENCH=OFF -DOTNFM_CUDA=OFF >/dev/null
cmake --build build-package -j "$jobs"
rm -f build-package/*.deb
(cd build-package && cpack -G DEB >cpack.log) || fail "cpack failed: see build-package/cpack.log"
package=$(echo build-package/*.deb)

# The libraries that the package depends on, as they lie on this machine, and nothing else of it.
try_in_clean_root() {
  local root library
  root=$(mktemp -d)
  trap 'rm -rf "$root"' RETURN
  dpkg-deb -x "$package" "$root"
  ldd "$root/usr/bin/otnfm" | grep -oE '/[^ ]+' | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
  mkdir -p "$root/tmp"
  local run=(env -i LD_LIBRARY_PATH="$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" HOME=/
             "$root$(ldd "$root/usr/bin/otnfm" | grep -oE '/[^ ]*ld-linux[^ ]*')" "$root/usr/bin/otnfm")
  local out=$root/tmp/run
  if [[ $(id -u) -eq 0 ]] && chroot "$root" /usr/bin/otnfm info >/dev/null 2>&1; then
    run=(chroot "$root" /usr/bin/otnfm)
    out=/tmp/run
  fi
  "${run[@]}" info
  "${run[@]}" train --data moons --coupling minibatch --steps 20 --out "$out" >"$root/tmp/train.log" 2>&1
  "${run[@]}" sample "$out/model.safetensors" -n 10 --out "$out/samples.npy"
}

if $check; then run_stage "the package in a clean root" try_in_clean_root; fi
dpkg-deb --info "$package" | sed -n 's/^ \(Depends\|Version\)/\1/p'
say "$package"

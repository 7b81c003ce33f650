#!/usr/bin/env bash
# Makes a .deb of the program, the libraries and the headers, and tries it in a clean root.
#
#   tools/package.sh [--march ARCH] [--no-check | --apt]   prints the path of the package
#
# Built for x86-64-v3 (AVX2) unless told, so that it runs on other machines than this. The check puts the libraries that
# the program stands on into an empty folder, installs the package there by dpkg and runs the program by chroot. Without
# root the package is unpacked, and the program runs by the folder's own loader. --apt (as root, some 150 MB to download)
# then makes a whole system of this release by debootstrap, where apt installs the package with what its Depends ask for.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

march=x86-64-v3 check=true by_apt=false
while [[ $# -gt 0 ]]; do
  case $1 in
    --march) [[ $# -gt 1 ]] || fail "--march takes an architecture"; march=$2; shift ;;
    --no-check) check=false ;;
    --apt) by_apt=true ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) fail "unknown argument '$1' (see --help)" ;;
  esac
  shift
done
command -v dpkg >/dev/null || fail "a .deb is made on Debian and Ubuntu only: there is no dpkg here"
if $by_apt && [[ $(id -u) -ne 0 ]]; then fail "--apt makes a system of its own, which takes root"; fi
tools/setup.sh --package

cmake -G Ninja -S . -B build-package -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr -DOTNFM_MARCH="$march" \
  -DOTNFM_TESTS=OFF -DOTNFM_BENCH=OFF -DOTNFM_CUDA=OFF >/dev/null
cmake --build build-package -j "$jobs"
rm -f build-package/*.deb
(cd build-package && cpack -G DEB >cpack.log) || fail "cpack failed: see build-package/cpack.log"
package=$(echo build-package/*.deb)

# Copies programs and libraries of this machine, with the libraries that these stand on, into root.
copy_into_root() {
  local file
  for file in "$@"; do
    { printf '%s\n' "$file"; ldd "$file" | grep -oE '/[^ ]+' || true; } | while read -r file; do
      mkdir -p "$root$(dirname "$file")"
      cp -Ln "$file" "$root$file"
    done
  done
}

# A short run of the program, which is started by the arguments; its files go to out, /tmp/run unless that is set.
run_and_look() {
  local folder=${out:-/tmp/run}
  "$@" info
  "$@" train --data moons --coupling minibatch --steps 20 --out "$folder" >"$root/tmp/train.log" 2>&1 ||
    { cat "$root/tmp/train.log" >&2; return 1; }
  "$@" sample "$folder/model.safetensors" -n 10 --out "$folder/samples.npy"
}

try_in_clean_root() (
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  dpkg-deb -x "$package" "$root/unpacked"
  copy_into_root /bin/sh /sbin/ldconfig  # for the package's own scripts
  # What the program stands on comes with its files only: dpkg's list of what is installed is empty here.
  ldd "$root/unpacked/usr/bin/otnfm" | grep -oE '/[^ ]+' | while read -r library; do copy_into_root "$library"; done
  rm -r "$root/unpacked"
  mkdir -p "$root/tmp" "$root/etc" "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
  touch "$root/var/lib/dpkg/status"
  loader=$root$(ldd /bin/sh | grep -oE '/[^ ]*ld-linux[^ ]*')
  if [[ $(id -u) -eq 0 ]] && chroot "$root" /bin/sh -c true 2>/dev/null; then
    dpkg --root="$root" --force-depends --install "$package" >"$root/tmp/dpkg.log" 2>&1 || { cat "$root/tmp/dpkg.log" >&2; exit 1; }
    run=(chroot "$root" /usr/bin/otnfm) out=/tmp/run
  else
    dpkg-deb -x "$package" "$root"
    run=(env -i LD_LIBRARY_PATH="$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" HOME=/ "$loader" "$root/usr/bin/otnfm")
    out=$root/tmp/run
  fi
  run_and_look "${run[@]}"
)

# From the mirror that this machine's release comes from.
try_by_apt() (
  root=$(mktemp -d)
  trap 'rm -rf --one-file-system "$root"' EXIT
  release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  sources=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI) $(COMPONENT)' 'Identifier: Packages' | grep "^$release " || true)
  mirror=$(awk 'NR == 1 { print $2 }' <<<"$sources")
  [[ -n $mirror ]] || fail "apt's sources have none for $release"
  components=$(awk -v mirror="$mirror" '$2 == mirror { print $3 }' <<<"$sources" | sort -u | paste -sd,)
  debootstrap --variant=minbase --components="$components" "$release" "$root" "$mirror" >"$root.log" 2>&1 ||
    { tail -n 20 "$root.log" >&2; exit 1; }
  rm "$root.log"
  cp "$package" "$root/tmp/"
  chroot "$root" sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends /tmp/*.deb' \
    >"$root/tmp/apt.log" 2>&1 || { tail -n 20 "$root/tmp/apt.log" >&2; exit 1; }
  run_and_look chroot "$root" /usr/bin/otnfm
)

if $check; then run_stage "the package in a clean root" try_in_clean_root; fi
if $by_apt; then run_stage "the package by apt in a clean system" try_by_apt; fi
dpkg-deb --info "$package" | sed -n 's/^ \(Depends\|Version\)/\1/p'
say "$package"

#!/usr/bin/env bash
# Installs what the build needs and is missing; does nothing, quickly and without the network, where all is there.
#
#   tools/setup.sh            the compiler and the libraries, from the packages of Debian (12 and later) or Ubuntu (24.04 and later)
#   tools/setup.sh --checks   also clang-format, clang-tidy and clang with its OpenMP (for the fuzz targets and ThreadSanitizer),
#                             which tools/test.sh runs
#   tools/setup.sh --package  also dpkg-dev, which tools/package.sh makes the .deb with, and debootstrap, which it tries it with
#   tools/setup.sh --cuda     also, where there is no nvcc or no cuDNN, both from the nvidia-* wheels, into .cuda/
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=(cmake ninja-build g++ ccache libdnnl-dev libspdlog-dev libfmt-dev libcli11-dev nlohmann-json3-dev libeigen3-dev
          libpng-dev zlib1g-dev libgtest-dev libbenchmark-dev python3)
want_cuda=false
for argument in "$@"; do
  case $argument in
    --checks)
      packages+=(clang-format clang-tidy clang libomp-dev)
      # Later releases bring the fuzzing library with clang itself.
      if grep -qs '^VERSION_ID="12"' /etc/os-release; then packages+=(libclang-rt-14-dev); fi
      ;;
    --package) packages+=(dpkg-dev debootstrap) ;;
    --cuda) want_cuda=true packages+=(python3-venv) ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) fail "unknown argument '$argument' (see --help)" ;;
  esac
done

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  [[ ${#missing[@]} -eq 0 ]] && return

  local as_root=()
  if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null ||
      fail "these packages are missing, and neither root nor sudo is at hand to install them: ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  # A third-party source that does not answer must not stop the installation from the others.
  "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=120 update || say "apt-get update failed; going on with the lists at hand"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
    install -y --no-install-recommends "${missing[@]}" >/dev/null ||
    fail "apt-get could not install: ${missing[*]}"
}

# Beside nvcc, where compilers look by themselves, or where an earlier run has put it.
has_cudnn() {
  local folder
  for folder in "$(dirname "$1")/../include" /usr/local/include /usr/include .cuda/wheels/nvidia/cudnn/include; do
    [[ ! -e $folder/cudnn.h ]] || return 0
  done
  return 1
}

# The wheels hold the toolkit as NVIDIA ships it, under nvidia/cu13; CMake and the linker also want lib64 and lib*.so without a version.
# One release for all of them: kernels/cuda/registers.tsv is what this release's ptxas says. cuDNN compiles some kernels when it runs, by
# nvrtc.
install_cuda() {
  local toolkit_wheels=(nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96
                        nvidia-cuda-cccl==13.0.85 nvidia-cublas==13.1.0.3 nvidia-cuda-nvrtc==13.0.88)
  local nvcc wheels=()
  nvcc=$(find_nvcc)
  if [[ -z $nvcc ]]; then
    say "installing a CUDA toolkit into .cuda/ (about 600 MB to download)"
    wheels=("${toolkit_wheels[@]}")
    rm -rf .cuda
  fi
  if ! has_cudnn "${nvcc:-.cuda/toolkit/bin/nvcc}"; then
    say "installing cuDNN into .cuda/ (about 400 MB to download)"
    wheels+=(nvidia-cudnn-cu13==9.19.0.56)
  fi
  if [[ ${#wheels[@]} -eq 0 ]]; then
    say "nvcc is there, and so is cuDNN: $nvcc"
    return
  fi
  python3 -m venv .cuda/venv
  .cuda/venv/bin/pip install --quiet --disable-pip-version-check --no-deps --target .cuda/wheels "${wheels[@]}"
  if [[ -z $nvcc ]]; then
    local toolkit=.cuda/wheels/nvidia/cu13 library
    ln -s lib "$toolkit/lib64"
    for library in "$toolkit"/lib/lib*.so.*; do
      ln -sf "$(basename "$library")" "${library%%.so.*}.so"
    done
    ln -s wheels/nvidia/cu13 .cuda/toolkit  # last: find_nvcc sees only a whole toolkit
  fi
  say "nvcc is there, and so is cuDNN: $(find_nvcc)"
}

if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
  install_packages
else
  say "no apt-get here: install the equivalents of ${packages[*]} yourself (CMake names what is missing)" >&2
fi
if $want_cuda; then install_cuda; fi

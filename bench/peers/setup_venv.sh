#!/usr/bin/env bash
# Makes .venv-peers/ at the root of the project with what requirements.txt names (PyTorch: several GB with its CUDA libraries).
# Does nothing where it is there and complete.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=.venv-peers/bin/python
if [[ -x $python ]] && "$python" -c 'import numpy, torch, onnx, onnxruntime' 2>/dev/null; then
  exit 0
fi
free_gb=$(($(df --output=avail -k . | tail -1) / 1024 / 1024))
if [[ $free_gb -lt 12 ]]; then
  echo "setup_venv.sh: error: 12 GB of free disk are needed, $free_gb are free" >&2
  exit 1
fi
python3 -m venv .venv-peers
"$python" -m pip install --quiet --disable-pip-version-check -r bench/peers/requirements.txt

#!/usr/bin/env python3
"""Registers, shared memory and spills of every CUDA kernel, from `nvcc -Xptxas -v`: no GPU is needed.

    tools/check_ptxas.py           writes kernels/cuda/registers.tsv
    tools/check_ptxas.py --check   fails with the differences where the committed table is not what the compiler says

Each kernels/cuda/*.cu is compiled for its device code alone (-cubin), a second a file. Registers depend on the compiler, so the
table names its release; with another release --check compares nothing but that no kernel spills that did not.
"""

import argparse
import concurrent.futures
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "kernels" / "cuda" / "registers.tsv"
ARCHITECTURE = "sm_90a"
# What decides the device code in tools/cmake/OtnfmCompiler.cmake's Release build.
FLAGS = ["-std=c++20", "-O3", "-DNDEBUG", f"-arch={ARCHITECTURE}", "--expt-relaxed-constexpr", f"-I{ROOT}",
         "-DOTNFM_HAVE_CUDA=1", "-DOTNFM_SIMT=0", "-Xptxas=-v", "-cubin"]
COLUMNS = ["file", "kernel", "registers", "shared_bytes", "stack_bytes", "spill_store_bytes", "spill_load_bytes"]


def find_nvcc():
    for candidate in (os.environ.get("CUDACXX"), shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc",
                      ROOT / ".cuda" / "toolkit" / "bin" / "nvcc"):
        if candidate and os.access(candidate, os.X_OK):
            return str(candidate)
    raise SystemExit("check_ptxas.py: error: no nvcc was found (tools/setup.sh --cuda installs one)")


def release_of(nvcc):
    text = subprocess.run([nvcc, "--version"], check=True, capture_output=True, text=True).stdout
    return re.search(r"\bV(\d+\.\d+\.\d+)", text).group(1)


def readable(symbol):
    """A mangled kernel's name without its namespaces of ours, its return type and its parameters."""
    name = subprocess.run(["c++filt", symbol], check=True, capture_output=True, text=True).stdout.strip()
    name = name.replace("(anonymous namespace)::", "").replace("otnfm::cuda::", "").replace("otnfm::", "")
    depth = 0
    for position, letter in enumerate(name):
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "(" and depth == 0:
            name = name[:position]
            break
    return name.removeprefix("void ")


def kernels_of(nvcc, source):
    """One row a kernel of one file, in the order of COLUMNS."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run([nvcc, *FLAGS, str(source), "-o", f"{folder}/out.cubin"], capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(f"check_ptxas.py: error: {source.relative_to(ROOT)} does not compile\n{run.stdout}{run.stderr}")
    found = {}
    entry = None
    for line in run.stderr.splitlines():
        if match := re.search(r"Compiling entry function '(\S+)'", line):
            entry = found.setdefault(match.group(1), dict.fromkeys(COLUMNS[2:], 0))
        elif entry is None:
            continue
        # A function that is not inlined has a line of its own; its stack and spills are its kernel's.
        elif match := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            for column, value in zip(COLUMNS[4:], match.groups()):
                entry[column] += int(value)
        elif match := re.search(r"Used (\d+) registers", line):
            entry["registers"] = int(match.group(1))
            shared = re.search(r"(\d+) bytes smem", line)
            entry["shared_bytes"] = int(shared.group(1)) if shared else 0
    path = str(source.relative_to(ROOT / "kernels" / "cuda"))
    return [[path, readable(symbol), *(str(row[column]) for column in COLUMNS[2:])] for symbol, row in found.items()]


def measure(nvcc):
    sources = sorted((ROOT / "kernels" / "cuda").rglob("*.cu"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = [row for group in pool.map(lambda source: kernels_of(nvcc, source), sources) for row in group]
    return ["\t".join(row) for row in sorted(rows)]


def spilling(rows):
    return {tuple(row.split("\t")[:2]) for row in rows if row.split("\t")[5:] != ["0", "0"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed table; write nothing")
    arguments = parser.parse_args()

    nvcc = find_nvcc()
    release = release_of(nvcc)
    heading = [f"# {ARCHITECTURE}, nvcc {release}; made by tools/check_ptxas.py", "\t".join(COLUMNS)]
    rows = measure(nvcc)
    if not arguments.check:
        TABLE.write_text("\n".join(heading + rows) + "\n")
        print(f"check_ptxas.py: {len(rows)} kernels, {len(spilling(rows))} with spills: {TABLE.relative_to(ROOT)}")
        return 0

    if not TABLE.exists():
        raise SystemExit(f"check_ptxas.py: error: {TABLE.relative_to(ROOT)} is not there; run tools/check_ptxas.py")
    committed = TABLE.read_text().splitlines()
    if committed[0] != heading[0]:
        new = spilling(rows) - spilling(committed[2:])
        print(f"check_ptxas.py: the table says '{committed[0][2:]}', the compiler here is {release}: compared spills alone")
        for file, kernel in sorted(new):
            print(f"check_ptxas.py: error: {file}: {kernel} spills", file=sys.stderr)
        return 1 if new else 0
    difference = list(difflib.unified_diff(committed, heading + rows, "committed", "compiled", lineterm="", n=0))
    if difference:
        print("\n".join(difference))
        print("check_ptxas.py: error: the table differs; look at why, then run tools/check_ptxas.py and commit it", file=sys.stderr)
        return 1
    print(f"check_ptxas.py: {len(rows)} kernels as committed, {len(spilling(rows))} with spills")
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Runs clang-tidy with the checks of .clang-tidy over the .cpp files that BUILD/compile_commands.json knows.

    tools/check_tidy.py [--build BUILD] [--seconds S]

The files that git saw change last come first. What does not fit into S seconds is left out, and said so.
"""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def newest_first(files):
    log = subprocess.run(["git", "log", "--format=", "--name-only", "--", "*.cpp"], cwd=ROOT, capture_output=True, text=True).stdout
    age = {}
    for name in log.split():
        age.setdefault(name, len(age))
    return sorted(files, key=lambda file: (age.get(os.path.relpath(file, ROOT), -1), file))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=ROOT / "build", type=Path)
    parser.add_argument("--seconds", default=300, type=float)
    arguments = parser.parse_args()

    compile_commands = arguments.build / "compile_commands.json"
    if not compile_commands.is_file():
        sys.exit(f"check_tidy.py: error: there is no {compile_commands}: configure that build first")
    commands = json.loads(compile_commands.read_text())
    files = newest_first({c["file"] for c in commands if c["file"].endswith(".cpp") and "/precompiled/" not in c["file"]})
    # Without the precompiled headers, which are g++'s: so each file must include what it uses.
    for command in commands:
        command["command"] = re.sub(r"-Winvalid-pch|-include \S*cmake_pch\.hxx", "", command["command"])
    database = arguments.build / "tidy"
    database.mkdir(exist_ok=True)
    (database / "compile_commands.json").write_text(json.dumps(commands))
    deadline = time.monotonic() + arguments.seconds

    def check(file):
        if time.monotonic() > deadline:
            return None
        return subprocess.run(["clang-tidy", "--quiet", "-p", database, file], capture_output=True, text=True)

    checked = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, run in zip(files, pool.map(check, files)):
            if run is None:
                continue
            checked += 1
            if run.returncode != 0:
                failed += 1
                print(f"{os.path.relpath(file, ROOT)}:\n{run.stdout}{run.stderr}")
    print(f"check_tidy.py: {checked} files checked, {failed} with findings, {len(files) - checked} left out for lack of time")
    return 1 if failed or not checked else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Trains and evaluates over several seeds, with the program's defaults, and prints mean and standard deviation.

    tools/seeds.py --seeds 5 --tasks 8gaussians moons@8gaussians checkerboard --couplings independent minibatch global online semidiscrete

    tools/seeds.py --seeds 5 --tasks 8gaussians moons@8gaussians --couplings global --flows resnet coupling gru

A task is DATA or DATA@SOURCE; where the flow has an inverse and the source a density, the log-likelihood is evaluated too. Each run is `otnfm train` into OUT/DATA@SOURCE-COUPLING-SEED and `otnfm eval --json`, one thread each, as many at once
as there are cores (--jobs). A run that is already there is not repeated, so that an interrupted table can be gone on with. Writes OUT/seeds.json and OUT/seeds.md.
"""

import argparse
import concurrent.futures
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

COLUMNS = [("w2", "W2", 3), ("w2_floor", "floor", 3), ("w2_ratio", "ratio", 3), ("collapse_rho", "collapse_rho", 3),
           ("log_likelihood", "log-likelihood", 3),
           ("relative_conditional_variance", "conditional variance / tr Cov", 4), ("training_seconds", "training s", 1),
           ("prepare_seconds", "prepare s", 1), ("coupling_milliseconds_a_step", "coupling ms a step", 3)]


def run(program, task, coupling, flow, seed, out, more):
    """One training run and its evaluation; returns one flat record."""
    data, _, source = task.partition("@")
    folder = out / re.sub(r"[^\w@.]+", "_", "-".join([task, coupling, *([] if flow == "resnet" else [flow]), str(seed), *more]))
    record_file = folder / "seeds-record.json"
    if record_file.is_file():
        return json.loads(record_file.read_text())
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    train = [program, "train", "--data", data, "--coupling", coupling, "--flow", flow, "--seed", str(seed), "--out", str(folder), "--json", *more]
    if source:
        train += ["--source", source]
    if (folder / "state.safetensors").is_file():
        train = [program, "train", "--resume", "--out", str(folder), "--json"]
    record = {"task": task, "data": data, "source": source or "gaussian", "coupling": coupling, "flow": flow, "seed": seed}
    evaluate = [program, "eval", str(folder / "model.safetensors"), "--seed", str(1000 + seed), "--json"]
    if flow != "resnet" and not source:
        evaluate.append("--log-likelihood")
    for command in (train, evaluate):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"seeds.py: error: {' '.join(command)}: {done.stderr.strip().splitlines()[-1]}")
        record.update({key: value for key, value in json.loads(done.stdout).items() if isinstance(value, (int, float))})
    record["coupling_milliseconds_a_step"] = 1e3 * record["coupling_seconds"]
    record_file.write_text(json.dumps(record))
    return record


def table(records):
    lines = ["| task | coupling | flow | seeds | " + " | ".join(title for _, title, _ in COLUMNS) + " |", "| --- " * (4 + len(COLUMNS)) + "|"]
    for key in dict.fromkeys((r["task"], r["coupling"], r["flow"]) for r in records):
        group = [r for r in records if (r["task"], r["coupling"], r["flow"]) == key]
        cells = []
        for name, _, digits in COLUMNS:
            values = [r[name] for r in group if name in r]
            if not values:
                cells.append("")
                continue
            spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.{digits}f}{spread}")
        lines.append(f"| {group[0]['source']} → {group[0]['data']} | {key[1]} | {key[2]} | {len(group)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=str(Path(__file__).resolve().parents[1] / "build" / "otnfm"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tasks", nargs="+", default=["8gaussians", "moons@8gaussians", "checkerboard"])
    parser.add_argument("--couplings", nargs="+", help="all, unless told")
    parser.add_argument("--flows", nargs="+", default=["resnet"])
    parser.add_argument("--out", type=Path, default=Path("out-seeds"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--train-flags", default="", help="more flags for otnfm train, as one string")
    arguments = parser.parse_args()
    if not Path(arguments.program).is_file():
        raise SystemExit(f"seeds.py: error: {arguments.program} is not there: build it first (tools/demo.sh)")
    if arguments.seeds < 1 or arguments.jobs < 1:
        raise SystemExit("seeds.py: error: --seeds and --jobs must be at least 1")
    if not arguments.couplings:
        known = subprocess.run([arguments.program, "info", "--json"], check=True, capture_output=True, text=True).stdout
        arguments.couplings = json.loads(known)["couplings"].split(", ")
    arguments.out.mkdir(parents=True, exist_ok=True)

    order = [(task, coupling, flow) for task in arguments.tasks for coupling in arguments.couplings for flow in arguments.flows]
    jobs = [(*kind, seed) for seed in range(arguments.seeds) for kind in order]
    records = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        futures = {pool.submit(run, arguments.program, *job, arguments.out, arguments.train_flags.split()): job for job in jobs}
        for count, future in enumerate(concurrent.futures.as_completed(futures), 1):
            record = future.result()
            records.append(record)
            print(f"{count}/{len(jobs)} {record['data']} {record['coupling']} {record['flow']} seed {record['seed']}: ratio {record['w2_ratio']:.3f} "
                  f"collapse_rho {record['collapse_rho']:.3f}", file=sys.stderr, flush=True)
    records.sort(key=lambda r: (order.index((r["task"], r["coupling"], r["flow"])), r["seed"]))
    (arguments.out / "seeds.json").write_text(json.dumps(records, indent=1))
    text = table(records)
    (arguments.out / "seeds.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()

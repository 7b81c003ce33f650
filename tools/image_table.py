#!/usr/bin/env python3
"""Trains one network on images in several ways with the same budget, and prints what each is worth.

    tools/image_table.py --data mnist:DIR --features mnist-features.safetensors --minutes 25 --out table-mnist

A row is a coupling of the paper's pairs, or `velocity`, whose samples are made by 100, 4 and 1 evaluations. The budget of a row is in
CPU minutes: pairing beforehand counts, and so do the steps, as many of them as then fit (a short run measures how long both take), so
that every row's schedule comes to its end. Each row is `otnfm train` into OUT/ROW and `otnfm eval --features`; a row that is already
there is not repeated. Writes OUT/table.json, OUT/table.md and the grids OUT/ROW/samples.png.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

ROWS = {
    "independent": ["--coupling", "independent"],
    "minibatch": ["--coupling", "minibatch"],
    "online": ["--coupling", "online"],
    "semidiscrete": ["--coupling", "semidiscrete"],
    "velocity": ["--objective", "velocity", "--coupling", "minibatch"],
}
EVALUATIONS = {"velocity": [100, 4, 1]}


def run(command, environment):
    """The command's JSON, and its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"image_table.py: error: {' '.join(command)}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def train(arguments, row, environment):
    """Trains a row with as many steps as its budget has; returns its record."""
    folder = arguments.out / row
    record_file = folder / "record.json"
    if record_file.is_file():
        return json.loads(record_file.read_text())
    command = [arguments.program, "train", "--data", arguments.data, "--flow", arguments.flow, "--seed", str(arguments.seed), "--json",
               *ROWS[row], *arguments.more]
    budget = 60 * arguments.minutes
    trial = arguments.out / (row + "-trial")
    few, many = 8, 24
    _, cpu_few = run([*command, "--steps", str(few), "--out", str(trial)], environment)
    _, cpu_many = run([*command, "--steps", str(many), "--out", str(trial)], environment)
    a_step = max(1e-6, (cpu_many - cpu_few) / (many - few))
    beforehand = max(0.0, cpu_few - few * a_step)
    steps = int((budget - beforehand) / a_step)
    if steps < 10:
        raise SystemExit(f"image_table.py: error: {row} takes {beforehand:.0f} CPU seconds beforehand and {a_step:.2f} a step: "
                         f"{arguments.minutes} minutes are too few")
    summary, cpu = run([*command, "--steps", str(steps), "--out", str(folder)], environment)
    record = {"row": row, "steps": steps, "cpu_minutes": cpu / 60, "seconds": summary["seconds"], "weights": summary["weights"]}
    record_file.write_text(json.dumps(record))
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="mnist:DIR, cifar10:DIR")
    parser.add_argument("--features", required=True, help="FILE.safetensors of `otnfm features`")
    parser.add_argument("--minutes", type=float, default=50, help="CPU minutes a row: twice the minutes of two cores (50)")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--flow", default="unet")
    parser.add_argument("--samples", type=int, default=5000, help="that are compared")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--program", default=str(Path(__file__).resolve().parents[1] / "build" / "otnfm"))
    parser.add_argument("more", nargs="*", help="behind --: further flags of `otnfm train`")
    arguments = parser.parse_args()
    environment = dict(os.environ, OMP_NUM_THREADS=str(arguments.threads))
    arguments.out.mkdir(parents=True, exist_ok=True)

    records, beside = [], None
    for row in arguments.rows:
        record = train(arguments, row, environment)
        for evaluations in EVALUATIONS.get(row, [None]):
            name = row if evaluations is None else f"{row}, {evaluations} evaluations"
            command = [arguments.program, "eval", str(arguments.out / row / "model.safetensors"), "--features", arguments.features,
                       "--data", arguments.data, "-n", str(arguments.samples), "--seed", str(arguments.seed), "--json"]
            if evaluations is not None:
                command += ["--steps-per-sample", str(evaluations)]
            result, _ = run(command, environment)
            records.append({**record, "row": name, **result["samples"], "nfe": result["nfe"], "collapse_rho": result["collapse_rho"],
                            "nearest_train_ratio": result.get("nearest_train_ratio")})
            beside = result
            print(f"{name}: Frechet {result['samples']['frechet']:.1f}, KID {result['samples']['kid']:.3g}", file=sys.stderr)
    lines = [f"{beside['features']} features of a classifier of {beside['features_of']}, seed {beside['features_seed']}, "
             f"{100 * beside['accuracy']:.2f}% right; n = {beside['n_data']}; {arguments.minutes:g} CPU minutes a row; "
             f"flow {arguments.flow}" + (", " + " ".join(arguments.more) if arguments.more else ""), "",
             "| | evaluations | steps | Frechet | KID | precision | recall | collapse_rho | nearest train, ratio |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for name, key in (("other data: the floor", "floor"), ("the data's Gaussian", "gaussian")):
        r = beside[key]
        lines.append(f"| {name} (n = {r['n']}) | | | {r['frechet']:.1f} | {r['kid']:.3g} ± {r['kid_std']:.2g} | {r['precision']:.3f} | "
                     f"{r['recall']:.3f} | | |")
    for r in records:
        note = "" if r["frechet"] < beside["gaussian"]["frechet"] else " (does not beat the Gaussian)"
        lines.append(f"| {r['row']}{note} | {r['nfe']} | {r['steps']} | {r['frechet']:.1f} | {r['kid']:.3g} ± {r['kid_std']:.2g} | "
                     f"{r['precision']:.3f} | {r['recall']:.3f} | {r['collapse_rho']:.3f} | {r['nearest_train_ratio']:.3f} |")
    (arguments.out / "table.json").write_text(json.dumps({"rows": records, "floor": beside["floor"], "gaussian": beside["gaussian"]},
                                                         indent=1))
    (arguments.out / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

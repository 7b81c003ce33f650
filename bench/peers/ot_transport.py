#!/usr/bin/env python3
"""Exact transport between weighted points: this library against POT's network simplex, on the same problems in the same run.

bench_ot writes its clouds as .npy and reports its times; POT's `emd` then solves them with the same weights. Times are from points
and weights to the plan, the cost matrix included on both sides, the best of --repeat runs. Costs must agree to 1e-9.

    bench/peers/ot_transport.py --bench build/bench_ot [--filter d2_n1000] [--limit 60] [--out results.json]
"""
import argparse
import json
import pathlib
import tempfile
import time

import numpy as np

from limited import run_limited
from ot_exact import bench_runs, require_solved, squared_distances


def weights_of(count, factor):
    weights = 1.0 + np.arange(count) * factor % 101
    return weights / weights.sum()


def time_pot(folder, problem, repeat):
    import ot

    x, y = (np.load(folder / f"{problem}.{side}.npy")[0] for side in ("source", "target"))
    a, b = weights_of(len(x), 37), weights_of(len(y), 59)
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        costs = squared_distances(x, y)
        plan = ot.emd(a, b, costs, numItermax=100_000_000)
        best = min(best, time.perf_counter() - start)
        if best > 1:  # a long run needs no repetition
            break
    return {"seconds": best, "mean_cost": float((plan * costs).sum())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="build/bench_ot", help="the bench_ot program")
    parser.add_argument("--filter", default="", help="only problems whose name matches this regular expression")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--limit", type=float, default=120, help="seconds for all runs of POT on a problem")
    parser.add_argument("--out", help="write all figures to this JSON file")
    args = parser.parse_args()

    results = []
    with tempfile.TemporaryDirectory() as name:
        ours = {}
        for run in bench_runs(args, name, f"transport/[^/]*({args.filter or '.*'})[^/]*/"):
            require_solved(run)
            own = ours.setdefault(run["name"].split("/")[1], {"seconds": float("inf")})
            own |= {"seconds": min(own["seconds"], run["real_time"] / 1000), "mean_cost": run["mean_cost"], "gap": run["gap"]}
        print(f"{'problem':40} {'ours':>9} {'pot':>9}   pot / ours")
        for problem, own in ours.items():
            pot = run_limited(time_pot, (pathlib.Path(name), problem, args.repeat), args.limit)
            results.append({"problem": problem, "otnfm": own, "pot": pot})
            line = f"{problem:40} {own['seconds']:9.4f} "
            if "seconds" not in pot:
                print(line + (f"> {pot['over']:g}" if "over" in pot else "missing" if "missing" in pot else "failed"))
                continue
            line += f"{pot['seconds']:9.4f}   {pot['seconds'] / own['seconds']:10.1f}"
            if not abs(pot["mean_cost"] / own["mean_cost"] - 1) <= 1e-9:
                line += f"  (cost {pot['mean_cost']!r}, ours {own['mean_cost']!r})"
            print(line, flush=True)
    if args.out:
        pathlib.Path(args.out).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

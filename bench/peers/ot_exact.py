#!/usr/bin/env python3
"""Exact assignment: this library against SciPy, lapx and POT's network simplex, on the same problems in the same run.

bench_ot writes its problems as .npy and reports its times; every peer that can be imported then solves them. Times are from
points to pairing, the cost matrix included on both sides (for the peers one float64 matrix product), the best of --repeat
runs; `proof` is our certificate's, on top. The last column compares processor time, all threads together: it is what to look at
where other work has the machine. A peer that exceeds --limit seconds on a problem is stopped and shown as such. Costs must agree
to 1e-9.

    bench/peers/ot_exact.py --bench build/bench_ot [--filter d2_n4096] [--limit 60] [--out results.json]
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np

from limited import run_limited


def squared_distances(x, y):
    x, y = x.astype(np.float64), y.astype(np.float64)
    center = y.mean(0)
    x, y = x - center, y - center
    costs = x @ y.T
    costs *= -2
    costs += (x * x).sum(1)[:, None]
    costs += (y * y).sum(1)[None, :]
    return costs


def solve_scipy(costs):
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(costs)[1]


def solve_lapx(costs):
    import lap

    return lap.lapjv(costs)[1]


def solve_pot(costs):
    import ot

    plan = ot.emd([], [], costs, numItermax=100_000_000)
    return plan.argmax(1)


PEERS = {"scipy": solve_scipy, "lapx": solve_lapx, "pot": solve_pot}


def time_peer(name, folder, problem, repeat):
    source = np.load(folder / f"{problem}.source.npy")
    target = np.load(folder / f"{problem}.target.npy")
    PEERS[name](squared_distances(source[0, :8], target[0, :8]))  # imports and first-call costs are not counted
    best = cpu = float("inf")
    for _ in range(repeat):
        start, cpu_start = time.perf_counter(), time.process_time()
        pairings = [PEERS[name](squared_distances(x, y)) for x, y in zip(source, target)]
        best, cpu = min(best, time.perf_counter() - start), min(cpu, time.process_time() - cpu_start)
        if best > 1:  # a long run needs no repetition
            break
    x, y = source.astype(np.float64), target.astype(np.float64)
    cost = np.mean([((a - b[s]) ** 2).sum(1).mean() for a, b, s in zip(x, y, pairings)])
    return {"seconds": best, "cpu_seconds": cpu, "mean_cost": float(cost)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="build/bench_ot", help="the bench_ot program")
    parser.add_argument("--filter", default="", help="only problems whose name matches this regular expression")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--limit", type=float, default=120, help="seconds for all runs of a peer on a problem")
    parser.add_argument("--out", help="write all figures to this JSON file")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        command = [args.bench, f"--benchmark_filter=exact/[^/]*({args.filter or '.*'})[^/]*/", "--benchmark_format=json"]
        command += [f"--benchmark_repetitions={args.repeat}", "--benchmark_min_time=0.001"]
        output = subprocess.run(command, env={**os.environ, "OTNFM_BENCH_PROBLEMS": name}, stdout=subprocess.PIPE, check=True)
        ours = {}
        for run in json.loads(output.stdout)["benchmarks"]:
            if run.get("run_type") == "aggregate":
                continue
            if run.get("error_occurred"):
                raise SystemExit(f"{run['name']}: {run['error_message']}")
            problem = run["name"].split("/")[1]
            own = ours.setdefault(problem, {"seconds": float("inf"), "cpu_seconds": float("inf"), "certificate_s": float("inf")})
            own["seconds"] = min(own["seconds"], run["real_time"] / 1000)
            own["cpu_seconds"] = min(own["cpu_seconds"], run["cpu_time"] / 1000)
            own["certificate_s"] = min(own["certificate_s"], run["certificate_s"])
            own |= {"algorithm": run.get("label", ""), "mean_cost": run["mean_cost"], "gap": run["gap"]}

        results = []
        print(f"{'problem':44} {'ours':>9} {'proof':>9}" + "".join(f" {peer:>9}" for peer in PEERS) + "   best / ours   cpu")
        for problem, own in ours.items():
            row = {"problem": problem, "otnfm": own}
            line = f"{problem:44} {own['seconds']:9.4f} {own['certificate_s']:9.4f}"
            for peer in PEERS:
                row[peer] = run_limited(time_peer, (peer, folder, problem, args.repeat), args.limit)
                if "seconds" in row[peer]:
                    line += f" {row[peer]['seconds']:9.4f}"
                    if not abs(row[peer]["mean_cost"] / own["mean_cost"] - 1) <= 1e-9:
                        line += f"(cost {row[peer]['mean_cost']!r}, ours {own['mean_cost']!r})"
                elif "over" in row[peer]:
                    line += f" {'> %g' % row[peer]['over']:>9}"
                else:
                    line += f" {'missing' if 'missing' in row[peer] else 'failed':>9}"
            times = [row[peer]["seconds"] for peer in PEERS if "seconds" in row[peer]]
            if times:
                row["ratio"] = min(times) / own["seconds"]
                row["cpu_ratio"] = min(row[p]["cpu_seconds"] for p in PEERS if "seconds" in row[p]) / own["cpu_seconds"]
                line += f"   {row['ratio']:11.1f} {row['cpu_ratio']:5.1f}"
            print(line, flush=True)
            results.append(row)
    if args.out:
        pathlib.Path(args.out).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

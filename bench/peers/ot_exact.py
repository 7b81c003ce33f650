#!/usr/bin/env python3
"""Exact assignment: this library against SciPy, lapx and POT's network simplex, on the same problems in the same run.

bench_ot writes its problems as .npy and reports its times; with --program the whole command `otnfm couple` is timed as well, from
the start of the process to its end, reading the files and the certificate included. Every peer that can be imported then solves
them, alone: its imports are not counted, the cost matrix is (one float64 matrix product). All take turns for --rounds rounds of
--repeat runs, and the best run counts. `proof` is our certificate's time. The columns "best / ours" compare the best peer with the
command (or with the solver where there is no --program), wall time and processor time, all threads together: the latter is what to
look at where other work has the machine. The command is a process from its start to its end; a peer has its process, its libraries
and its caches ready from earlier runs. "first / ours" compares like with like: the best peer's first call, its modules imported. A
peer that exceeds --limit seconds on a problem is stopped and shown as
such. Costs must agree to 1e-9.

OTNFM_PROCESSOR=avx2 in the environment holds our loops to AVX2 (and leaves the peers what the machine has).

    bench/peers/ot_exact.py --bench build/bench_ot --program build/otnfm [--filter d2_n4096] [--limit 60] [--out results.json]
"""
import argparse
import datetime
import importlib
import json
import os
import pathlib
import platform
import resource
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
IMPORTS = {"scipy": lambda: importlib.import_module("scipy.optimize"), "lapx": lambda: importlib.import_module("lap"),
           "pot": lambda: importlib.import_module("ot")}


def time_peer(name, folder, problem, repeat):
    source = np.load(folder / f"{problem}.source.npy")
    target = np.load(folder / f"{problem}.target.npy")
    IMPORTS[name]()
    best = cpu = first = float("inf")
    for run in range(repeat):
        start, cpu_start = time.perf_counter(), time.process_time()
        pairings = [PEERS[name](squared_distances(x, y)) for x, y in zip(source, target)]
        best, cpu = min(best, time.perf_counter() - start), min(cpu, time.process_time() - cpu_start)
        if run == 0:
            first, first_cpu = best, cpu
        if best > 1:  # a long run needs no repetition
            break
    x, y = source.astype(np.float64), target.astype(np.float64)
    cost = np.mean([((a - b[s]) ** 2).sum(1).mean() for a, b, s in zip(x, y, pairings)])
    return {"seconds": best, "cpu_seconds": cpu, "first_seconds": first, "first_cpu_seconds": first_cpu, "mean_cost": float(cost)}


def time_command(program, folder, problem, repeat):
    paths = {side: folder / f"{problem}.{side}.npy" for side in ("source", "target")}
    batch = np.load(paths["source"]).shape[0] > 1
    if not batch:  # one problem, without its leading axis
        for side, path in paths.items():
            paths[side] = folder / f"{side}.npy"
            np.save(paths[side], np.load(path)[0])
    command = [program, "couple", "--json", "--source", paths["source"], "--target", paths["target"]]
    if batch:
        command += ["--batch", "--out", folder / "sigma.npy"]
    best = cpu = float("inf")
    for _ in range(repeat):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        best = min(best, time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = min(cpu, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"command_seconds": best, "command_cpu_seconds": cpu}


def keep_least(into, run):
    for key, value in run.items():
        into[key] = min(into.get(key, float("inf")), value) if key.endswith("seconds") else value


def processor_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def bench_runs(args, folder, names):
    """The runs of bench_ot whose names match `names`, each repeated; its problems are written to `folder`."""
    command = [args.bench, f"--benchmark_filter={names}", "--benchmark_format=json"]
    command += [f"--benchmark_repetitions={args.repeat}", "--benchmark_min_time=0.001"]
    output = subprocess.run(command, env={**os.environ, "OTNFM_BENCH_PROBLEMS": str(folder)}, stdout=subprocess.PIPE, check=True)
    return [run for run in json.loads(output.stdout)["benchmarks"] if run.get("run_type") != "aggregate"]


def require_solved(run):
    if run.get("error_occurred"):
        raise SystemExit(f"{run['name']}: {run['error_message']}")


def time_bench(args, folder):
    ours = {}
    for run in bench_runs(args, folder, f"exact/[^/]*({args.filter or '.*'})[^/]*/"):
        require_solved(run)
        keep_least(ours.setdefault(run["name"].split("/")[1], {}),
                   {"seconds": run["real_time"] / 1000, "cpu_seconds": run["cpu_time"] / 1000, "certificate_seconds": run["certificate_s"],
                    "certificate_cpu_seconds": run.get("certificate_cpu_s", run["certificate_s"]),
                    "algorithm": run.get("label", ""), "mean_cost": run["mean_cost"], "gap": run["gap"]})
    return ours


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="build/bench_ot", help="the bench_ot program")
    parser.add_argument("--program", help="the otnfm program, to time the whole command")
    parser.add_argument("--filter", default="", help="only problems whose name matches this regular expression")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--limit", type=float, default=120, help="seconds for all runs of a peer on a problem in a round")
    parser.add_argument("--out", help="write all figures to this JSON file")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rows = {}
        for _ in range(args.rounds):
            for problem, own in time_bench(args, folder).items():
                row = rows.setdefault(problem, {"problem": problem, "otnfm": {}})
                keep_least(row["otnfm"], own)
                if args.program:
                    keep_least(row["otnfm"], time_command(args.program, folder, problem, args.repeat))
                for peer in PEERS:
                    if "over" not in row.get(peer, {}):
                        keep_least(row.setdefault(peer, {}), run_limited(time_peer, (peer, folder, problem, args.repeat), args.limit))

    print(f"{'problem':40} {'solver':>9} {'proof':>9} {'command':>9}" + "".join(f" {peer:>9}" for peer in PEERS) + "   best / ours   cpu" + ("   first / ours   cpu" if args.program else ""))
    for problem, row in rows.items():
        own = row["otnfm"]
        line = f"{problem:40} {own['seconds']:9.4f} {own['certificate_seconds']:9.4f} {own.get('command_seconds', float('nan')):9.4f}"
        for peer in PEERS:
            if "seconds" in row[peer]:
                line += f" {row[peer]['seconds']:9.4f}"
                if not abs(row[peer]["mean_cost"] / own["mean_cost"] - 1) <= 1e-9:
                    line += f"(cost {row[peer]['mean_cost']!r}, ours {own['mean_cost']!r})"
            elif "over" in row[peer]:
                line += f" {'> %g' % row[peer]['over']:>9}"
            else:
                line += f" {'missing' if 'missing' in row[peer] else 'failed':>9}"
        known = [row[peer] for peer in PEERS if "seconds" in row[peer]]
        if known:
            kind = "command_" if args.program else ""
            row["ratio"] = min(peer["seconds"] for peer in known) / own[kind + "seconds"]
            row["cpu_ratio"] = min(peer["cpu_seconds"] for peer in known) / own[kind + "cpu_seconds"]
            line += f"   {row['ratio']:11.1f} {row['cpu_ratio']:5.1f}"
            if args.program:
                row["first_ratio"] = min(peer["first_seconds"] for peer in known) / own["command_seconds"]
                row["first_cpu_ratio"] = min(peer["first_cpu_seconds"] for peer in known) / own["command_cpu_seconds"]
                line += f"   {row['first_ratio']:12.1f} {row['first_cpu_ratio']:5.1f}"
        print(line, flush=True)
    if args.out:
        about = {"date": datetime.date.today().isoformat(), "machine": processor_name(), "processors": os.cpu_count(),
                 "OTNFM_PROCESSOR": os.environ.get("OTNFM_PROCESSOR", ""), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "")}
        pathlib.Path(args.out).write_text(json.dumps({**about, "results": list(rows.values())}, indent=1) + "\n")


if __name__ == "__main__":
    main()

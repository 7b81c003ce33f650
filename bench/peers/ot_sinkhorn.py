#!/usr/bin/env python3
"""Entropic transport: this library's Sinkhorn against POT, OTT-JAX and GeomLoss, on the same points and epsilon in the same run.

bench_ot writes its problems as .npy and reports its times; every peer that can be imported then solves them in float32 from the
points, the cost evaluation counted on both sides, the best of --repeat runs; compiling (OTT's) and imports are not counted.
All solve to an L1 marginal error of 1e-3: OTT by that very rule; POT by its L2 rule at 1e-3 / sqrt(n), which is the same for an
error that is spread evenly; GeomLoss has no such rule, its schedule (scaling 0.9) ends where it ends. `error` is what was reached,
measured here in float64 from the potentials. An iteration is an update of both potentials. `cpu` compares processor time, all
threads together: it is what to look at where other work has the machine.

    bench/peers/ot_sinkhorn.py --bench build/bench_ot [--filter d64_n4096/eps0.05/mixing] [--threads 2] [--out results.json]
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


def marginal_error(x, y, f, g, epsilon):
    """L1 error of both marginals of P_ij = exp((f_i + g_j - |x_i - y_j|^2) / epsilon) / (n m), in blocks of float64."""
    x, y, f, g = (np.asarray(values, np.float64) for values in (x, y, f, g))
    columns, error = np.zeros(len(y)), 0.0
    for begin in range(0, len(x), 256):
        rows = x[begin : begin + 256]
        costs = (rows**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * rows @ y.T
        plan = np.exp((f[begin : begin + 256, None] + g[None, :] - costs) / epsilon) / (len(x) * len(y))
        columns += plan.sum(0)
        error += np.abs(plan.sum(1) - 1 / len(x)).sum()
    return float(error + np.abs(columns - 1 / len(y)).sum())


def prepare_pot(x, y, epsilon):
    import ot

    a = np.full(len(x), 1 / len(x), np.float32)
    b = np.full(len(y), 1 / len(y), np.float32)

    def solve():
        costs = ot.dist(x, y)  # squared Euclidean
        _, log = ot.bregman.sinkhorn_log(a, b, costs, epsilon, numItermax=10000, stopThr=1e-3 / len(y) ** 0.5, log=True)
        # POT's plan is exp(u + v - C / epsilon), with the weights inside the potentials.
        f = epsilon * (np.asarray(log["log_u"], np.float64) + np.log(len(x)))
        g = epsilon * (np.asarray(log["log_v"], np.float64) + np.log(len(y)))
        return f, g, int(log["niter"]) + 1

    return solve


def prepare_ott(x, y, epsilon):
    import jax
    from ott.geometry import pointcloud
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    @jax.jit
    def run(x, y):
        geometry = pointcloud.PointCloud(x, y, epsilon=epsilon)
        out = sinkhorn.Sinkhorn(threshold=1e-3, max_iterations=10000)(linear_problem.LinearProblem(geometry))
        return out.f, out.g, out.n_iters

    x, y = jax.numpy.asarray(x), jax.numpy.asarray(y)

    def solve():
        f, g, iterations = jax.block_until_ready(run(x, y))
        # OTT's plan is exp((f + g - C) / epsilon), with the weights inside the potentials.
        log = epsilon * np.log(len(x))
        return np.asarray(f, np.float64) + log, np.asarray(g, np.float64) + log, int(iterations)

    return solve


def prepare_geomloss(x, y, epsilon):
    import torch
    from geomloss import SamplesLoss

    # Its cost is |x - y|^2 / 2 and its epsilon blur^2: half of ours, as are the potentials.
    loss = SamplesLoss("sinkhorn", p=2, blur=(epsilon / 2) ** 0.5, scaling=0.9, debias=False, potentials=True, backend="tensorized")
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    spread = float(torch.cat([x, y]).max(0).values.sub(torch.cat([x, y]).min(0).values).norm())
    iterations = max(0, int(np.ceil(np.log(spread / (epsilon / 2) ** 0.5) / -np.log(0.9)))) + 2  # of its schedule

    def solve():
        with torch.no_grad():
            f, g = loss(x, y)
        return 2 * f.double().numpy().ravel(), 2 * g.double().numpy().ravel(), iterations

    return solve


PEERS = {"pot": prepare_pot, "ott": prepare_ott, "geomloss": prepare_geomloss}


def time_peer(name, folder, problem, epsilon, repeat):
    x, y = (np.load(folder / f"{problem}.{side}.npy")[0] for side in ("source", "target"))
    PEERS[name](x[:64], y[:64], epsilon)()  # imports and first-call costs
    solve = PEERS[name](x, y, epsilon)
    if name == "ott":
        solve()  # compiles
    best = cpu = float("inf")
    for _ in range(repeat):
        start, cpu_start = time.perf_counter(), time.process_time()
        f, g, iterations = solve()
        best, cpu = min(best, time.perf_counter() - start), min(cpu, time.process_time() - cpu_start)
        if best > 5:  # a long run needs no repetition
            break
    error = marginal_error(x, y, f, g, epsilon)
    return {"seconds": best, "cpu_seconds": cpu, "iterations": iterations, "marginal_error": error}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="build/bench_ot", help="the bench_ot program")
    parser.add_argument("--filter", default="d64_n4096/eps0.05/mixing", help="benchmarks whose name matches this regular expression")
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated, of " + ", ".join(PEERS))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--limit", type=float, default=300, help="seconds for all runs of a peer on a problem")
    parser.add_argument("--out", help="write all figures to this JSON file")
    args = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(args.threads)

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        command = [args.bench, f"--benchmark_filter=sinkhorn/.*({args.filter})/", "--benchmark_format=json"]
        command += [f"--benchmark_repetitions={args.repeat}", "--benchmark_min_time=0.001"]
        output = subprocess.run(command, env={**os.environ, "OTNFM_BENCH_PROBLEMS": name}, stdout=subprocess.PIPE, check=True)
        ours = {}
        for run in json.loads(output.stdout)["benchmarks"]:
            if run.get("run_type") == "aggregate" or run["name"].split("/")[3].endswith("_rounded"):
                continue
            own = ours.setdefault("/".join(run["name"].split("/")[1:4]), {"seconds": float("inf"), "cpu_seconds": float("inf")})
            own["seconds"] = min(own["seconds"], run["real_time"] / 1000)
            own["cpu_seconds"] = min(own["cpu_seconds"], run["cpu_time"] / 1000)
            own |= {key: run[key] for key in ("marginal_error", "epsilon", "iterations")}
            own["iterations"] = int(round(run["iterations"]))

        results = []
        print(f"{'problem':40} {'solver':9} {'seconds':>8} {'iterations':>10} {'ms each':>8} {'error':>8} {'/ ours':>7} {'each':>6} {'cpu':>6}")
        for problem, own in ours.items():
            row = {"problem": problem, "otnfm": own}
            for solver in ["otnfm", *args.peers.split(",")]:
                if solver != "otnfm":
                    row[solver] = run_peer(solver, folder, problem.split("/")[0], own["epsilon"], args.repeat, args.limit)
                it = row[solver]
                if "seconds" not in it:
                    print(f"{problem:40} {solver:9} {it}", flush=True)
                    continue
                each, own_each = it["seconds"] / it["iterations"], own["seconds"] / own["iterations"]
                print(
                    f"{problem:40} {solver:9} {it['seconds']:8.3f} {it['iterations']:10d} {1e3 * each:8.2f} {it['marginal_error']:8.1e}"
                    f" {it['seconds'] / own['seconds']:7.1f} {each / own_each:6.1f} {it['cpu_seconds'] / own['cpu_seconds']:6.1f}",
                    flush=True,
                )
            results.append(row)
    if args.out:
        pathlib.Path(args.out).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

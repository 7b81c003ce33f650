#!/usr/bin/env python3
"""Time to gap: every solver of this library over n x d x data, its peers on the same problems in the same run, as JSON and a page.

bench_ot's gap/ benchmarks write their problems as .npy and report seconds and the certificate's gap. SciPy, lapx and POT's network
simplex then solve each problem exactly. Sinkhorn peers (POT's sinkhorn_log, OTT-JAX, GeomLoss) give a plan and no pairing: their
gap is that of the plan's cost over the optimum, its marginals right to 1e-3 in L1, at the epsilons below; a plan that costs less
than the optimum by its wrong marginals is counted by the size of the difference. FlashSinkhorn and torch-linear-assignment run
on GPUs only. What cannot be imported is left out and named.

    bench/peers/ot_gap.py --bench build/bench_ot [--filter d64] [--limit 60] --out rows.json --page page.html
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shlex
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "ot"))
import ot_exact
import page
from limited import run_limited

EPSILONS = (0.5, 0.1, 0.02)  # times the costs' standard deviation
MARGINAL_ERROR = 1e-3


def plan_pot(source, target, epsilon):
    import ot

    costs = ot_exact.squared_distances(source, target).astype(np.float32)
    scale = costs.std()
    weights = np.full(len(costs), 1 / len(costs), np.float32)
    plan = ot.bregman.sinkhorn_log(weights, weights, costs, epsilon * scale, stopThr=MARGINAL_ERROR, numItermax=2000)
    return float((plan * costs).sum())


def plan_ott(source, target, epsilon):
    import jax
    from ott.geometry import pointcloud
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    scale = float(ot_exact.squared_distances(source[:2000], target[:2000]).std())

    @jax.jit
    def solve(x, y):
        geometry = pointcloud.PointCloud(x, y, epsilon=epsilon * scale)
        out = sinkhorn.Sinkhorn(threshold=MARGINAL_ERROR, max_iterations=2000)(linear_problem.LinearProblem(geometry))
        return out.transport_cost_at_geom(geometry)

    return solve, (source, target)


def plan_geomloss(source, target, epsilon):
    import torch
    from geomloss import SamplesLoss

    scale = float(ot_exact.squared_distances(source[:2000], target[:2000]).std())
    # p = 2 means |x - y|^2 / 2; blur is the square root of its epsilon.
    loss = SamplesLoss("sinkhorn", p=2, blur=(epsilon * scale / 2) ** 0.5, scaling=0.9, debias=False, backend="tensorized")
    return 2 * float(loss(torch.from_numpy(source), torch.from_numpy(target)))


PLANS = {"pot sinkhorn_log": plan_pot, "ott-jax": plan_ott, "geomloss": plan_geomloss}


def time_plan(name, folder, problem, epsilon):
    source = np.load(folder / f"{problem}.source.npy")[0]
    target = np.load(folder / f"{problem}.target.npy")[0]
    run = PLANS[name]
    if name == "ott-jax":  # compilation is not counted
        solve, arguments = run(source, target, epsilon)
        float(solve(*arguments))
        start = time.perf_counter()
        cost = float(solve(*arguments))
    else:
        run(source[:8], target[:8], epsilon)
        start = time.perf_counter()
        cost = run(source, target, epsilon)
    return {"seconds": time.perf_counter() - start, "mean_cost": cost}


def own_rows(args, folder):
    rows = {}
    for run in ot_exact.bench_runs(args, folder, f"gap/.*({args.filter or '.*'})"):
        if run.get("error_occurred"):
            print(f"{run['name']}: {run['error_message']}")
            continue
        _, problem, solver, wanted = run["name"].split("/")[:4]
        data, dimension, size = problem.rsplit("_", 2)
        row = rows.setdefault((problem, solver, wanted), {
            "problem": problem, "data": data, "n": int(size[1:]), "d": int(dimension[1:]), "solver": solver,
            "gap_wanted": float(wanted) if wanted != "end" else None, "seconds": float("inf"), "peer": False})
        row["seconds"] = min(row["seconds"], run["real_time"] / 1000)
        row |= {"gap": max(run["gap"], 0.0), "mean_cost": run["mean_cost"], "regime": run.get("label", "")}
    return list(rows.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="build/bench_ot", help="the bench_ot program")
    parser.add_argument("--filter", default="", help="only problems whose name matches this regular expression")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--limit", type=float, default=60, help="seconds for all runs of a peer on a problem")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--peer-filter", default="", help="peers only on problems whose name matches this regular expression")
    parser.add_argument("--out", required=True, help="the rows, as JSON")
    parser.add_argument("--page", help="the page, as HTML")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rows = own_rows(args, folder)
        optimal = {row["problem"]: row["mean_cost"] for row in rows if row["solver"] == "exact"}
        left_out = set()
        for problem, best in optimal.items() if not args.no_peers else ():
            if not re.search(args.peer_filter, problem):
                continue
            template = {key: next(row for row in rows if row["problem"] == problem)[key] for key in ("problem", "data", "n", "d")}

            def add(solver, result, wanted):
                if "missing" in result or "failed" in result:
                    left_out.add(f"{solver}: {result.get('missing') or result['failed']}")
                    return
                gap = abs(result["mean_cost"] - best) / abs(best) if "mean_cost" in result else None
                rows.append({**template, "solver": solver, "gap_wanted": wanted, "seconds": result.get("seconds"),
                             "gap": gap, "peer": True, "over": result.get("over")})
                print(f"{problem:36} {solver:18} {result.get('seconds') or float('nan'):10.4f} s  gap {gap}", flush=True)

            for peer in ot_exact.PEERS:
                add(peer, run_limited(ot_exact.time_peer, (peer, folder, problem, args.repeat), args.limit), None)
            for peer in PLANS:
                for epsilon in EPSILONS:
                    result = run_limited(time_plan, (peer, folder, problem, epsilon), args.limit)
                    add(peer, result, None)
                    if "seconds" not in result:
                        break
    for line in sorted(left_out):
        print(line)
    processor = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    result = {"date": datetime.date.today().isoformat(), "machine": f"{os.cpu_count()} cores of {processor}",
              "command": shlex.join(["bench/peers/ot_gap.py", *sys.argv[1:]]), "rows": rows}
    pathlib.Path(args.out).write_text(json.dumps(result, indent=1) + "\n")
    if args.page:
        pathlib.Path(args.page).write_text(page.page(result))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Exact and auction against SciPy's linear_sum_assignment on the literature's generators, 1,000 random problems each.

Every stack goes through `otnfm couple --batch`. Of each problem the pairing must be one-to-one, its cost SciPy's to 1e-9 relative
(exact) or within the gap asked for (auction, 1e-3), and the certificate's bound must not exceed SciPy's cost.

With --planted it checks point clouds instead whose optimum is known: x random, y = A x shuffled, A symmetric positive definite,
n = 4096, d = 1, 2, 3, 64 and 784, by all three solvers.

    bench/peers/ot_agree.py [--program build/otnfm] [--count 1000] [--seed S] [--planted]
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np
from scipy.optimize import linear_sum_assignment

GAP = 1e-3


def spatial(random, n, m):
    x, y = random.random((n, 2)), random.random((m, 2))
    return ((x[:, None] - y[None]) ** 2).sum(-1)


def low_rank(random, n, m):
    return random.normal(size=(n, 3)) @ random.normal(size=(3, m))


def almost_degenerate(random, n, m):
    return random.random((n, 1)) + random.random((1, m)) + 0.1 * ~np.eye(n, m, dtype=bool)


GENERATORS = {
    "uniform": lambda random, n, m: random.random((n, m)),
    "integers to n / 10": lambda random, n, m: random.integers(0, max(1, n // 10), (n, m), endpoint=True),
    "integers to n": lambda random, n, m: random.integers(0, n, (n, m), endpoint=True),
    "integers to 10 n": lambda random, n, m: random.integers(0, 10 * n, (n, m), endpoint=True),
    "spatial": spatial,
    "10^U(-20, 20)": lambda random, n, m: 10.0 ** random.uniform(-20, 20, (n, m)),
    "binary": lambda random, n, m: random.integers(0, 1, (n, m), endpoint=True),
    "low rank": low_rank,
    "u + v + 0.1 [i != j]": almost_degenerate,
    "sentinels": lambda random, n, m: np.where(random.random((n, m)) < 0.2, 1e12, random.random((n, m))),
}


def check(args, random, name, generate, n, m, folder):
    stack = np.stack([np.asarray(generate(random, n, m)) for _ in range(args.count)])
    stack = stack.astype(np.int64 if np.issubdtype(stack.dtype, np.integer) else np.float64)
    np.save(folder / "stack.npy", stack)
    worst = {}
    for solver in ("exact", "auction"):
        command = [args.program, "couple", "--cost", folder / "stack.npy", "--batch", "--solver", solver, "--out", folder / "sigma.npy", "--json"]
        command += ["--max-gap", str(GAP)] if solver == "auction" else []
        answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
        sigma = np.load(folder / "sigma.npy")
        for costs, pairs, problem in zip(stack, sigma, answer["problems"]):
            matched = pairs >= 0
            assert matched.sum() == min(n, m) == len(set(pairs[matched].tolist())), f"{name} {n} x {m}, {solver}: not one-to-one"
            rows, columns = linear_sum_assignment(costs)
            best, total = costs[rows, columns].sum(), costs[np.flatnonzero(matched), pairs[matched]].sum()
            scale = max(abs(best), 1e-300)
            excess = (total - best) / scale
            allowed = 1e-9 if solver == "exact" else GAP * max(1, abs(total) / scale) + 1e-9
            assert excess <= allowed + 1e-12 * np.abs(costs).max() / scale, f"{name} {n} x {m}, {solver}: {total}, SciPy {best}"
            assert solver != "exact" or not np.issubdtype(costs.dtype, np.integer) or total == best, f"{name}: {total} is not {best}"
            bound = problem["dual_bound"] * min(n, m)
            assert bound <= best + 1e-9 * scale + 1e-12 * np.abs(costs).max(), f"{name} {n} x {m}, {solver}: bound {bound} above {best}"
            worst[solver] = max(worst.get(solver, 0), excess)
    print(f"{name:24} {n:3} x {m:3}: {args.count} problems, cost above SciPy's at worst {worst['exact']:.2g} (exact), "
          f"{worst['auction']:.2g} (auction)", flush=True)


def check_planted(args, random, n, d, folder):
    x = random.normal(size=(n, d))
    direction = (random.uniform(0.5, 2, d) - 1.25) / np.sqrt(d)
    images = x * random.uniform(0.5, 2, d) + np.outer(x @ direction, direction)
    shuffled = np.empty_like(images)
    shuffled[random.permutation(n)] = images
    best = ((x - images) ** 2).sum(1).mean()
    np.save(folder / "a.npy", x)
    np.save(folder / "b.npy", shuffled)
    line = f"planted n = {n}, d = {d:3}:"
    for solver, gap in (("exact", None), ("auction", 1e-3), ("auction", 1e-6), ("sinkhorn", 1e-3)):
        command = [args.program, "couple", "--source", folder / "a.npy", "--target", folder / "b.npy", "--solver", solver, "--json"]
        command += ["--max-gap", str(gap)] if gap else []
        answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
        excess = (answer["primal_cost"] - best) / best
        assert answer["is_permutation"] and answer["status"] == "converged", f"{line} {solver}: {answer}"
        assert abs(excess) <= (gap or 1e-9), f"{line} {solver}: {excess} above the optimum"
        assert answer["gap"] <= (gap or 1e-9), f"{line} {solver}: gap {answer['gap']}"
        line += f"  {solver} {gap or ''} {excess:.1e} (gap {answer['gap']:.1e})"
    print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/otnfm")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None, help="fresh unless told")
    parser.add_argument("--planted", action="store_true")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        for d in (1, 2, 3, 64, 784) if args.planted else ():
            check_planted(args, random, 4096, d, pathlib.Path(name))
        if args.planted:
            return
        for generator, generate in GENERATORS.items():
            sizes = [(int(random.integers(1, 40)),) * 2, (64, 64), tuple(int(k) for k in random.integers(1, 40, 2))]
            for n, m in sizes:
                check(args, random, generator, generate, n, m, pathlib.Path(name))


if __name__ == "__main__":
    main()

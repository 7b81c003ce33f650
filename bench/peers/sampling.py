"""Times 1,048,576 samples of the toy ResNet flow in PyTorch, eager and compiled, at each one's best batch size, beside ours, in one
run.

A sample is one evaluation of the map at t = 1: 4 residual blocks x <- x + tanh(w t) * g([x, t]), g an MLP 3-64-64-64-2 with SiLU;
71 GFLOP of matrix products for all. The noise is drawn beforehand and everyone maps the same number of points from memory to
memory: PyTorch in batches, under inference_mode, in float32 and under bfloat16 weights and activations; ours through its Generator
(`bench_engine`, sampling/toy and sampling/toy_bf16).

The batch sizes are tried first; then the contenders take turns, round after round, so that a slow spell of the machine falls on all
of them. Each figure is the median over the rounds.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

from toy_step import Flow, our_milliseconds, processor  # it also clears settings that slow numpy

import torch

SAMPLES = 1 << 20
GFLOP = 2e-9 * SAMPLES * 4 * (3 * 64 + 2 * 64 * 64 + 64 * 2)


class TorchSampler:
    def __init__(self, device, compiled, dtype):
        torch.manual_seed(1)
        self.device, self.dtype = device, dtype
        self.flow = Flow().to(device=device, dtype=dtype).eval()
        self.map = torch.compile(self.flow, fullgraph=True) if compiled else self.flow
        self.noise = torch.randn(SAMPLES, 2, device=device).to(dtype)
        self.samples = torch.empty_like(self.noise)
        self.batch = None

    def seconds(self, batch):
        synchronize = torch.cuda.synchronize if self.device == "cuda" else lambda: None
        with torch.inference_mode():
            time_of_batch = torch.ones(batch, 1, device=self.device, dtype=self.dtype)
            synchronize()
            begin = time.perf_counter()
            for first in range(0, SAMPLES, batch):
                self.samples[first:first + batch] = self.map(time_of_batch, self.noise[first:first + batch])
            synchronize()
            return time.perf_counter() - begin

    def choose(self, batches):
        """The best of the batch sizes, each after a warm-up; compiled code is made anew for each."""
        tried = {}
        for batch in batches:
            torch.compiler.reset()
            with torch.inference_mode():
                for _ in range(3):
                    self.map(torch.ones(batch, 1, device=self.device, dtype=self.dtype), self.noise[:batch])
            tried[batch] = min(self.seconds(batch) for _ in range(2))
        self.batch = min(tried, key=tried.get)
        self.seconds(self.batch)
        return tried


def main():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batches", default=None, help="PyTorch's batch sizes, with commas (default 512 to 16384, on cuda to 2^20)")
    parser.add_argument("--ours", default=root / "build" / "bench_engine", help="our benchmark program; without it, PyTorch alone")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out (it needs a C++ compiler)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    default = [512, 1024, 2048, 4096, 8192, 16384] if arguments.device == "cpu" else [1 << k for k in range(12, 21)]
    batches = [int(b) for b in arguments.batches.split(",")] if arguments.batches else default

    torch.set_num_threads(arguments.threads)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    contenders, tried = {}, {}
    for label, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        contenders[f"torch eager {label}"] = TorchSampler(arguments.device, False, dtype)
        if not arguments.no_compile:
            contenders[f"torch.compile {label}"] = TorchSampler(arguments.device, True, dtype)
    for label, sampler in contenders.items():
        tried[label] = sampler.choose(batches)

    suffix = "" if arguments.device == "cpu" else "_cuda"
    ours = {f"otnfm {label}": f"sampling/toy{name}{suffix}" for label, name in (("fp32", ""), ("bf16", "_bf16"))}
    present = Path(arguments.ours).is_file()
    times = {label: [] for label in contenders}
    records = {}
    for _ in range(arguments.rounds):
        for label, sampler in contenders.items():
            times[label].append(sampler.seconds(sampler.batch))
        for label, name in ours.items() if present else ():
            milliseconds, records[label] = our_milliseconds(arguments.ours, name, 1)
            times.setdefault(label, []).append(milliseconds / 1e3)

    medians = {label: statistics.median(values) for label, values in times.items()}
    peers = {label: value for label, value in medians.items() if label.startswith("torch")}
    best = {kind: min(value for label, value in peers.items() if label.endswith(kind)) for kind in ("fp32", "bf16")}
    result = {
        "benchmark": "toy samples, 1048576", "device": arguments.device, "threads": arguments.threads,
        "machine": processor() if arguments.device == "cpu" else torch.cuda.get_device_name(),
        "torch": torch.__version__, "rounds": arguments.rounds, "seconds": medians, "all_seconds": times,
        "torch_batches": {label: {"best": contenders[label].batch, "seconds": tried[label]} for label in contenders},
        "gflop_per_second": {label: GFLOP / value for label, value in medians.items()}, "otnfm_records": records,
        "ratio": {label: {"to_best_fp32": best["fp32"] / medians[label], "to_best": min(best.values()) / medians[label]}
                  for label in ours} if present else None,
    }
    print(f"1,048,576 samples of the toy flow, {result['machine']}, {arguments.threads} threads, torch {torch.__version__}")
    for label, value in medians.items():
        note = f", batch {contenders[label].batch}" if label in contenders else \
            f", {best['fp32'] / value:.2f} times as fast as the best fp32 of PyTorch, {min(best.values()) / value:.2f} as its best"
        spread = f"{min(times[label]):.3f} to {max(times[label]):.3f}"
        print(f"  {label:22s} {value:.3f} s ({spread}), {GFLOP / value:.0f} GFLOP/s{note}")
    for label, record in records.items():
        print(f"  {label}: {100 * record['of_gemm_rate']:.0f}% of this machine's fp32 GEMM rate")
    if not present:
        print(f"  {arguments.ours} is not there: PyTorch alone was timed", file=sys.stderr)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

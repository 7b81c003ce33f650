"""Times one training step of the toy ResNet flow in PyTorch, eager and compiled, beside ours, in one run.

The step: 4 residual blocks x <- x + tanh(w t) * g([x, t]), g an MLP 3-64-64-64-2 with SiLU; B = 256 pairs picked from a bank of
Gaussian noise and 8 Gaussians, t ~ U[0, 1]; mean squared error to (1 - t) x0 + t x1; AdamW at 2e-3; an exponential moving
average of the weights at 0.999. The pairs are made beforehand (at random: a coupling costs the same to read whatever it is), and
nothing is clipped or logged, which favours PyTorch: ours also clips.

The contenders take turns, round after round, so that a slow spell of the machine falls on all of them; each figure is the median
over the rounds of a block's mean.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

# Settings of some machines for old OpenBLAS builds; they slow a current numpy. To be gone before numpy is loaded.
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)

import torch  # noqa: E402

BATCH, BANK, HIDDEN, BLOCKS, DIMENSION = 256, 16384, 64, 4, 2


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        widths = [DIMENSION + 1, HIDDEN, HIDDEN, HIDDEN, DIMENSION]
        for index, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
            layers.append(torch.nn.Linear(inputs, outputs))
            if index < len(widths) - 2:
                layers.append(torch.nn.SiLU())
        self.g = torch.nn.Sequential(*layers)
        self.w = torch.nn.Parameter(torch.ones(DIMENSION))

    def forward(self, t, x):
        return x + torch.tanh(self.w * t) * self.g(torch.cat([x, t], dim=1))


class Flow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.ModuleList(Block() for _ in range(BLOCKS))

    def forward(self, t, x):
        for block in self.blocks:
            x = block(t, x)
        return x


def pairs(device):
    angle = torch.randint(0, 8, (BANK,), device=device) * (torch.pi / 4)
    centres = 5 * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
    return torch.randn(BANK, DIMENSION, device=device), centres + 0.1**0.25 * torch.randn(BANK, DIMENSION, device=device)


class TorchStep:
    """One training step; `fused` picks PyTorch's single-kernel AdamW, `compiled` puts loss and its gradient through torch.compile."""

    def __init__(self, device, compiled, fused):
        torch.manual_seed(1)
        self.device = device
        self.flow = Flow().to(device)
        self.parameters = list(self.flow.parameters())
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=2e-3, fused=fused)
        self.source, self.target = pairs(device)
        self.loss = torch.compile(self.loss_of, fullgraph=True) if compiled else self.loss_of

    def loss_of(self, x0, x1, t):
        return ((self.flow(t, x0) - torch.lerp(x0, x1, t)) ** 2).sum(dim=1).mean()

    def __call__(self):
        index = torch.randint(0, BANK, (BATCH,), device=self.device)
        t = torch.rand(BATCH, 1, device=self.device)
        loss = self.loss(self.source[index], self.target[index], t)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.parameters, 1e-3)

    def milliseconds(self, steps):
        synchronize = torch.cuda.synchronize if self.device == "cuda" else lambda: None
        synchronize()
        begin = time.perf_counter()
        for _ in range(steps):
            self()
        synchronize()
        return (time.perf_counter() - begin) * 1e3 / steps


def our_milliseconds(program, name, seconds):
    """Runs one benchmark of ours; returns its real time and the whole record (with the split that it counts)."""
    output = subprocess.run(
        [program, f"--benchmark_filter=^{name}/real_time$", "--benchmark_format=json", f"--benchmark_min_time={seconds}"],
        check=True, capture_output=True, text=True).stdout
    records = [r for r in json.loads(output)["benchmarks"] if r.get("run_type", "iteration") == "iteration"]
    if len(records) != 1:
        raise SystemExit(f"toy_step.py: error: {program} has {len(records)} benchmarks named {name}")
    scale = {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3}[records[0]["time_unit"]]
    return records[0]["real_time"] * scale, records[0]


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=200, help="steps of PyTorch a round")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--ours", default=root / "build" / "bench_engine", help="our benchmark program; without it, PyTorch alone")
    parser.add_argument("--name", default=None, help="our benchmark's name (default training_step/toy, on cuda training_step/toy_cuda)")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out (it needs a C++ compiler)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    contenders = {
        "torch eager": TorchStep(arguments.device, compiled=False, fused=False),
        "torch eager, fused AdamW": TorchStep(arguments.device, compiled=False, fused=True),
    }
    if not arguments.no_compile:
        contenders["torch.compile"] = TorchStep(arguments.device, compiled=True, fused=False)
        contenders["torch.compile, fused AdamW"] = TorchStep(arguments.device, compiled=True, fused=True)
    for step in contenders.values():
        step.milliseconds(50)  # compiles and warms up

    name = arguments.name or ("training_step/toy" if arguments.device == "cpu" else "training_step/toy_cuda")
    ours = Path(arguments.ours).is_file()
    times = {label: [] for label in contenders}
    records = []
    for _ in range(arguments.rounds):
        for label, step in contenders.items():
            times[label].append(step.milliseconds(arguments.steps))
        if ours:
            milliseconds, record = our_milliseconds(arguments.ours, name, 0.4)
            times.setdefault("otnfm", []).append(milliseconds)
            records.append(record)

    medians = {label: statistics.median(values) for label, values in times.items()}
    result = {
        "benchmark": "toy training step, B=256", "device": arguments.device, "threads": arguments.threads,
        "machine": processor() if arguments.device == "cpu" else torch.cuda.get_device_name(),
        "torch": torch.__version__, "rounds": arguments.rounds,
        "milliseconds": medians, "all_milliseconds": times, "otnfm_record": records[-1] if records else None,
        "ratio": {label: value / medians["otnfm"] for label, value in medians.items() if label != "otnfm"} if ours else None,
    }
    print(f"toy training step, B=256, {result['machine']}, {arguments.threads} threads, torch {torch.__version__}")
    for label, value in medians.items():
        spread = f"{min(times[label]):.3f} to {max(times[label]):.3f}"
        ratio = f", ours is {value / medians['otnfm']:.2f} times as fast" if ours and label != "otnfm" else ""
        print(f"  {label:28s} {value:.3f} ms a step ({spread}){ratio}")
    if not ours:
        print(f"  {arguments.ours} is not there: PyTorch alone was timed", file=sys.stderr)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

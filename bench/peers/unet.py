"""The U-Net flow in PyTorch: first that it is the same network, then how long a training step and a sample take beside ours, in one run.

`--check`: ours writes one step of random weights (`bench_engine --write-unet-step`); the same U-Net, written here from its
description, loads them; output, loss and every gradient must agree to 1e-4 of their norm, for several configurations, with attention
and without. Exit code 1 where they do not.

Without it: a training step of the preset for 28x28 images (B = 128) and of width 64 on 32x32x3 (B = 64): forward, mean squared error,
backward, AdamW, a moving average of the weights; images from memory, nothing clipped or logged, which favours PyTorch (ours clips).
And samples: one evaluation of as many images. PyTorch has contiguous and channels_last tensors, eager and compiled; compare with its
best. The contenders take turns; each figure is the median over rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def groups_for(channels):
    groups = min(max(channels // 4, 1), 32)
    while channels % groups:
        groups -= 1
    return groups


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, embedding):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups_for(inputs), inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.film = nn.Linear(embedding, 2 * outputs)
        self.norm2 = nn.GroupNorm(groups_for(outputs), outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, embedding):
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return h + (self.skip(x) if hasattr(self, "skip") else x)


class AttentionBlock(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups_for(channels), channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        B, C, H, W = x.shape
        qkv = self.qkv(self.norm(x)).reshape(B, 3, self.heads, C // self.heads, H * W).transpose(-1, -2)
        y = F.scaled_dot_product_attention(qkv[:, 0], qkv[:, 1], qkv[:, 2])
        return x + self.project(y.transpose(-1, -2).reshape(B, C, H, W))


class UNet(nn.Module):
    """g(t, x) of images [B, C, H, W]; the names of its parameters are ours."""

    def __init__(self, image, width, multipliers, blocks, attention, heads, patch, dropout=0.0, **_):
        super().__init__()
        height, _, channels = (int(size) for size in image.split("x"))
        multipliers = [int(m) for m in multipliers.split(":")]
        height //= patch
        lowest = height >> (len(multipliers) - 1)
        attends = [lowest] if attention == "lowest" else [] if attention == "none" else [int(h) for h in attention.split(":")]
        self.width, self.patch, self.plan = width, patch, []
        embedding = 4 * width
        self.time1, self.time2 = nn.Linear(width, embedding), nn.Linear(embedding, embedding)
        self.stem = nn.Conv2d(channels * patch * patch, width, 3, padding=1)
        steps = {}

        def step(name, inputs, outputs, with_attention):
            steps[name] = ResidualBlock(inputs, outputs, embedding)
            if with_attention:
                steps[name + ".attention"] = AttentionBlock(outputs, heads)

        C, skips = width, [width]
        for level, multiplier in enumerate(multipliers):
            for k in range(blocks):
                step(f"down{level}.{k}", C, width * multiplier, height in attends)
                C = width * multiplier
                skips.append(C)
                self.plan.append(("down", f"down{level}.{k}"))
            if level + 1 < len(multipliers):
                steps[f"down{level}.halve"] = nn.Conv2d(C, C, 3, stride=2, padding=1)
                skips.append(C)
                self.plan.append(("halve", f"down{level}.halve"))
                height //= 2
        step("middle.0", C, C, bool(attends))
        step("middle.1", C, C, False)
        self.plan += [("middle", "middle.0"), ("middle", "middle.1")]
        for level in reversed(range(len(multipliers))):
            for k in range(blocks + 1):
                step(f"up{level}.{k}", C + skips.pop(), width * multipliers[level], height in attends)
                C = width * multipliers[level]
                self.plan.append(("up", f"up{level}.{k}"))
            if level > 0:
                steps[f"up{level}.double"] = nn.Conv2d(C, C, 3, padding=1)
                self.plan.append(("double", f"up{level}.double"))
                height *= 2
        self.steps = nn.ModuleDict({name.replace(".", "/"): module for name, module in steps.items()})
        self.norm = nn.GroupNorm(groups_for(C), C)
        self.head = nn.Conv2d(C, channels * patch * patch, 3, padding=1)

    def forward(self, t, x):
        p, half = self.patch, self.width // 2
        angle = 1000 * t * torch.exp2(-13.287712379549449 * torch.arange(half, device=t.device) / half)
        waves = torch.cat([torch.cos(angle), torch.sin(angle)], dim=1)
        embedding = F.silu(self.time2(F.silu(self.time1(waves))))

        def run(name, h):
            h = self.steps[name.replace(".", "/")](h, embedding)
            attention = name.replace(".", "/") + "/attention"
            return self.steps[attention](h) if attention in self.steps else h

        if p > 1:
            x = patches(x, p)
        h = self.stem(x)
        skips = [h]
        for kind, name in self.plan:
            if kind == "up":
                h = run(name, torch.cat([h, skips.pop()], dim=1))
            elif kind == "halve":
                h = self.steps[name.replace(".", "/")](h)
            elif kind == "double":
                h = self.steps[name.replace(".", "/")](F.interpolate(h, scale_factor=2, mode="nearest"))
            else:
                h = run(name, h)
            if kind in ("down", "halve"):
                skips.append(h)
        h = self.head(F.silu(self.norm(h)))
        return pixels(h, p) if p > 1 else h


def patches(x, p):
    """Channel (u p + v) C + c of a patch is its pixel (u, v)."""
    B, C, H, W = x.shape
    x = x.reshape(B, C, H // p, p, W // p, p).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(B, p * p * C, H // p, W // p)


def pixels(x, p):
    B, D, H, W = x.shape
    x = x.reshape(B, p, p, D // (p * p), H, W).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(B, D // (p * p), H * p, W * p)


class Flow(nn.Module):
    def __init__(self, **configuration):
        super().__init__()
        self.g = UNet(**configuration)

    def forward(self, t, x):
        return x + t[:, :, None, None] * self.g(t, x)


def our_name(name):
    """g.steps.down0/0/attention.qkv.weight -> g.down0.0.attention.qkv.weight"""
    return name.replace("g.steps.", "g.").replace("/", ".")


def to_torch_layout(tensor):
    return tensor.permute(0, 3, 1, 2).contiguous() if tensor.dim() == 4 else tensor


def check(ours, configuration):
    from safetensors.torch import load_file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.safetensors"
        subprocess.run([ours, "--write-unet-step", json.dumps({"family": "unet", **configuration}), path], check=True)
        step = load_file(path)
    flow = Flow(**configuration)
    height, width, channels = (int(size) for size in configuration["image"].split("x"))
    expected = {name for name in step if name.startswith("weights/")}
    for name, parameter in flow.named_parameters():
        ours_weight = step["weights/" + our_name(name)]
        expected.remove("weights/" + our_name(name))
        with torch.no_grad():
            parameter.copy_(to_torch_layout(ours_weight).reshape(parameter.shape))
    if expected:
        sys.exit(f"unet.py: PyTorch's network lacks {sorted(expected)}")

    def image(rows):
        return rows.reshape(-1, height, width, channels).permute(0, 3, 1, 2).contiguous()

    y = flow(step["t"], image(step["x0"]))
    loss = ((y - image(step["target"])) ** 2).sum(dim=(1, 2, 3)).mean()
    loss.backward()
    worst = ("", 0.0)

    def compare(name, got, want):
        nonlocal worst
        error = float((got - want).norm() / want.norm())
        if not error <= worst[1]:
            worst = (name, error)

    compare("output", y, image(step["output"]))
    compare("loss", loss.reshape(1), step["loss"].reshape(1))
    for name, parameter in flow.named_parameters():
        compare("gradient of " + our_name(name), to_torch_layout(step["gradient/" + our_name(name)]).reshape(parameter.shape),
                parameter.grad)
    count = sum(parameter.numel() for parameter in flow.parameters())
    print(f"{configuration['image']}, {count} weights, attention {configuration['attention']}: the largest difference is "
          f"{worst[1]:.1e} of the norm, of {worst[0]}")
    return {"configuration": configuration, "weights": count, "worst": worst[0], "error": worst[1]}


PRESETS = {
    "28x28x1": (128, dict(image="28x28x1", width=32, multipliers="1:2", blocks=1, attention="lowest", heads=1, patch=2)),
    "32x32x3": (64, dict(image="32x32x3", width=64, multipliers="1:2:2:2", blocks=2, attention="16", heads=1, patch=1)),
}


class Trainer:
    def __init__(self, preset, channels_last, compiled):
        torch.manual_seed(1)
        self.B, configuration = PRESETS[preset]
        height, width, channels = (int(size) for size in configuration["image"].split("x"))
        self.flow = Flow(**configuration)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.flow = self.flow.to(memory_format=layout)
        self.map = torch.compile(self.flow) if compiled else self.flow
        self.optimizer = torch.optim.AdamW(self.flow.parameters(), 1e-3, weight_decay=0.0, fused=True)
        self.average = [p.detach().clone() for p in self.flow.parameters()]
        self.x0 = torch.randn(self.B, channels, height, width).contiguous(memory_format=layout)
        self.x1 = torch.rand(self.B, channels, height, width).mul(2).sub(1).contiguous(memory_format=layout)
        self.at_one = torch.ones(self.B, 1)

    def step(self):
        t = torch.rand(self.B, 1)
        t4 = t[:, :, None, None]
        loss = ((self.map(t, self.x0) - ((1 - t4) * self.x0 + t4 * self.x1)) ** 2).sum(dim=(1, 2, 3)).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        torch._foreach_lerp_(self.average, [p.detach() for p in self.flow.parameters()], 0.001)

    def sample(self):
        with torch.inference_mode():
            return self.map(self.at_one, self.x0)


def milliseconds(action, times):
    start = time.perf_counter()
    for _ in range(times):
        action()
    return 1e3 * (time.perf_counter() - start) / times


def our_milliseconds(program, name):
    output = subprocess.run([program, f"--benchmark_filter=^{name}/real_time$", "--benchmark_format=json", "--benchmark_min_time=1"],
                            check=True, capture_output=True, text=True).stdout
    result = json.loads(output)["benchmarks"][0]
    return result["real_time"], result["of_gemm_rate"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare outputs and gradients, and time nothing")
    parser.add_argument("--ours", default=ROOT / "build" / "bench_engine", help="our benchmark program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--presets", default=",".join(PRESETS), help="with commas")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out (it needs a C++ compiler)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    if arguments.check:
        results = [
            check(arguments.ours, dict(image="28x28x1", width=32, multipliers="1:2", blocks=1, attention="lowest", heads=1, patch=2)),
            check(arguments.ours, dict(image="16x16x3", width=24, multipliers="1:2:2", blocks=2, attention="8:4", heads=4, patch=1)),
            check(arguments.ours, dict(image="8x12x2", width=16, multipliers="1", blocks=1, attention="none", heads=1, patch=4)),
        ]
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))
        sys.exit(0 if all(result["error"] <= 1e-4 for result in results) else 1)

    results = {}
    for preset in arguments.presets.split(","):
        contenders = {}
        for channels_last in (False, True):
            for compiled in ((False,) if arguments.no_compile else (False, True)):
                name = ("channels_last" if channels_last else "contiguous") + (", compiled" if compiled else ", eager")
                contenders[name] = Trainer(preset, channels_last, compiled)
        steps, samples = {name: [] for name in contenders}, {name: [] for name in contenders}
        for trainer in contenders.values():  # compilation, and memory
            trainer.step(), trainer.step(), trainer.sample(), trainer.sample()
        ours_steps, ours_samples = [], []
        for _ in range(arguments.rounds):
            ours_steps.append(our_milliseconds(arguments.ours, f"unet_step/{preset}"))
            ours_samples.append(our_milliseconds(arguments.ours, f"unet_sampling/{preset}"))
            for name, trainer in contenders.items():
                steps[name].append(milliseconds(trainer.step, 3))
                samples[name].append(milliseconds(trainer.sample, 3))
        B = PRESETS[preset][0]
        ours = {"step": statistics.median(ms for ms, _ in ours_steps), "sampling": statistics.median(ms for ms, _ in ours_samples),
                "step_of_gemm_rate": statistics.median(rate for _, rate in ours_steps)}
        print(f"{preset}, B = {B}, {arguments.threads} threads: ms a step, ms for {B} samples")
        print(f"  {'ours':28} {ours['step']:9.1f} {ours['sampling']:9.1f}   (step: {ours['step_of_gemm_rate']:.2f} of the GEMM rate)")
        for name in contenders:
            print(f"  {'PyTorch ' + name:28} {statistics.median(steps[name]):9.1f} {statistics.median(samples[name]):9.1f}")
        best_step = min(statistics.median(values) for values in steps.values())
        best_sampling = min(statistics.median(values) for values in samples.values())
        print(f"  best of PyTorch over ours: step {best_step / ours['step']:.2f}, sampling {best_sampling / ours['sampling']:.2f}")
        results[preset] = {"ours": ours, "torch_step": {n: statistics.median(v) for n, v in steps.items()},
                           "torch_sampling": {n: statistics.median(v) for n, v in samples.items()}}
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

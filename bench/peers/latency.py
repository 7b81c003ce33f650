"""Times single calls for samples of the toy ResNet flow on one thread: ours beside ONNX Runtime and PyTorch, in one run; and the time
from the start of a process to its first sample.

The map at t = 1: 4 residual blocks x <- x + tanh(w t) * g([x, t]), g an MLP 3-64-64-64-2 with SiLU. Ours is
`GeneratorContext::sample()` in a C++ program (`bench_engine`, latency/toy), and draws its noise in the timed call. The peers are called
from Python, which is part of their time as it is part of their use, with noise that is there beforehand:

- ONNX Runtime: the graph made by onnx.helper for each batch size, all optimizations, one thread; the faster of `session.run` and
  `session.run_with_iobinding` (input and output bound once). "time folded": t = 1 put into the weights beforehand (tanh(w) a constant, the first layer's column of t in its
  bias), so that the graph has neither time nor concatenation: what an expert would deploy.
- PyTorch eager and torch.compile, under inference_mode, the time folded in the same way.

The contenders take turns, round after round. A figure is the median over the rounds of a round's 50th or 99th percentile.

Cold start: a fresh process a measurement, from just before it is started until its line that says the first sample is there. Ours is
`otnfm sample MODEL -n 1`, which also writes the sample to a file; the peers are Python programs that import the library, make the model,
and run it once. Python with numpy alone is timed beside them. Files are in the page cache for all.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

from toy_step import Flow, processor  # noqa: E402 (it also clears settings that slow numpy)

import numpy  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
import torch  # noqa: E402

BATCHES = [1, 64, 4096]
OURS = {"otnfm fp32": "latency/toy", "otnfm bf16": "latency/toy_bf16"}


class FlowAtOne(torch.nn.Module):
    """The flow at t = 1, the time folded into its weights."""

    def __init__(self, flow):
        super().__init__()
        self.blocks = torch.nn.ModuleList()
        for block in flow.blocks:
            first = torch.nn.Linear(2, block.g[0].out_features)
            with torch.no_grad():
                first.weight.copy_(block.g[0].weight[:, :2])
                first.bias.copy_(block.g[0].bias + block.g[0].weight[:, 2])
            self.blocks.append(torch.nn.Sequential(first, *list(block.g)[1:]))
        self.phi = [torch.tanh(block.w.detach()) for block in flow.blocks]

    def forward(self, x):
        for phi, g in zip(self.phi, self.blocks):
            x = x + phi * g(x)
        return x


def onnx_model(flow, batch, folded):
    """The flow as an ONNX graph of a fixed batch: Gemm, Sigmoid and Mul."""
    nodes, constants = [], []

    def constant(value):
        constants.append(onnx.numpy_helper.from_array(numpy.ascontiguousarray(value, dtype=numpy.float32), f"c{len(constants)}"))
        return constants[-1].name

    def node(kind, *inputs, **attributes):
        nodes.append(onnx.helper.make_node(kind, list(inputs), [f"n{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    x = "x"
    for block, at_one in zip(flow.blocks, FlowAtOne(flow).blocks):
        h = x if folded else node("Concat", x, "t", axis=1)
        for layer in at_one if folded else block.g:
            if isinstance(layer, torch.nn.Linear):
                h = node("Gemm", h, constant(layer.weight.detach().numpy()), constant(layer.bias.detach().numpy()), transB=1)
            else:
                h = node("Mul", h, node("Sigmoid", h))
        w = block.w.detach().numpy()
        phi = constant(numpy.tanh(w)) if folded else node("Tanh", node("Mul", "t", constant(w)))
        x = node("Add", x, node("Mul", phi, h))
    nodes[-1].output[0] = "y"
    value = lambda name, columns: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [batch, columns])
    inputs = [value("x", 2)] + ([] if folded else [value("t", 1)])
    graph = onnx.helper.make_graph(nodes, "toy", inputs, [value("y", 2)], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def quantiles(call, count):
    """The 50th and 99th percentile of single calls, in microseconds."""
    clock, times = time.perf_counter_ns, [0] * count
    for _ in range(max(3, count // 10)):
        call()
    gc.disable()
    for k in range(count):
        begin = clock()
        call()
        times[k] = clock() - begin
    gc.enable()
    times.sort()
    return [times[int(part * (count - 1))] * 1e-3 for part in (0.5, 0.99)]


class OnnxPeer:
    def __init__(self, flow, folded):
        self.flow, self.folded, self.way = flow, folded, {}

    def prepare(self, noise):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        model = onnx_model(self.flow, len(noise), self.folded)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feed = {"x": noise} if self.folded else {"x": noise, "t": numpy.ones((len(noise), 1), numpy.float32)}
        bound = {name: onnxruntime.OrtValue.ortvalue_from_numpy(value) for name, value in feed.items()}
        binding, out, run_options = session.io_binding(), numpy.empty_like(noise), onnxruntime.RunOptions()
        for name, value in bound.items():
            binding.bind_ortvalue_input(name, value)
        binding.bind_output("y", "cpu", 0, numpy.float32, out.shape, out.ctypes.data)

        def run():
            session.run(["y"], feed)

        def run_bound(bound=bound, out=out):  # which keeps the bound memory
            session.run_with_iobinding(binding, run_options)

        run_bound()
        if not numpy.array_equal(out, session.run(["y"], feed)[0]):
            raise SystemExit("latency.py: error: ONNX Runtime gives other samples through its binding")
        tried = {call: min(quantiles(call, 300)[0] for _ in range(3)) for call in (run, run_bound)}
        self.way[len(noise)] = {call.__name__: microseconds for call, microseconds in tried.items()}
        return min(tried, key=tried.get), lambda: session.run(["y"], feed)[0]


class TorchPeer:
    def __init__(self, flow, compiled):
        self.map, self.compiled = FlowAtOne(flow).eval(), compiled

    def prepare(self, noise):
        noise = torch.from_numpy(noise)
        function = torch.compile(self.map, fullgraph=True, dynamic=False) if self.compiled else self.map

        def call():
            function(noise)

        return call, lambda: function(noise).numpy()


def our_quantiles(program, name, batch, seconds):
    output = subprocess.run(
        [program, f"--benchmark_filter=^{name}/{batch}/real_time$", "--benchmark_format=json", f"--benchmark_min_time={seconds}"],
        check=True, capture_output=True, text=True).stdout
    record, = json.loads(output)["benchmarks"]
    return [record["p50_us"], record["p99_us"]]


COLD = {
    "python + numpy": "import numpy",
    "onnxruntime": """
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession({model!r}, options, providers=["CPUExecutionProvider"])
session.run(None, {{"x": numpy.random.default_rng(1).standard_normal((1, 2), dtype=numpy.float32)}})
""",
    "torch eager": """
import sys
sys.path.insert(0, {folder!r})
import torch
from toy_step import Flow
torch.set_num_threads(1)
flow = Flow()
flow.load_state_dict(torch.load({weights!r}))
with torch.inference_mode():
    flow(torch.ones(1, 1), torch.randn(1, 2))
""",
}


def cold_seconds(command):
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        line = process.stdout.readline()
        seconds = time.perf_counter() - begin
        process.stdout.read()
    if process.returncode != 0 or not line:
        raise SystemExit(f"latency.py: error: {command[0]} ended with status {process.returncode} and printed {line!r}")
    return seconds


def cold_commands(folder, flow, otnfm, model):
    (folder / "toy.onnx").write_bytes(onnx_model(flow, 1, True))
    torch.save(flow.state_dict(), folder / "toy.pt")
    names = {"model": str(folder / "toy.onnx"), "weights": str(folder / "toy.pt"), "folder": str(Path(__file__).resolve().parent)}
    commands = {}
    if otnfm.is_file():
        if model is None:
            model = folder / "run" / "model.safetensors"
            subprocess.run([otnfm, "train", "--data", "8gaussians", "--coupling", "independent", "--flow",
                            "resnet,blocks=4,width=64,depth=3", "--steps", "20", "--out", model.parent], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        commands["otnfm"] = [str(otnfm), "sample", str(model), "-n", "1", "--out", str(folder / "x.npy"), "--device", "cpu"]
    for label, program in COLD.items():
        commands[label] = [sys.executable, "-c", program.format(**names) + "\nprint('sampled', flush=True)"]
    return commands


def main():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="of calls of a contender a round and batch size")
    parser.add_argument("--cold-rounds", type=int, default=9)
    parser.add_argument("--build", type=Path, default=root / "build", help="where bench_engine and otnfm are")
    parser.add_argument("--model", type=Path, help="a model.safetensors for the cold start (default: one of the same shape is trained)")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out (it needs a C++ compiler)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    bench = arguments.build / "bench_engine"
    if not bench.is_file():
        raise SystemExit(f"latency.py: error: {bench} is not there")

    torch.set_num_threads(1)
    torch.manual_seed(1)
    flow = Flow()
    peers = {"onnxruntime": OnnxPeer(flow, False), "onnxruntime, time folded": OnnxPeer(flow, True), "torch eager": TorchPeer(flow, False)}
    if not arguments.no_compile:
        peers["torch.compile"] = TorchPeer(flow, True)
    calls, counts, times = {}, {}, {}
    with torch.inference_mode():
        for batch in BATCHES:
            noise = torch.randn(batch, 2)
            wanted = flow(torch.ones(batch, 1), noise).numpy()
            for label, peer in peers.items():
                call, result = peer.prepare(noise.numpy().copy())
                for _ in range(20):
                    call()
                if not numpy.allclose(result(), wanted, rtol=1e-4, atol=1e-5):
                    raise SystemExit(f"latency.py: error: {label} gives other samples at batch {batch}")
                calls[label, batch] = call
                counts[label, batch] = max(30, int(arguments.seconds * 1e6 / quantiles(call, 30)[0]))
        for _ in range(arguments.rounds):
            for batch in BATCHES:
                for label in peers:
                    times.setdefault((label, batch), []).append(quantiles(calls[label, batch], counts[label, batch]))
                for label, name in OURS.items():
                    times.setdefault((label, batch), []).append(our_quantiles(bench, name, batch, arguments.seconds))
    microseconds = {}
    for (label, batch), rounds in times.items():
        p50, p99 = (statistics.median(values) for values in zip(*rounds))
        microseconds.setdefault(batch, {})[label] = {"p50": p50, "p99": p99, "p50_of_rounds": [r[0] for r in rounds]}

    cold = {}
    with tempfile.TemporaryDirectory() as folder:
        commands = cold_commands(Path(folder), flow, arguments.build / "otnfm", arguments.model)
        for command in commands.values():
            cold_seconds(command)  # files into the page cache
        for _ in range(arguments.cold_rounds):
            for label, command in commands.items():
                cold.setdefault(label, []).append(cold_seconds(command))
    cold_medians = {label: statistics.median(values) for label, values in cold.items()}

    result = {
        "benchmark": "latency of toy samples, one thread", "machine": processor(), "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__, "rounds": arguments.rounds, "microseconds": microseconds,
        "ratio_p50": {batch: {ours: {label: entry["p50"] / table[ours]["p50"] for label, entry in table.items() if label not in OURS}
                              for ours in OURS} for batch, table in microseconds.items()},
        "onnxruntime_p50_by_way": {label: peer.way for label, peer in peers.items() if isinstance(peer, OnnxPeer)},
        "cold_seconds": cold_medians, "all_cold_seconds": cold, "load_average": os.getloadavg(),
    }
    print(f"latency of toy samples, one thread, {result['machine']}, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}")
    for batch, table in microseconds.items():
        print(f"  batch {batch}")
        for label, entry in table.items():
            fp32, bf16 = (entry["p50"] / table[ours]["p50"] for ours in OURS)
            note = "" if label in OURS else f"   otnfm is {fp32:5.1f} times as fast, in bf16 {bf16:5.1f}"
            print(f"    {label:26s} p50 {entry['p50']:9.2f} us   p99 {entry['p99']:9.2f} us{note}")
    print("  process start to first sample")
    for label, seconds in cold_medians.items():
        print(f"    {label:26s} {1e3 * seconds:9.1f} ms  ({1e3 * min(cold[label]):.1f} to {1e3 * max(cold[label]):.1f})")
    print(f"  load average of this machine at the end: {os.getloadavg()[0]:.1f}, on {os.cpu_count()} cores")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

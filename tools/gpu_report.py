#!/usr/bin/env python3
"""Makes result.json and result.md from what tools/gpu_check.sh left in a folder.

The roofline fraction of a benchmark is the least time that its stated bytes and FLOPs take at the data sheet's peaks, over the
time it took. Bytes that stay in the L2 cache can push it above 1.
"""

import argparse
import json
import sys
import time
from pathlib import Path

# NVIDIA's data sheets, dense: memory in bytes/s; fp32 outside tensor cores, TF32 and bf16 in FLOP/s.
PEAKS = {
    "H200": {"bytes": 4.8e12, "fp32": 67e12, "tf32": 494.7e12, "bf16": 989.5e12},
    "H100 NVL": {"bytes": 3.9e12, "fp32": 60e12, "tf32": 417.5e12, "bf16": 835.5e12},
    "H100 PCIe": {"bytes": 2.0e12, "fp32": 51e12, "tf32": 378e12, "bf16": 756e12},
    "H100": {"bytes": 3.35e12, "fp32": 67e12, "tf32": 494.7e12, "bf16": 989.5e12},
    "A100": {"bytes": 2.039e12, "fp32": 19.5e12, "tf32": 156e12, "bf16": 312e12},
}
SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def read(path):
    """A JSON file, or None where a stage did not get as far as writing it whole."""
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return None


def tests(folder):
    rows = []
    for path in sorted(folder.glob("test_*.json")):
        report = read(path)
        if report is None:
            continue
        cases = [case for suite in report["testsuites"] for case in suite["testsuite"]]
        failed = [f"{case['classname']}.{case['name']}" for case in cases if case.get("failures")]
        skipped = sum(case.get("result") == "SKIPPED" for case in cases)
        rows.append({"program": path.stem, "passed": len(cases) - len(failed) - skipped, "failed": failed, "skipped": skipped,
                     "seconds": float(report["time"].rstrip("s"))})
    return rows


def benchmarks(folder, peaks):
    rows = []
    for path in sorted(folder.glob("bench_*.json")):
        report = read(path)
        for record in (report or {}).get("benchmarks", []):
            if record.get("run_type", "iteration") != "iteration" or record.get("error_occurred"):
                continue
            seconds = record["real_time"] * SECONDS[record["time_unit"]]
            row = {"program": path.stem, "name": record["name"].removesuffix("/real_time"), "seconds": seconds,
                   "bytes_per_second": record.get("bytes/s"), "flop_per_second": record.get("FLOP/s"), "roofline": None}
            if peaks and (row["bytes_per_second"] or row["flop_per_second"]):
                kind = next((k for k in ("bf16", "tf32") if k in row["name"]), "fp32")
                row["roofline"] = max((row["bytes_per_second"] or 0) / peaks["bytes"], (row["flop_per_second"] or 0) / peaks[kind])
                row["peak"] = kind
            rows.append(row)
    return rows


def markdown(result):
    lines = [f"# GPU check: {result['gpu']}, {result['date']}, version {result['version']}", "",
             "| stage | outcome | s |", "| --- | --- | --- |"]
    lines += [f"| {s['stage']} | {s['outcome']} | {s['seconds']} |" for s in result["stages"]]
    lines += ["", "| tests | passed | failed | skipped | s |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {t['program']} | {t['passed']} | {len(t['failed'])} | {t['skipped']} | {t['seconds']:.1f} |" for t in result["tests"]]
    failed = [name for t in result["tests"] for name in t["failed"]]
    lines += [""] + [f"- failed: {name}" for name in failed]
    lines += ["", "| benchmark | us | GB/s | GFLOP/s | of the roofline |", "| --- | --- | --- | --- | --- |"]
    for b in result["benchmarks"]:
        cells = [f"{b['seconds'] * 1e6:.1f}"]
        cells += [f"{b[key] / 1e9:.0f}" if b[key] else "" for key in ("bytes_per_second", "flop_per_second")]
        cells.append("" if b["roofline"] is None else f"{b['roofline']:.0%} ({b['peak']})")
        lines.append(f"| {b['name']} | {' | '.join(cells)} |")
    if result["peaks"]:
        p = result["peaks"]
        lines += ["", f"Peaks (data sheet): {p['bytes'] / 1e12:.2f} TB/s; {p['fp32'] / 1e12:.0f} fp32, {p['tf32'] / 1e12:.0f} TF32, "
                      f"{p['bf16'] / 1e12:.0f} bf16 TFLOP/s."]
    else:
        lines += ["", "No peaks are known for this GPU: no roofline fractions."]
    for peer in result["peers"]:
        lines += ["", f"{peer['benchmark']} (torch {peer['torch']}):", ""]
        lines += [f"- {name}: {value:.4f} ms" for name, value in peer["milliseconds"].items()]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--version", default="unknown")
    arguments = parser.parse_args()
    folder = arguments.folder

    gpu = (folder / "gpu.txt").read_text().strip() or "unknown GPU"
    peaks = next((peaks for name, peaks in PEAKS.items() if name in gpu.split(",")[0]), None)
    stages = []
    for line in (folder / "stages.tsv").read_text().splitlines():
        stage, outcome, seconds = line.split("\t")
        stages.append({"stage": stage, "outcome": outcome, "seconds": int(seconds)})
    result = {"gpu": gpu, "date": time.strftime("%Y-%m-%d"), "version": arguments.version, "stages": stages, "tests": tests(folder),
              "benchmarks": benchmarks(folder, peaks), "peaks": peaks,
              "peers": [p for p in map(read, sorted(folder.glob("peer_*.json"))) if p]}
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "result.md").write_text(markdown(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

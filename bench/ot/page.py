#!/usr/bin/env python3
"""One HTML page from the rows that bench/peers/ot_gap.py measured: what does coupling cost, by solver, n, d and gap.

The page stands alone: inline SVG, no script from elsewhere, no network. Each row is an object with problem, data, n, d, solver,
gap_wanted (null: the solver's own end), gap (measured by the certificate), seconds and peer.

    bench/ot/page.py rows.json page.html
"""
import html
import json
import math
import sys

COLORS = ["#1b6ca8", "#c8553d", "#3a7d44", "#8e5ea2", "#b8860b", "#4a4a4a", "#d16ba5", "#2a9d8f", "#7f4f24"]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 360, 250, 52, 34, 26, 10
BATCHES = (64, 128, 256, 512, 1024, 2048, 4096)


def duration(seconds):
    for limit, scale, unit in ((1e-3, 1e6, "µs"), (1, 1e3, "ms"), (math.inf, 1, "s")):
        if seconds < limit:
            return f"{seconds * scale:.3g} {unit}"


def decades(low, high):
    return [10.0**k for k in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def chart(title, curves, x_name, x_ticks, x_label, colors):
    """curves: name -> [(x, seconds)]. Both axes are logarithmic; x runs as the ticks do, from the first to the last."""
    values = [s for points in curves.values() for _, s in points]
    if not values:
        return ""
    y_ticks = decades(min(values), max(values))
    if len(y_ticks) == 1:
        y_ticks.append(y_ticks[0] * 10)
    x0, x1 = math.log(x_ticks[0]), math.log(x_ticks[-1])
    y0, y1 = math.log(y_ticks[0]), math.log(y_ticks[-1])

    def place(x, y):
        across = (math.log(x) - x0) / (x1 - x0) if x1 != x0 else 0.5
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - (math.log(y) - y0) / (y1 - y0) * (HEIGHT - BOTTOM - TOP)

    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">']
    out.append(f'<text x="{LEFT}" y="14" class="title">{html.escape(title)}</text>')
    for tick in y_ticks:
        _, y = place(x_ticks[0], tick)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        out.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" class="tick" text-anchor="end">{duration(tick)}</text>')
    for tick in x_ticks:
        x, _ = place(tick, y_ticks[0])
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" class="tick" text-anchor="middle">{x_label(tick)}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" class="tick" text-anchor="middle">{html.escape(x_name)}</text>')
    for name, points in curves.items():
        spots = [place(x, s) for x, s in sorted(points, key=lambda point: -point[0] if x1 < x0 else point[0])]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colors[name]}" stroke-width="1.8"/>')
        for (x, y), (value, seconds) in zip(spots, sorted(points, key=lambda p: -p[0] if x1 < x0 else p[0])):
            label = html.escape(f"{name}, {x_name} {x_label(value)}: {duration(seconds)}")
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.8" fill="{colors[name]}"><title>{label}</title></circle>')
    out.append("</svg>")
    return "".join(out)


def keyed(rows, *names):
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


def fastest(rows, gap):
    """Seconds of each solver for a result whose measured gap is at most `gap`."""
    best = {}
    for row in rows:
        if row["gap"] is not None and row["gap"] <= gap and row["seconds"] < best.get(row["solver"], math.inf):
            best[row["solver"]] = row["seconds"]
    return best


def step_table(rows, ours):
    # What a training step solves: noise to data. Ratios compare the same problem; a mean over kinds of data would not.
    rows = [row for row in rows if row["data"].startswith("gaussian_")]
    dimensions = sorted({row["d"] for row in rows})
    out = []
    for gap in (1e-2, 1e-3, 1e-6):
        out.append(f"<h3>Gap at most {gap:g}</h3><table><tr><th>B</th>" + "".join(f"<th>d = {d}</th>" for d in dimensions) + "</tr>")
        for batch in BATCHES:
            cells = []
            for d in dimensions:
                best = fastest([row for row in rows if row["n"] == batch and row["d"] == d], gap)
                mine = {name: seconds for name, seconds in best.items() if name in ours}
                peers = {name: seconds for name, seconds in best.items() if name not in ours}
                if not mine:
                    cells.append("<td>-</td>")
                    continue
                name = min(mine, key=mine.get)
                text = f"{duration(mine[name])} <small>{html.escape(name)}</small>"
                if peers:
                    peer = min(peers, key=peers.get)
                    text += f"<br><small>{html.escape(peer)} {duration(peers[peer])}, {peers[peer] / mine[name]:.1f} times</small>"
                cells.append(f"<td>{text}</td>")
            if any(cell != "<td>-</td>" for cell in cells):
                out.append(f"<tr><th>{batch}</th>{''.join(cells)}</tr>")
        out.append("</table>")
    return "".join(out)


def page(result):
    rows = [row for row in result["rows"] if row["seconds"] is not None]
    ours = sorted({row["solver"] for row in rows if not row["peer"]})
    names = ours + sorted({row["solver"] for row in rows if row["peer"]})
    colors = {name: COLORS[index % len(COLORS)] for index, name in enumerate(names)}
    legend = "".join(f'<span><i style="background:{colors[name]}"></i>{html.escape(name)}</span>' for name in names)
    growth, closing = [], []
    for (data, d), group in sorted(keyed(rows, "data", "d").items()):
        sizes = sorted({row["n"] for row in group})
        curves = {}
        for n in sizes:
            for name, seconds in fastest([row for row in group if row["n"] == n], 1e-3).items():
                curves.setdefault(name, []).append((n, seconds))
        growth.append(chart(f"{data}, d = {d}", curves, "n", sizes, lambda n: f"{n:g}", colors))
        for n in sizes:
            at = [row for row in group if row["n"] == n]
            levels = sorted({row["gap_wanted"] for row in at if row["gap_wanted"]}, reverse=True)
            if len(levels) < 2:
                continue
            curves = {}
            for level in levels:
                for name, seconds in fastest(at, level).items():
                    curves.setdefault(name, []).append((level, seconds))
            closing.append(chart(f"{data}, n = {n}, d = {d}", curves, "gap", levels, lambda gap: f"{gap:g}", colors))
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>What coupling costs</title><style>
body {{ font: 15px/1.45 system-ui, sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1em; color: #222; }}
svg {{ width: 360px; max-width: 100%; margin: 4px; }} .title {{ font-size: 12px; font-weight: 600; }} .tick {{ font-size: 10px; fill: #555; }}
.grid {{ stroke: #e4e4e4; }} table {{ border-collapse: collapse; }} td, th {{ border: 1px solid #ddd; padding: 4px 9px; text-align: right; }}
.legend span {{ margin-right: 1.2em; white-space: nowrap; }} .legend i {{ display: inline-block; width: 12px; height: 12px; margin-right: 5px; }}
small {{ color: #666; }}</style></head><body>
<h1>What coupling costs</h1>
<p>{html.escape(result['machine'])}, {html.escape(result['date'])}. Seconds from points to pairing, the cost of every pair included on all sides.
Every gap was measured by the certificate, not taken from the solver. Command: <code>{html.escape(result['command'])}</code></p>
<p class="legend">{legend}</p>
<h2>A training step at batch size B</h2><p>The fastest solver here for one problem of n = m = B, noise to data (8 modes; CIFAR-10 at d = 3072);
small: the best peer that reaches the gap, on the same problem.</p>{step_table(rows, ours)}
<h2>Growth with n, to a gap of 1e-3</h2>{''.join(growth)}
<h2>Time to gap</h2>{''.join(closing)}
</body></html>
"""


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        result = json.load(file)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(page(result))


if __name__ == "__main__":
    main()

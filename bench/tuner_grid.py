#!/usr/bin/env python3
"""Is what `mrl-index tune` chooses as cheap as the best point of a brute-force grid?

    tuner_grid.py --bin DIR --index DIR --queries FILE [--truth FILE] [--targets 0.9 0.95 0.99]

Every funnel of a grid (coarse code, one or no stage between, keeps that grow by half) runs through
`mrl-index eval`. The grid obeys the tuner's rule: the lower end of a funnel's 95 % interval reaches
the target, on as many queries as the tuner sees, half of them. Its ten cheapest and the tuner's
choice are then timed again in turns, on all queries; the ratio of the medians is printed.
"""
import argparse
import json
import pathlib
import statistics
import subprocess

import numpy as np

K = 10
KEEPS = [15, 22, 33, 50, 75, 110, 165, 250, 375, 560, 840, 1260, 1900, 2850, 4300]


def run(args, *more):
    command = [args.bin / "mrl-index", *more, "--index", args.index, "--queries", args.queries]
    if args.truth:
        command += ["--truth", args.truth]
    out = subprocess.run([*map(str, command), "--json"], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in out.stdout.splitlines()]


def evaluate(args, funnels, *more):
    return run(args, "eval", *more, *[part for f in funnels for part in ("--funnel", f)])


def grid(args):
    schema = subprocess.run(
        [args.bin / "mrl-index", "inspect", "--index", args.index, "--json"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    schema = json.loads(schema)
    dims = [level["dims"] for level in schema["levels"]]
    element = {"f32": 32, "f16": 16, "bf16": 16, "int8": 8}[schema["storage"]]
    stages = []
    for code in schema["codes"].split(","):
        width, bits = map(int, code.split("b"))
        nested = [d for d in dims if d <= width] if bits < 8 else [width]
        stages += [(f"{d}b{bits}", d * bits) for d in nested]
    middle = stages + [(str(d), d * element) for d in dims[:-1]]
    funnels = []
    for first, first_bits in stages:
        for i, keep in enumerate(KEEPS):
            funnels.append(f"{first}:{keep},{dims[-1]}:{K}")
            for second, second_bits in middle:
                if second_bits > first_bits:
                    funnels += [f"{first}:{keep},{second}:{k},{dims[-1]}:{K}" for k in KEEPS[:i]]
    return funnels


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--index", required=True)
    parser.add_argument("--queries", required=True)
    parser.add_argument("--truth")
    parser.add_argument("--targets", type=float, nargs="*", default=[0.9, 0.95, 0.99])
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    half = str(len(np.load(args.queries, mmap_mode="r")) // 2)
    # A first look with few queries drops what cannot win.
    funnels = grid(args)
    print(f"{len(funnels)} funnels in the grid", flush=True)
    rough = []
    for i in range(0, len(funnels), 500):
        rough += evaluate(args, funnels[i : i + 500], "--limit", "40")
    for target in args.targets:
        able = [r for r in rough if r["recall"] >= target - 0.04]
        able.sort(key=lambda r: r["p50_ms"])
        sure = evaluate(args, [r["funnel"] for r in able[:60]], "--limit", half)
        reaching = [r for r in sure if r["interval"][0] >= target]
        reaching.sort(key=lambda r: r["p50_ms"])
        tuned = run(args, "tune", "--target-recall", target)[-1]
        names = [tuned["funnel"], *[r["funnel"] for r in reaching[:10]]]
        times = {name: [] for name in names}
        for _ in range(args.rounds):
            for result in evaluate(args, names):
                times[result["funnel"]].append(result["p50_ms"])
        medians = {name: statistics.median(values) for name, values in times.items()}
        best = min(names[1:], key=medians.get, default=tuned["funnel"])
        print(
            f"target {target}: tuned {tuned['funnel']} {medians[tuned['funnel']]:.3f} ms, held-out "
            f"recall {tuned['recall']:.4f} {tuned['interval']}; best of the grid {best} "
            f"{medians[best]:.3f} ms; ratio {medians[tuned['funnel']] / medians[best]:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

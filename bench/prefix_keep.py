#!/usr/bin/env python3
"""Which shortlist of which code holds the true neighbours: the least K per code that reaches a recall, and its time.

    prefix_keep.py --bin build/release/bin --work WORK NAME=BASE.npy,QUERIES.npy … [--queries 500] [--rounds 3]
    prefix_keep.py --smoke --bin build/release/bin

For each set an index with every code is built (WORK/NAME, kept), and `CODE:K,dims:10` is asked for K = 10, 20, 50, …
10,000, one query at a time on one thread. The truth is mrl's own exact search of the full vectors. Printed are, per
code and recall wanted, the least K of the list that reaches it and the median time of all rounds; the cheapest code of
each recall is marked.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile

import numpy as np
import rows
from engines import LADDER
from process import machine

TARGETS = (0.90, 0.95, 0.99)
KEEPS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


def ask(*command):
    ran = subprocess.run([str(one) for one in command], capture_output=True, text=True)
    if ran.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{ran.stderr}")
    return ran.stdout


def codes_of(dims):
    wide = [step for step in (16, 32, 64, 128) if step < dims]
    signs = [step for step in (128, 256, 512, 1024) if step <= dims]
    return [f"{step}b{bits}" for step, bits in sorted([(step, 8) for step in wide] + [(step, 1) for step in signs])]


def stored(codes):
    """The longest signs serve the shorter ones."""
    signs = [one for one in codes if one.endswith("b1")]
    return [one for one in codes if one not in signs[:-1]]


def build(args, name, base, dims):
    index = f"{args.work}/{name}"
    if not os.path.exists(index):
        ladder = [step for step in LADDER if step < dims] + [dims]
        ask(f"{args.bin}/mrl-index", "build", "--input", base, "--output", index, "--storage", "f16", "--coarse", "scan",
            "--dims", ",".join(map(str, ladder)), "--codes", ",".join(stored(codes_of(dims))))
    return index


def evaluate(args, index, queries, funnels, truth):
    asked = [flag for one in funnels for flag in ("--funnel", one)]
    out = ask(f"{args.bin}/mrl-index", "eval", "--index", index, "--queries", queries, "--truth", truth, "-k", rows.K,
              "--limit", args.queries, "--json", *asked)
    return {line["funnel"].removeprefix("scan/"): line for line in map(json.loads, out.splitlines())}


def write_truth(args, base, queries, path):
    wanted = rows.unit(np.asarray(np.load(queries, mmap_mode="r")[:args.queries], np.float32))
    np.save(path, rows.exact(np.load(base, mmap_mode="r"), wanted))


def table(args, name, base, queries):
    shape = np.load(base, mmap_mode="r").shape
    index, truth = build(args, name, base, shape[1]), f"{args.work}/{name}-truth.npy"
    write_truth(args, base, queries, truth)
    funnels = {(code, keep): f"{code}:{keep},{shape[1]}:{rows.K}" for code in codes_of(shape[1]) for keep in KEEPS}
    first = evaluate(args, index, queries, list(funnels.values()), truth)
    least = {}
    for code in codes_of(shape[1]):
        for target in TARGETS:
            enough = [keep for keep in KEEPS if first[funnels[code, keep]]["recall"] >= target]
            if enough:
                least[code, target] = enough[0]
    again = sorted({funnels[code, keep] for (code, _), keep in least.items()})
    millis = {one: [] for one in again}
    for _ in range(args.rounds if again else 0):
        for one, line in evaluate(args, index, queries, again, truth).items():
            millis[one].append(1e3 / line["qps"])
    show(name, shape, least, {key: statistics.median(millis[funnels[key[0], keep]]) for key, keep in least.items()})


def show(name, shape, least, cost):
    print(f"\n{name}: {shape[0]} rows x {shape[1]}\n")
    print("| code | " + " | ".join(f"K for {target:.2f}" for target in TARGETS) + " |\n|---" + "|---" * len(TARGETS) + "|")
    best = {target: min((cost[key] for key in cost if key[1] == target), default=None) for target in TARGETS}
    for code in codes_of(shape[1]):
        cells = []
        for target in TARGETS:
            if (code, target) not in least:
                cells.append(f"above {KEEPS[-1]:,}")
                continue
            millis = cost[code, target]
            mark = "**" if millis == best[target] else ""
            cells.append(f"{mark}{least[code, target]:,} ({millis:.3f} ms){mark}")
        print(f"| {code} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="NAME=BASE,QUERIES")
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--work")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if not (args.smoke or (args.work and args.sets)):
        parser.error("--work and a set are needed")
    at = machine()
    with tempfile.TemporaryDirectory() as scratch:
        args.work = args.work or scratch
        os.makedirs(args.work, exist_ok=True)
        if args.smoke:
            args.queries, args.rounds = 20, 1
            base, asked = rows.made_up(3000, 128, 20)
            np.save(f"{scratch}/base.npy", base)
            np.save(f"{scratch}/queries.npy", asked)
            args.sets = [f"smoke={scratch}/base.npy,{scratch}/queries.npy"]
        print(f"k = {rows.K}, f16, {args.queries} queries one at a time, one thread; {at['cpu']}, load {at['load'][0]}")
        for one in args.sets:
            name, files = one.split("=", 1)
            table(args, name, *files.split(","))


if __name__ == "__main__":
    main()

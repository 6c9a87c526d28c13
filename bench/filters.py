#!/usr/bin/env python3
"""Recall of searches with filters that 0.1, 1, 10 and 50 % of the rows pass, beside searches without.

    filters.py --bin build/release/bin --points embeddings.npy --queries queries.npy
               --ladder 16,32,64,128,256,512 [--funnel F ...] [--limit 200] [--seed 1] [--results FILE]

Every row gets a random number below 1000 (seeded); the filter `share < N` passes N per mille of the rows. What
is true is found with numpy in float64 among the rows that pass. A time is not taken. The Python package `mrl`
must be importable.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import mrl
import numpy as np
from process import served

SHARES = {"none": 1000, "50 %": 500, "10 %": 100, "1 %": 10, "0.1 %": 1}
FUNNELS = ["16:40,512:10", "64:40,512:10", "512b1:40,512:10", "128b1:400,512b1:40,512:10",
           "ivf_scan(nprobe=8)/256b1:100,512:10"]  # fmt: skip
K = 10


def build(arguments, folder, shares):
    """Rows and their share, with lists so that a funnel may name them."""
    payloads = folder / "payloads.jsonl"
    with open(payloads, "w", encoding="utf-8") as lines:
        lines.writelines(f'{{"share": {share}}}\n' for share in shares)
    index = folder / "index"
    program = arguments.bin / "mrl-index"
    subprocess.run([program, "build", "--input", arguments.points, "--payloads", payloads, "--field", "share:int",
                    "--dims", arguments.ladder, "--output", index], check=True, capture_output=True)  # fmt: skip
    subprocess.run([program, "index", "add", "ivf_scan", "--index", index], check=True,
                   capture_output=True)  # fmt: skip
    return index


def unit(rows):
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def measure(arguments, folder):
    points, queries = unit(np.load(arguments.points)), np.load(arguments.queries)[: arguments.limit]
    shares = np.random.default_rng(arguments.seed).integers(0, 1000, len(points))
    command = [arguments.bin / "mrl-server", "--index", f"c={build(arguments, folder, shares)}",
               "--grpc-port", 0, "--http-port", 0]  # fmt: skip
    scores = unit(queries) @ points.T
    lines = []
    with served(command) as (_, addresses), mrl.Client(addresses["grpc"]) as client:
        for funnel in arguments.funnel or FUNNELS:
            line = {"kind": "filters", "funnel": funnel, "rows": len(points), "queries": len(queries), "recall": {}}
            for name, below in SHARES.items():
                passing = np.flatnonzero(shares < below)
                found = wanted = 0
                for query, row in zip(queries, scores):
                    true = passing[np.argsort(-row[passing], kind="stable")[:K]]
                    hits = client.search("c", query, k=K, funnel=funnel, with_payload=False,
                                         filter=None if below == 1000 else f"share < {below}").hits  # fmt: skip
                    found += len(set(true.tolist()) & {hit.id for hit in hits})
                    wanted += len(true)
                line["recall"][name] = round(found / wanted, 4)
            lines.append(line)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--points", type=pathlib.Path, required=True)
    parser.add_argument("--queries", type=pathlib.Path, required=True)
    parser.add_argument("--ladder", required=True)
    parser.add_argument("--funnel", action="append", default=[])
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(arguments, pathlib.Path(folder))
    print("| funnel | " + " | ".join(SHARES) + " |\n|---|" + "---|" * len(SHARES))
    for line in lines:
        print(f"| `{line['funnel']}` | " + " | ".join(f"{r:.4f}" for r in line["recall"].values()) + " |")
    if arguments.results:
        with open(arguments.results, "a", encoding="utf-8") as results:
            results.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()

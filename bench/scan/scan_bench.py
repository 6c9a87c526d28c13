#!/usr/bin/env python3
"""Scans of the first stage beside a loop that only reads the same bytes: what selection and arithmetic cost.

    scan_bench.py --bin build/release/bin [--rows 10000000] [--codes 16b8,128b1] [--keep 200] [--results FILE]
    scan_bench.py --smoke --bin build/release/bin     seconds: shows that it runs

Codes are random (synthetic: for bytes and speed only). A scan quantises its queries, reads the codes once for
all queries of a tile and selects the best --keep rows of each. "bit planes" scores every row of a code of few bits
by popcount, a row's bits side by side, and selects nothing: the layout that scans do not use. One thread, its CPU
time; ways take turns, and the first round is not counted. Times are per query. MRL_CPU chooses the instruction set.
"""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from process import machine  # noqa: E402


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--codes", default="16b8,128b1")
    parser.add_argument("--tiles", default="1,8,16")
    parser.add_argument("--keep", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--results", help="append JSON lines here")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.rows, args.rounds = 50_000, 2
    return args


def table(lines, args, where):
    print(f"{args.rows} rows of random codes, the best {args.keep} of each query, one thread, {args.rounds} rounds, "
          f"kernels {lines[0]['kernels']}; {where['cpu']}, load {where['load'][0]}\n")
    print("| code | bytes | way | ms a query: median (min - max) | GB/s | against reading | against one query |")
    print("|---|---|---|---|---|---|---|")
    for line in lines:
        of_code = [one for one in lines if one["code"] == line["code"]]
        median = statistics.median(line["millis"])
        read = statistics.median(next(one["millis"] for one in of_code if one["way"] == "read"))
        single = next((statistics.median(one["millis"]) for one in of_code if one["way"] == "scan" and one["tile"] == 1),
                      None)
        way = {"read": "read only", "planes": "bit planes"}.get(line["way"], f"tile of {line['tile']}")
        cheaper = f"{single / median:.2f}x cheaper" if line["tile"] > 1 and single else ""
        print(f"| {line['code']} | {line['bytes']:,} | {way} | {median:.3f} ({min(line['millis']):.3f} - "
              f"{max(line['millis']):.3f}) | {line['bytes'] / median / 1e6:.1f} | {median / read:.2f}x | {cheaper} |")


def main():
    args = parse()
    where = machine()
    ran = subprocess.run([f"{args.bin}/mrl-scan-bench", "--rows", str(args.rows), "--codes", args.codes, "--tiles",
                          args.tiles, "--keep", str(args.keep), "--rounds", str(args.rounds)],
                         check=True, capture_output=True, text=True)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    table(lines, args, where)
    if args.results:
        with open(args.results, "a", encoding="utf-8") as file:
            for line in lines:
                file.write(json.dumps({"date": datetime.date.today().isoformat(), "bench": "scan", **line,
                                       "machine": where}) + "\n")


if __name__ == "__main__":
    main()

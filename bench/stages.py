#!/usr/bin/env python3
"""The stages after the scan: a funnel from 200 rows to 10 beside one jump of 200 rows to the full vector.

    stages.py --data DIR --work WORK --rows 291010 --dims 1024 [--queries 500] [--rounds 7] [--results FILE]
    stages.py --smoke --bin build/release/bin     seconds, on made-up rows: shows that it runs

Rows, queries and index are those of search_bench.py in the folder WORK (or of paper_scale.py: labelled rows,
synthetic). Both funnels begin with the same scan of 16 dimensions, so the 200 rows are the same; their times are
those that the engine's trace gives, a median of all queries a round. The rows of a query lie anywhere in the base,
so that they come from memory and not from a cache once the base is larger than that. One thread, rounds in turn.
"""
import argparse
import datetime
import json
import os
import statistics
import tempfile

import rows
from engines import Mrl
from process import machine


def funnels(dims, first, keep):
    """{name: funnel}. The first halves rows and doubles dimensions, as the MRL paper does, then jumps to all."""
    stages, step, left = [], 32, keep // 2
    while step < dims and step <= 256 and left > rows.K:
        stages.append(f"{step}:{left}")
        step, left = 2 * step, left // 2
    end = f"{dims}:{rows.K}"
    plans = {"funnel": ",".join([f"{first}:{keep}", *stages, end]), "one jump": f"{first}:{keep},{end}"}
    if dims >= 512:
        plans["through signs"] = f"{first}:{keep},512b1:{keep // 8},{end}"
    return plans


def measured(args, engine, asked):
    """{name: [lines of eval, one a round]}, in turn"""
    found = {name: [] for name in asked}
    for number in range(args.rounds):
        order = list(asked) if number % 2 == 0 else list(asked)[::-1]
        for name in order:
            engine.run([asked[name]], "report", 1, args.queries)
            found[name] += engine.lines
    return found


def later(line):
    """Microseconds of the stages after the scan."""
    return sum(stage["p50_micros"] for stage in line["stages"][1:])


def table(found, args, kind, where):
    print(f"{args.rows} {kind} rows x {args.dims}, f16, one query at a time, one thread, {args.rounds} rounds of "
          f"{args.queries} queries; {where['cpu']}, load {where['load'][0]}\n")
    print("| plan | recall@10 | bytes after the scan | us after the scan: median (min - max) | us a stage | with the scan |")
    print("|---|---|---|---|---|---|")
    medians = {}
    for name, lines in found.items():
        spent = [later(line) for line in lines]
        medians[name] = statistics.median(spent)
        stages = ", ".join(f"{statistics.median(line['stages'][i]['p50_micros'] for line in lines):.1f}"
                           for i in range(1, len(lines[0]["stages"])))
        read = sum(stage["bytes"] for stage in lines[0]["stages"][1:])
        whole = statistics.median(1e3 * line["p50_ms"] for line in lines)
        print(f"| {name} `{lines[0]['funnel']}` | {lines[0]['recall']:.4f} | {read:,.0f} | {medians[name]:.1f} "
              f"({min(spent):.1f} - {max(spent):.1f}) | {stages} | {whole:.0f} |")
    for name in found:
        if name != "one jump":
            print(f"\n{name}: {medians['one jump'] / medians[name]:.2f} times cheaper than one jump; 3 is the aim.")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--work")
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--rows", type=int, default=291_010)
    parser.add_argument("--dims", type=int, default=1024)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--first", default="16b8", help="code of the scan")
    parser.add_argument("--keep", type=int, default=200)
    parser.add_argument("--results", help="append JSON lines here")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.rows, args.dims, args.queries, args.rounds = 5000, 256, 20, 2
    elif not args.work:
        parser.error("--work is needed")
    return args


def main():
    args = parse()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.work or scratch
        real = rows.prepare(folder, args.data, args.rows, args.dims, args.queries)
        kind = f"({real} real)" if args.data else "synthetic"
        engine = Mrl(folder, f"{args.bin}/mrl-index")
        engine.make()
        where = machine()
        found = measured(args, engine, funnels(args.dims, args.first, args.keep))
    table(found, args, kind, where)
    if args.results:
        with open(args.results, "a", encoding="utf-8") as file:
            for name, lines in found.items():
                file.write(json.dumps({"date": datetime.date.today().isoformat(), "bench": "stages", "rows": args.rows,
                                       "dims": args.dims, "plan": name, "funnel": lines[0]["funnel"],
                                       "recall": lines[0]["recall"], "micros": [round(later(one), 2) for one in lines],
                                       "machine": where}) + "\n")


if __name__ == "__main__":
    main()

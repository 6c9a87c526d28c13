#!/usr/bin/env python3
"""Adaptive retrieval and funnels from 16 dimensions beside exact search and a graph of all 2048, on labelled rows.

    paper_scale.py --work DIR --bin build/release/bin [--rows 1000000] [--rivals Flat] [--results FILE]
    paper_scale.py --work DIR --rows 200000 --rivals Flat,Hnsw      where the graph is built in minutes
    paper_scale.py --smoke --bin build/release/bin                  seconds: shows that it runs

Rows are synthetic (labelled_rows.py): classes that overlap, 16 dimensions suffice, as for the paper's models. Every
engine has a process of its own; one runs at a time, in interleaved rounds, one query at a time on one thread. Of
each, and of adaptive retrieval and funnels apart, the cheapest setting counts whose top-1 and mAP@10 on one half of
the queries are at most --within points below exact search; what is printed is of the other half. Exact search is
numpy's for the quality and FAISS Flat's (f32) for the time.
"""
import argparse
import datetime
import json
import os
import statistics
import tempfile

import labelled_rows
import rows
from process import machine
from search_bench import Engine

OURS = ("Scan16", "Lists16", "Graph16")


def shape(kind, setting):
    """What a setting competes with: adaptive retrieval has one stage after the first."""
    if kind not in OURS:
        return ""
    return "adaptive retrieval" if setting.count(",") == 1 else "funnel"


def few(setting, args):
    return min(args.queries, 30) if setting == "exact" else args.queries


def sweep(engine, args, folder, part):
    """{setting: (recall, ms, top-1, mAP@10)}; every setting once"""
    found = {}
    settings = [one for one in engine.settings if one != "exact"]
    if settings:
        times = engine.run(settings, part, 1, args.queries)
        for setting, ids in zip(settings, engine.ids(settings, part, args.queries)):
            found[setting] = (*times[setting], *labelled_rows.quality(folder, part, ids))
    if "exact" in engine.settings:
        found["exact"] = (*engine.run(["exact"], part, 1, few("exact", args))["exact"], *exact(folder, part))
    return found


def exact(folder, part):
    return labelled_rows.quality(folder, part, rows.load(folder, part)[1])


def chosen(kind, swept, least):
    """{shape: the cheapest setting that is good enough}"""
    best = {}
    for setting, (_, millis, top1, map10) in swept.items():
        of = shape(kind, setting)
        if top1 >= least[0] and map10 >= least[1] and (of not in best or millis < swept[best[of]][1]):
            best[of] = setting
    return best


def measure(engines, args, folder):
    """[(engine, shape, setting, recall, top-1, mAP@10, [ms a round])]"""
    least = [value - args.within for value in exact(folder, "choose")]
    picked = {one.kind: chosen(one.kind, sweep(one, args, folder, "choose"), least) for one in engines}
    for kind, settings in picked.items():
        if not settings:
            print(f"{kind}: no setting is within {args.within} points of exact search")
    measured = {}
    for _ in range(args.rounds):
        for engine in engines:
            for of, setting in picked[engine.kind].items():
                recall, millis = engine.run([setting], "report", 1, few(setting, args))[setting]
                measured.setdefault((engine.kind, of), (setting, recall, []))[2].append(millis)
    lines = []
    for (kind, of), (setting, recall, millis) in measured.items():
        engine = next(one for one in engines if one.kind == kind)
        ids = engine.ids([setting], "report", args.queries)[0] if setting != "exact" else None
        quality = labelled_rows.quality(folder, "report", ids) if ids is not None else exact(folder, "report")
        lines.append((kind, of, setting, recall, *quality, millis))
    return sorted(lines, key=lambda line: statistics.median(line[-1]))


def table(lines, engines, args, where):
    print(f"{args.rows} synthetic rows x {args.dims} of {labelled_rows.CLASSES} classes, k = 10, one query at a time, one "
          f"thread, {args.rounds} rounds of {args.queries} queries (exact: {few('exact', args)}); {where['cpu']}, load "
          f"{where['load'][0]}")
    for engine in engines:
        print(f"{engine.kind}: build {engine.build_s:.0f} s, {engine.bytes / args.rows:.0f} anonymous bytes a row")
    medians = {line[0]: statistics.median(line[-1]) for line in lines}
    print("\n| engine | plan | setting | top-1 | mAP@10 | recall@10 | ms a query: median (min - max) | times Flat | "
          "times HNSW32 |\n|---|---|---|---|---|---|---|---|---|")
    for kind, of, setting, recall, top1, map10, millis in lines:
        median = statistics.median(millis)
        faster = [f"{medians[one] / median:.1f}" if one in medians and kind != one else "" for one in ("Flat", "Hnsw")]
        print(f"| {kind} | {of} | {setting} | {top1:.2f} | {map10:.2f} | {recall:.4f} | {median:.4f} ({min(millis):.4f} - "
              f"{max(millis):.4f}) | {faster[0]} | {faster[1]} |")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work")
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--queries", type=int, default=1000, help="in each of the two halves")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rivals", default="Flat")
    parser.add_argument("--within", type=float, default=0.5, help="points of top-1 and mAP@10 below exact search")
    parser.add_argument("--results", help="append JSON lines here")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.rows, args.dims, args.queries, args.rounds, args.rivals = 5000, 512, 40, 2, args.rivals
    elif not args.work:
        parser.error("--work is needed")
    return args


def main():
    args = parse()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.work or scratch
        labelled_rows.prepare(folder, args.rows, args.dims, args.queries)
        engines = [Engine(kind, folder, os.path.join(args.bin, "mrl-index"))
                   for kind in [*OURS, *(one for one in args.rivals.split(",") if one)]]
        for engine in [one for one in engines if one.settings is None]:
            print(f"{engine.kind}: its package is not installed")
            engine.end()
        engines = [one for one in engines if one.settings is not None]
        if not args.build_only:
            for engine in engines:
                engine.start()
            where = machine()
            lines = measure(engines, args, folder)
            table(lines, engines, args, where)
            if args.results:
                with open(args.results, "a", encoding="utf-8") as file:
                    for kind, of, setting, recall, top1, map10, millis in lines:
                        file.write(json.dumps({
                            "date": datetime.date.today().isoformat(), "bench": "paper_scale", "rows": args.rows,
                            "dims": args.dims, "engine": kind, "plan": of, "setting": str(setting),
                            "recall": round(recall, 4), "top1": round(top1, 2), "map10": round(map10, 2),
                            "millis": [round(one, 5) for one in millis], "machine": where}) + "\n")
        for engine in engines:
            engine.end()


if __name__ == "__main__":
    main()

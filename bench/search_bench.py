#!/usr/bin/env python3
"""Funnels and exact search beside other engines, one thread each, at equal recall.

    search_bench.py --data DIR --work DIR --bin build/release/bin [--rows 1000000] [--dims 1024]
                    [--rivals Flat,Hnsw,Svs] [--in-flight 64] [--rounds 5] [--results FILE]
    search_bench.py --smoke --bin build/release/bin     seconds, on made-up rows: shows that it runs

DIR of --data holds base.npy and queries.npy, 2-D float arrays of Matryoshka embeddings; the first --dims
dimensions are taken and normalised. Beyond the rows of base.npy, rows that join two random ones are made
(seeded; semi-synthetic, and the table says so). --work keeps rows and indexes for the next run; --build-only
ends when they are there. Every engine has a process of its own; one runs at a time, in interleaved rounds.
For each recall wanted, an engine's cheapest setting that reaches it is chosen with one half of the queries
and its recall and time are those of the other half. Needs numpy, and a rival's package from PyPI: faiss-cpu,
scalable-vs, hnswlib, usearch.
"""
import argparse
import datetime
import json
import multiprocessing
import os
import statistics
import tempfile
import time

from process import machine

TARGETS = (0.90, 0.95, 0.99)


def serve(pipe, kind, folder, program):
    """Runs in the process of an engine: builds and loads it, then answers run() and ids() calls."""
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    import engines
    try:
        engine = engines.OURS[kind](folder, program) if kind in engines.OURS else engines.RIVALS[kind](folder)
        start = time.monotonic()
        engine.build()
        built = time.monotonic() - start
        pipe.send((engine.settings, built))
        if pipe.recv() is None:
            return
        engine.start()
        pipe.send(resident_bytes())
        for name, *call in iter(pipe.recv, None):
            pipe.send(getattr(engine, name)(*call))
    except ImportError as error:
        pipe.send(error)


def resident_bytes():
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


class Engine:
    """An engine in its own process. `settings` is None where its package is not installed."""

    def __init__(self, kind, folder, program):
        context = multiprocessing.get_context("spawn")
        self.kind = kind
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, kind, folder, program), daemon=True)
        self.process.start()
        theirs.close()
        answer = self.pipe.recv()
        self.settings, self.build_s = (None, 0) if isinstance(answer, ImportError) else answer

    def start(self):
        self.pipe.send("start")
        self.bytes = self.pipe.recv()

    def run(self, *call):
        self.pipe.send(("run", *call))
        return self.pipe.recv()

    def ids(self, *call):
        self.pipe.send(("ids", *call))
        return self.pipe.recv()

    def end(self):
        if self.process.is_alive() and self.settings is not None:
            self.pipe.send(None)
        self.process.join()


def run(engine, settings, part, args):
    """Exact search, which takes long and always finds all, is asked for with few queries."""
    found = engine.run([one for one in settings if one != "exact"], part, args.in_flight, args.queries)
    if "exact" in settings:
        found |= engine.run(["exact"], part, args.in_flight, min(args.queries, max(args.in_flight, 30)))
    return found


def chosen(engine, args, sweep):
    """{target: the cheapest setting that reaches it on the choosing queries}; all go into `sweep`"""
    found = run(engine, engine.settings, "choose", args)
    sweep[engine.kind] = found
    best = {}
    for target in TARGETS:
        enough = [(millis, setting) for setting, (recall, millis) in found.items() if recall >= target]
        if enough:
            best[target] = min(enough, key=lambda one: one[0])[1]
    return best


def measure(engines, args, sweep):
    """{(engine, target): (setting, recall, [ms a round])}"""
    settings = {engine.kind: chosen(engine, args, sweep) for engine in engines}
    measured = {}
    for _ in range(args.rounds):
        for engine in engines:
            wanted = settings[engine.kind]
            found = run(engine, list(dict.fromkeys(wanted.values())), "report", args)
            for target, setting in wanted.items():
                recall, millis = found[setting]
                measured.setdefault((engine.kind, target), (setting, recall, []))[2].append(millis)
    return measured


def table(engines, measured, args, real):
    where = machine()
    at_a_time = "one query at a time" if args.in_flight == 1 else f"{args.in_flight} queries in flight"
    print(f"{args.rows} rows ({real} real, the rest joined) x {args.dims}, k = 10, {at_a_time}, one thread, "
          f"{args.rounds} rounds of {args.queries} queries, interleaved; {where['cpu']}; load {where['load'][0]:.2f}")
    for engine in engines:
        print(f"{engine.kind}: build {engine.build_s:.0f} s, {engine.bytes / args.rows:.0f} anonymous bytes a row")
    print("\n| recall wanted | engine | setting | recall@10 | ms a query: median (min - max) | queries/s | mrl is |")
    print("|---|---|---|---|---|---|---|")
    for target in TARGETS:
        rows = [(engine, *point) for (engine, at), point in measured.items() if at == target]
        ours = next((statistics.median(row[3]) for row in rows if row[0] == "mrl"), None)
        for engine, setting, recall, millis in sorted(rows, key=lambda row: statistics.median(row[3])):
            median = statistics.median(millis)
            ratio = "" if engine == "mrl" or ours is None else f"{median / ours:.1f}x faster"
            print(f"| {target:.2f} | {engine} | {setting} | {recall:.4f} | {median:.3f} ({min(millis):.3f} - "
                  f"{max(millis):.3f}) | {1e3 / median:.0f} | {ratio} |")


def sweep_table(sweep):
    print("\nEvery setting, once, on the choosing queries:\n\n| engine | setting | recall@10 | ms a query |")
    print("|---|---|---|---|")
    for engine, found in sweep.items():
        for setting, (recall, millis) in found.items():
            print(f"| {engine} | {setting} | {recall:.4f} | {millis:.3f} |")


def append_results(path, measured, args):
    with open(path, "a", encoding="utf-8") as file:
        for (engine, target), (setting, recall, millis) in measured.items():
            file.write(json.dumps({"date": datetime.date.today().isoformat(), "bench": "search", "rows": args.rows,
                                   "dims": args.dims, "in_flight": args.in_flight, "engine": engine,
                                   "target": target, "setting": str(setting), "recall": round(recall, 4),
                                   "millis": [round(one, 4) for one in millis]}) + "\n")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--work")
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, default=1024)
    parser.add_argument("--queries", type=int, default=500, help="in each of the two halves")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-flight", type=int, default=1)
    parser.add_argument("--rivals", default="Flat,Hnsw")
    parser.add_argument("--results", help="append JSON lines here")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.rows, args.dims, args.queries, args.rounds = 5000, 64, 20, 2
    elif not (args.data and args.work):
        parser.error("--data and --work are needed")
    return args


def main():
    args = parse()
    import rows
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.work or scratch
        real = rows.prepare(folder, args.data, args.rows, args.dims, args.queries)
        engines = []
        for kind in ["mrl"] + [one for one in args.rivals.split(",") if one]:
            engine = Engine(kind, folder, os.path.join(args.bin, "mrl-index"))
            if engine.settings is None:
                print(f"{kind}: its package is not installed")
            else:
                engines.append(engine)
        if not args.build_only:
            for engine in engines:
                engine.start()
            sweep = {}
            measured = measure(engines, args, sweep)
            table(engines, measured, args, real)
            sweep_table(sweep)
            if args.results:
                append_results(args.results, measured, args)
        for engine in engines:
            engine.end()


if __name__ == "__main__":
    main()

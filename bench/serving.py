#!/usr/bin/env python3
"""mrl-server over gRPC: latency at 0.2 to 1.2 of what it can take, and other databases on the same rows.

    serving.py --data DIR --work DIR --bin build/release/bin [--rows 1000000] [--dims 256] [--funnel F]
               [--databases QdrantEdge,Zvec,Pgvector,Chroma,LanceDb,MilvusLite,QdrantLocal] [--results FILE]
    serving.py --smoke --bin build/release/bin

Rows, queries and truth are those of search_bench.py (--work may be the same folder). First mrl-load finds the
knee (99 % answered, p99 within --knee-p99-ms) and runs at shares of it; then each database, and mrl through
its Python client over gRPC, is asked one query at a time: for each recall wanted the cheapest setting that
reaches it on one half of the queries, shown on the other. The databases run inside the asking process but for
pgvector, which like mrl is asked over a socket. Server and generator have a core each where there are two.
Needs grpcio and protobuf for mrl's client, and each database's package from PyPI: qdrant-edge-py, zvec,
pgserver with psycopg and pgvector, chromadb, lancedb, pymilvus with milvus-lite, qdrant-client.
"""
import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
import rows
from process import load, machine, served

SHARES = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.2)
TARGETS = (0.90, 0.95, 0.99)
HERE = os.path.dirname(os.path.abspath(__file__))


def split_cores():
    cores = sorted(os.sched_getaffinity(0))
    return ({cores[0]}, set(cores[1:])) if len(cores) > 1 else (None, None)


def recall_of(args, folder, funnel):
    """By mrl-index over the same index: what the load's answers are worth."""
    out = subprocess.run([f"{args.bin}/mrl-index", "eval", "--index", f"{folder}/mrl", "--queries",
                          f"{folder}/report.npy", "--truth", f"{folder}/truth_report.npy", "-k", "10", "--json",
                          "--limit", str(args.queries)] + (["--funnel", funnel] if funnel else []),
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[0])["recall"]


def under_load(args, folder):
    server_cpus, load_cpus = split_cores()
    command = [f"{args.bin}/mrl-server", "--index", f"x={folder}/mrl", "--grpc-port", 0, "--http-port", 0]
    with served(command, cpus=server_cpus) as (process, at):
        def run(*more):
            return load(f"{args.bin}/mrl-load", "--server", at["grpc"], "--collection", "x", "--queries",
                        f"{folder}/report.npy", "--pid", process.pid, "--timeout", 2,
                        *(["--funnel", args.funnel] if args.funnel else []), *more, cpus=load_cpus)
        knee = run("--rates", args.start, "--sweep", "--seconds", args.seconds / 4, "--knee-p99-ms",
                   args.knee_p99_ms)[-1]["knee_per_s"]
        lines = run("--rates", ",".join(f"{share * knee:.1f}" for share in SHARES), "--seconds", args.seconds)
    print(f"knee {knee:.0f} calls/s, recall@10 {recall_of(args, folder, args.funnel):.4f}, funnel "
          f"{args.funnel or 'of the built-in rule'}\n\n"
          "| of the knee | calls/s | answers/s | p50 ms | p99 ms | p99.9 ms | server CPU us a call | engine us | "
          "generator late p99 ms | refused |\n|---|---|---|---|---|---|---|---|---|---|")
    for share, line in zip(SHARES, lines):
        refused = sum(count for code, count in line["ended"].items() if code != "OK")
        print(f"| {share} | {line['rate']:.0f} | {line['answered_per_s']:.0f} | {line['p50_us'] / 1e3:.2f} | "
              f"{line['p99_us'] / 1e3:.2f} | {line['p999_us'] / 1e3:.2f} | {line['server_cpu_us_per_call']:.0f} | "
              f"{line['engine_us_per_search']:.0f} | {line['late_p99_us'] / 1e3:.2f} | {refused} |")
    return [{"bench": "serving", "share": share, **line} for share, line in zip(SHARES, lines)]


class MrlClient:
    """mrl-server asked by mrl's Python client; settings are funnels."""

    def __init__(self, args, folder, scratch):
        from engines import Mrl
        shutil.copytree(f"{HERE}/../client/python/mrl", f"{scratch}/mrl")
        sys.path.insert(0, f"{HERE}/../client/python")
        from generate import generate
        generate(__import__("pathlib").Path(f"{scratch}/mrl"))
        sys.path.insert(0, scratch)
        import mrl
        self.settings = [one for one in Mrl(folder, "").settings if one != "exact"]
        self.server = served([f"{args.bin}/mrl-server", "--index", f"x={folder}/mrl", "--grpc-port", 0,
                              "--http-port", 0])
        _, at = self.server.__enter__()
        self.client = mrl.Client(at["grpc"])

    def ask(self, setting):
        return lambda queries: [[int(hit.id) for hit in self.client.search("x", one, funnel=setting, k=rows.K).hits]
                                for one in queries]

    def end(self):
        self.client.close()
        self.server.__exit__(None, None, None)


def timed(engine, setting, queries, truth, base):
    """(recall, milliseconds of each query)"""
    ask = engine.ask(setting)
    ask(queries[:1])
    ids, millis = [], []
    for one in queries:
        start = time.perf_counter()
        found = list(ask(one[None])[0])
        millis.append((time.perf_counter() - start) * 1e3)
        ids.append(found + [-1] * (rows.K - len(found)))
    return rows.recall(base, queries, np.asarray(ids), truth), np.asarray(millis)


def compare(args, folder, scratch):
    from databases import DATABASES
    base = np.load(f"{folder}/base.npy", mmap_mode="r")
    choose, report = (tuple(part[:args.queries] for part in rows.load(folder, name)) for name in rows.SETS)
    results = []
    print("\n| engine | recall wanted | setting | recall@10 | queries/s | p50 ms | p99 ms |\n|---|---|---|---|---|---|---|")
    for name in ["mrl"] + [one for one in args.databases.split(",") if one]:
        try:
            if name == "mrl":
                engine = MrlClient(args, folder, scratch)
            else:
                engine = DATABASES[name](folder)
                engine.build()
                engine.start()
        except ImportError as error:
            print(f"| {name} | not installed: {error} | | | | | |")
            continue
        swept = [(setting, *timed(engine, setting, *choose, base)) for setting in engine.settings]
        for target in TARGETS:
            enough = [one for one in swept if one[1] >= target]
            if not enough:
                print(f"| {name} | {target} | none reaches it | {max(one[1] for one in swept):.4f} | | | |")
                continue
            setting = min(enough, key=lambda one: one[2].mean())[0]
            recall, millis = timed(engine, setting, *report, base)
            p50, p99 = np.percentile(millis, [50, 99])
            print(f"| {name} | {target} | {setting} | {recall:.4f} | {1e3 / millis.mean():.0f} | {p50:.2f} | {p99:.2f} |",
                  flush=True)
            results.append({"bench": "databases", "engine": name, "target": target, "setting": str(setting),
                            "recall": recall, "p50_ms": p50, "p99_ms": p99, "qps": 1e3 / millis.mean()})
        if name == "mrl":
            engine.end()
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--work")
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, default=256)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--funnel", default="")
    parser.add_argument("--databases", default="")
    parser.add_argument("--start", type=float, default=500, help="first rate of the sweep")
    parser.add_argument("--seconds", type=float, default=20, help="of each share")
    parser.add_argument("--knee-p99-ms", type=float, default=20)
    parser.add_argument("--results", help="append JSON lines here")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.rows, args.dims, args.queries, args.seconds = 5000, 64, 20, 2
    elif not (args.data and args.work):
        parser.error("--data and --work are needed")
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.work or f"{scratch}/rows"
        real = rows.prepare(folder, args.data, args.rows, args.dims, args.queries)
        from engines import Mrl
        Mrl(folder, f"{args.bin}/mrl-index").build()
        at = machine()
        print(f"{args.rows} rows ({real} real, the rest joined) x {args.dims}, k = 10; {at['cpu']}, {at['cores']} "
              f"cores, load {at['load'][0]}")
        results = under_load(args, folder) + compare(args, folder, scratch)
        if args.results:
            with open(args.results, "a", encoding="utf-8") as file:
                for one in results:
                    line = {"date": datetime.date.today().isoformat(), "rows": args.rows, "dims": args.dims, **at, **one}
                    file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()

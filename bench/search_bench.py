#!/usr/bin/env python3
"""Recall and speed of scans, funnels and exact search beside FAISS Flat and HNSW32, one thread, in one run.

    search_bench.py --data DIR --bin build/release/bin [--rows 1000000] [--dims 256] [--rounds 5]
    search_bench.py --smoke --bin build/release/bin     seconds, on made-up rows: shows that it runs

DIR holds base.npy and queries.npy, 2-D float arrays of Matryoshka embeddings; the first --dims dimensions
are taken and normalised. Beyond the rows of base.npy, rows that join two random ones are made (seeded;
semi-synthetic, and the table says so). Truth is FAISS Flat's. Rounds are interleaved A/B/A/B.
Needs numpy and, for the rivals, the PyPI package faiss-cpu.
"""
import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = os.environ.get("BENCH_BUILD_THREADS", "2")
import numpy as np  # noqa: E402  (threads are set first)

K = 10


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def load(args):
    if args.smoke:
        rng = np.random.default_rng(1)
        scale = 1 / np.sqrt(np.arange(1, args.dims + 1))
        centres = rng.standard_normal((200, args.dims)) * scale
        pick = rng.integers(0, 200, args.rows + args.queries)
        x = unit(centres[pick] + 0.7 * rng.standard_normal((len(pick), args.dims)) * scale)
        return x[:args.rows].astype(np.float16), x[args.rows:].astype(np.float32), args.rows
    base = np.load(f"{args.data}/base.npy", mmap_mode="r")
    real = min(len(base), args.rows)
    rows = np.empty((args.rows, args.dims), np.float16)
    rng = np.random.default_rng(7)
    for start in range(0, args.rows, 65536):
        stop = min(start + 65536, args.rows)
        part = [np.asarray(base[start:min(stop, real), :args.dims], np.float32)]
        made = stop - max(start, real)
        if made > 0:
            a, b = rng.integers(0, real, made), rng.integers(0, real, made)
            share = rng.uniform(0.25, 0.75, (made, 1)).astype(np.float32)
            part.append(share * base[np.sort(a), :args.dims] + (1 - share) * base[b, :args.dims])
        rows[start:stop] = unit(np.concatenate(part))
    queries = np.load(f"{args.data}/queries.npy")[:args.queries, :args.dims].astype(np.float32)
    return rows, unit(queries), real


class Mrl:
    def __init__(self, args, folder, rows, queries):
        self.program = f"{args.bin}/mrl-index"
        self.folder = folder
        np.save(f"{folder}/base.npy", rows)
        np.save(f"{folder}/queries.npy", queries)
        ladder = [d for d in (16, 32, 64, 128, 256, 512) if d < args.dims] + [args.dims]
        start = time.monotonic()
        subprocess.run([self.program, "build", "--input", f"{folder}/base.npy", "--output",
                        f"{folder}/index", "--dims", ",".join(map(str, ladder))], check=True,
                       stdout=subprocess.DEVNULL)
        self.build_s = time.monotonic() - start
        shortlists = ["16:200", "16:2000,64:400", "32:1000", "64:200", "64:1000", "64:4000,128:500",
                      "128:200", "128:1000"]
        self.funnels = [f"{shortlist},{args.dims}:10" for shortlist in shortlists
                        if int(shortlist.split(",")[-1].split(":")[0]) < args.dims]

    def run(self):
        command = [self.program, "eval", "--index", f"{self.folder}/index", "--queries",
                   f"{self.folder}/queries.npy", "--truth", f"{self.folder}/truth.npy", "-k", str(K),
                   "--exact", "--json"]
        for funnel in self.funnels:
            command += ["--funnel", funnel]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for line in out.splitlines():
            one = json.loads(line)
            yield "mrl " + one["funnel"], one["recall"], one["mean_ms"]


class Faiss:
    def __init__(self, rows, queries, smoke):
        import faiss
        self.faiss, self.queries = faiss, queries
        dims = rows.shape[1]
        self.flat = faiss.IndexFlatIP(dims)
        self.hnsw = faiss.IndexHNSWFlat(dims, 32, faiss.METRIC_INNER_PRODUCT)
        self.hnsw.hnsw.efConstruction = 100
        for start in range(0, len(rows), 65536):
            self.flat.add(rows[start:start + 65536].astype(np.float32))
        self.truth = np.concatenate([self.flat.search(queries[i:i + 64], K)[1]
                                     for i in range(0, len(queries), 64)]).astype(np.int64)
        start = time.monotonic()
        for begin in range(0, len(rows), 65536):
            self.hnsw.add(rows[begin:begin + 65536].astype(np.float32))
        self.build_s = time.monotonic() - start
        faiss.omp_set_num_threads(1)
        self.efs = [32] if smoke else [16, 32, 64, 128, 256, 512]

    def timed(self, name, search, queries):
        start = time.monotonic()
        ids = np.concatenate([search(queries[i:i + 1]) for i in range(len(queries))])
        millis = (time.monotonic() - start) * 1e3 / len(queries)
        hits = [len(set(a) & set(b)) / K for a, b in zip(ids, self.truth)]
        return name, float(np.mean(hits)), millis

    def run(self):
        yield self.timed("faiss Flat", lambda q: self.flat.search(q, K)[1], self.queries[:50])
        for ef in self.efs:
            params = self.faiss.SearchParametersHNSW(efSearch=ef)
            yield self.timed(f"faiss HNSW32 ef={ef}",
                             lambda q, p=params: self.hnsw.search(q, K, params=p)[1], self.queries)


def table(args, results, real, builds):
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                if line.startswith("model name")), platform.processor())
    print(f"{args.rows} rows ({real} real, the rest joined) x {args.dims}, k = {K}, one query at a time, "
          f"one thread, {args.queries} queries, {args.rounds} rounds interleaved; {cpu}; "
          f"load {os.getloadavg()[0]:.2f}")
    print("build: " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in builds.items()))
    print("\n| search | recall@10 | ms a query: median (min - max) | queries/s |\n|---|---|---|---|")
    for name, points in sorted(results.items(), key=lambda item: item[1][0][0]):
        millis = [one[1] for one in points]
        median = statistics.median(millis)
        print(f"| {name} | {points[0][0]:.4f} | {median:.3f} ({min(millis):.3f} - {max(millis):.3f}) | "
              f"{1e3 / median:.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, default=256)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", help="append JSON lines here")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.rows, args.dims, args.queries, args.rounds = 5000, 64, 20, 2
    elif not args.data:
        parser.error("--data is needed")
    rows, queries, real = load(args)
    with tempfile.TemporaryDirectory() as folder:
        mrl = Mrl(args, folder, rows, queries)
        builds = {"mrl": mrl.build_s}
        try:
            rival = Faiss(rows, queries, args.smoke)
            builds["faiss HNSW32"] = rival.build_s
            truth = rival.truth
        except ImportError:
            print("faiss-cpu is not installed: no rivals")
            rival = None
            scores = queries @ rows.astype(np.float32).T
            truth = np.argsort(-scores, axis=1, kind="stable")[:, :K].astype(np.int64)
        np.save(f"{folder}/truth.npy", truth)
        results = {}
        for _ in range(args.rounds):
            for side in filter(None, (mrl, rival)):
                for name, recall, millis in side.run():
                    results.setdefault(name, []).append((recall, millis))
        table(args, results, real, builds)
    if args.results:
        with open(args.results, "a", encoding="utf-8") as file:
            for name, points in results.items():
                file.write(json.dumps({"date": datetime.date.today().isoformat(), "search": name,
                                       "rows": args.rows, "dims": args.dims, "recall": points[0][0],
                                       "millis": [one[1] for one in points]}) + "\n")


if __name__ == "__main__":
    main()

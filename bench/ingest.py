#!/usr/bin/env python3
"""Rows a second into a live collection, beside RocksDB's own floor and other engines; and what searches
feel of it.

    ingest.py --bin build/release/bin --work DIR [--rows 100000] [--dims 256] [--rounds 3]
              [--rivals lancedb,chromadb] [--results FILE]
    ingest.py --smoke --bin build/release/bin     seconds: shows that it runs

Ways to write, in interleaved rounds: SYNC with batches of 1, 100 and 1,000, the stream (SYNC, batches of
1,000), ASYNC with batches of 1,000. The floor writes as many bytes in the same batches, with the same
syncs, to RocksDB alone. A rival's first searchable row is timed with its ingest: the clock stops when a
search finds the last row. Then one client searches while nothing is written, and while rows are written,
sealed and merged: p50 and p99. Rows are made up (seeded), unit vectors. The Python package `mrl` must be
importable; a rival is left out, and said to be, where its package from PyPI is not installed.
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time

import numpy as np

FEW = 50  # a way that syncs every row writes this share less of them


def vectors(rows, dims, seed=1):
    x = np.random.default_rng(seed).standard_normal((rows, dims)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@contextlib.contextmanager
def served(program, folder):
    process = subprocess.Popen([program, "--data-dir", folder, "--grpc-port", "0", "--http-port", "0"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        for line in process.stdout:
            if found := re.match(r"serving grpc=(\S+)", line):
                yield found[1]
                return
        raise SystemExit("mrl-server does not start")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def write_batches(client, name, x, batch, durable):
    for start in range(0, len(x), batch):
        client.upsert(name, range(start, min(start + batch, len(x))), x[start:start + batch], durable=durable)


def write_stream(address, name, x, batch):
    import grpc
    from mrl._proto.mrl.v1 import point_pb2, point_pb2_grpc
    from mrl.live import point_writes

    def requests():
        for start in range(0, len(x), batch):
            ids = range(start, min(start + batch, len(x)))
            yield point_pb2.WritePointsRequest(collection=name, upserts=point_writes(ids, x[start:start + batch]))

    with grpc.insecure_channel(address) as channel:
        for _ in point_pb2_grpc.PointServiceStub(channel).WritePoints(requests()):
            pass


WAYS = {"sync 1": (1, True), "sync 100": (100, True), "sync 1000": (1000, True), "stream 1000": (1000, True),
        "async 1000": (1000, False)}


def ours(way, x, bin_folder, work):
    import mrl
    batch, durable = WAYS[way]
    folder = pathlib.Path(tempfile.mkdtemp(dir=work))
    try:
        with served(bin_folder / "mrl-server", folder) as address, mrl.Client(address) as client:
            client.create_collection("c", x.shape[1])
            begin = time.perf_counter()
            if way.startswith("stream"):
                write_stream(address, "c", x, batch)
            else:
                write_batches(client, "c", x, batch, durable)
            found = client.search("c", x[-1], k=1).hits[0].id
            spent = time.perf_counter() - begin
            if found != len(x) - 1:
                raise SystemExit(f"the last row is not found: {found}")
            return len(x) / spent
    finally:
        shutil.rmtree(folder)


def floor(way, x, bin_folder, work):
    batch, durable = WAYS[way]
    folder = tempfile.mkdtemp(dir=work)
    try:
        command = [bin_folder / "mrl-ingest-floor", f"{folder}/db", len(x), x.shape[1] * 4 + 16, batch, int(durable)]
        return float(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout)
    finally:
        shutil.rmtree(folder)


def lancedb_rate(x, work):
    import lancedb
    import pyarrow
    table = lancedb.connect(tempfile.mkdtemp(dir=work)).create_table("c", schema=pyarrow.schema(
        [("id", pyarrow.int64()), ("vector", pyarrow.list_(pyarrow.float32(), x.shape[1]))]))
    begin = time.perf_counter()
    for start in range(0, len(x), 1000):
        part = x[start:start + 1000]
        table.add(pyarrow.table({
            "id": np.arange(start, start + len(part)),
            "vector": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(part.ravel()), x.shape[1])}))
    found = table.search(x[-1]).limit(1).to_list()[0]["id"]
    return len(x) / (time.perf_counter() - begin) if found == len(x) - 1 else None


def chromadb_rate(x, work):
    import chromadb
    made = chromadb.PersistentClient(tempfile.mkdtemp(dir=work)).create_collection("c")
    begin = time.perf_counter()
    for start in range(0, len(x), 1000):
        part = x[start:start + 1000]
        made.add(ids=[str(i) for i in range(start, start + len(part))], embeddings=part)
    found = made.query(query_embeddings=x[-1:], n_results=1)["ids"][0][0]
    return len(x) / (time.perf_counter() - begin) if found == str(len(x) - 1) else None


RIVALS = {"lancedb": lancedb_rate, "chromadb": chromadb_rate}


def latencies(client, queries, seconds):
    spent = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        client.search("c", queries[len(spent) % len(queries)], k=10, with_payload=False)
        spent.append((time.perf_counter() - begin) * 1e3)
    return float(np.percentile(spent, 50)), float(np.percentile(spent, 99))


def felt(x, bin_folder, work, seconds):
    """p50 and p99 in ms of searches: at rest, and while rows are written, sealed and merged."""
    import mrl
    folder = pathlib.Path(tempfile.mkdtemp(dir=work))
    try:
        with served(bin_folder / "mrl-server", folder) as address, mrl.Client(address) as client:
            client.create_collection("c", x.shape[1])
            write_batches(client, "c", x, 1000, durable=False)
            queries = vectors(100, x.shape[1], seed=2)
            rest = latencies(client, queries, seconds)
            stopping = threading.Event()

            def write():
                with mrl.Client(address) as writer:
                    while not stopping.is_set():
                        for start in range(0, len(x), 1000):
                            if stopping.is_set():
                                return
                            ids = range(start, min(start + 1000, len(x)))
                            writer.upsert("c", ids, x[start:start + 1000], durable=False)

            thread = threading.Thread(target=write)
            thread.start()
            busy = latencies(client, queries, seconds)
            stopping.set()
            thread.join()
            return rest, busy
    finally:
        shutil.rmtree(folder)


def row_line(kind, setting, rates, extra):
    return {"kind": kind, "setting": setting, "rows_per_s": round(statistics.median(rates), 1),
            "min": round(min(rates), 1), "max": round(max(rates), 1)} | extra


def measure(arguments, extra):
    x = vectors(arguments.rows, arguments.dims)
    rates = {}
    for _ in range(arguments.rounds):
        for way in WAYS:
            part = x[:max(100, len(x) // FEW)] if way == "sync 1" else x
            rates.setdefault(("floor", way), []).append(floor(way, part, arguments.bin, arguments.work))
            rates.setdefault(("mrl", way), []).append(ours(way, part, arguments.bin, arguments.work))
        for rival in arguments.rivals:
            try:
                rate = RIVALS[rival](x, arguments.work)
            except ImportError:
                print(f"{rival} is not installed and is left out")
                arguments.rivals = [one for one in arguments.rivals if one != rival]
                continue
            if rate is None:
                raise SystemExit(f"{rival} does not find the last row")
            rates.setdefault((rival, "batches of 1000"), []).append(rate)
    lines = [row_line(kind, setting, found, extra) for (kind, setting), found in rates.items()]
    rest, busy = felt(x, arguments.bin, arguments.work, arguments.seconds)
    for kind, (p50, p99) in (("search at rest", rest), ("search while writing", busy)):
        lines.append({"kind": kind, "p50_ms": round(p50, 3), "p99_ms": round(p99, 3)} | extra)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, help="folder on the disk that is measured")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rivals", type=lambda text: [one for one in text.split(",") if one], default=[])
    parser.add_argument("--results", type=pathlib.Path)
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.rows, arguments.dims, arguments.rounds, arguments.seconds = 2000, 16, 1, 1
    with tempfile.TemporaryDirectory(dir=arguments.work) as work:
        arguments.work = pathlib.Path(work)
        extra = {"rows": arguments.rows, "dims": arguments.dims, "date": str(datetime.date.today()),
                 "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
                 "load": round(os.getloadavg()[0], 2)}
        lines = measure(arguments, extra)
    for line in lines:
        print(json.dumps(line))
    if arguments.results:
        with open(arguments.results, "a", encoding="utf-8") as results:
            results.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()

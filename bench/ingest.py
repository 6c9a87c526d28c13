#!/usr/bin/env python3
"""Rows a second into a live collection, beside RocksDB's own floor and other engines; and what searches
feel of it.

    ingest.py --bin build/release/bin --work DIR [--rows 100000] [--dims 256] [--rounds 3]
              [--rivals lancedb,chromadb] [--results FILE]
    ingest.py --smoke --bin build/release/bin     seconds: shows that it runs

Ways to write, in interleaved rounds: SYNC with batches of 1, 100 and 1,000, the stream (SYNC, batches of
1,000), ASYNC with batches of 1,000. The floor writes as many bytes in the same batches, with the same
syncs, to RocksDB alone. A rival's first searchable row is timed with its ingest: the clock stops when a
search finds the last row. Then searches are due at --search-rate while nothing is written, while rows are
written at --write-rate and so sealed and merged (a segment has a twentieth of the rows), and while all
segments are merged again and again beside that: p50 and p99, and p99 against that at rest. Rows are made up (seeded), unit vectors. The Python package `mrl` must be
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
from process import load

FEW = 50  # a way that syncs every row writes this share less of them


def vectors(rows, dims, seed=1):
    x = np.random.default_rng(seed).standard_normal((rows, dims)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@contextlib.contextmanager
def served(program, folder, *flags):
    process = subprocess.Popen([program, "--data-dir", folder, "--grpc-port", "0", "--http-port", "0",
                                *map(str, flags)],
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


def write_stream(client, name, x, batch):
    starts = range(0, len(x), batch)
    for answer in client.write(name, ((range(i, min(i + batch, len(x))), x[i:i + batch], None) for i in starts)):
        if answer.failures:
            raise SystemExit(f"the stream did not store {answer.failures}")


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
                write_stream(client, "c", x, batch)
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
    made = chromadb.PersistentClient(tempfile.mkdtemp(dir=work)).create_collection("rows")
    begin = time.perf_counter()
    for start in range(0, len(x), 1000):
        part = x[start:start + 1000]
        made.add(ids=[str(i) for i in range(start, start + len(part))], embeddings=part)
    found = made.query(query_embeddings=x[-1:], n_results=1)["ids"][0][0]
    return len(x) / (time.perf_counter() - begin) if found == str(len(x) - 1) else None


RIVALS = {"lancedb": lancedb_rate, "chromadb": chromadb_rate}


def search_line(arguments, address, queries):
    """What one mrl-load says of searches that are due at a fixed rate."""
    return load(arguments.bin / "mrl-load", "--server", address, "--collection", "c", "--queries", queries,
                "--rates", arguments.search_rate, "--seconds", arguments.seconds, "--warmup", 1)[0]


@contextlib.contextmanager
def written(arguments, address, queries, rows):
    """Rows are written again, 100 a call and durable, by a process of their own, until it is left."""
    command = [arguments.bin / "mrl-load", "--server", address, "--collection", "c", "--queries", queries,
               "--rates", arguments.write_rate / 100, "--writes", 1, "--write-points", 100, "--write-ids", rows,
               "--seconds", 10 * arguments.seconds + 60, "--warmup", 0]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def compacted(address):
    """All segments are merged, again and again, until it is left."""
    import mrl
    stopping = threading.Event()

    def work():
        with mrl.Client(address) as client:
            while not stopping.is_set():
                client.delete("c", [int(time.time() * 1000) % 1000])  # or there is nothing to do
                client.wait_operation(client.compact_collection("c").name)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def felt(x, arguments):
    """Searches at rest; while rows are written, sealed and merged; and while all segments are merged too."""
    import mrl
    folder = pathlib.Path(tempfile.mkdtemp(dir=arguments.work))
    queries = folder / "queries.npy"
    try:
        with served(arguments.bin / "mrl-server", folder / "data", "--seal-rows",
                    max(1000, len(x) // 20)) as address, mrl.Client(address) as client:
            np.save(queries, vectors(1000, x.shape[1], seed=2))
            client.create_collection("c", x.shape[1])
            write_batches(client, "c", x, 1000, durable=False)
            client.wait_operation(client.compact_collection("c").name)
            found = {"search at rest": search_line(arguments, address, queries)}
            with written(arguments, address, queries, len(x)):
                found["search while writing"] = search_line(arguments, address, queries)
                with compacted(address):
                    found["search while writing and compacting"] = search_line(arguments, address, queries)
            return found
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
    found = felt(x, arguments)
    rest = found["search at rest"]["p99_us"]
    for kind, line in found.items():
        lines.append({"kind": kind, "p50_ms": round(line["p50_us"] / 1e3, 2), "p99_ms": round(line["p99_us"] / 1e3, 2),
                      "of_rest": round(line["p99_us"] / rest, 2), "searches_per_s": arguments.search_rate,
                      "rows_written_per_s": 0 if kind == "search at rest" else arguments.write_rate} | extra)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, help="folder on the disk that is measured")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--search-rate", type=float, default=50, help="calls a second")
    parser.add_argument("--write-rate", type=float, default=2000, help="rows a second")
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

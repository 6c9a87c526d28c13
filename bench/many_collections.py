#!/usr/bin/env python3
"""How soon a server with many small collections is ready, and what it takes.

    many_collections.py --bin build/release/bin --work DIR [--collections 1000] [--rows 100] [--dims 64]
                        [--results FILE]

Makes the collections through the API, stops the server and starts it again: seconds until it says that it
serves, resident bytes then and after a first call to every collection, and what such a call takes. The
Python package `mrl` must be importable.
"""
import argparse
import json
import pathlib
import tempfile
import time

import mrl
import numpy as np
from process import machine, memory_bytes, served


def measure(bin_folder, folder, collections, rows, dims):
    command = [bin_folder / "mrl-server", "--data-dir", folder, "--grpc-port", 0, "--http-port", 0]
    x = np.random.default_rng(1).standard_normal((rows, dims)).astype(np.float32)
    names = [f"c{i:05}" for i in range(collections)]
    with served(command) as (_, addresses), mrl.Client(addresses["grpc"]) as client:
        for name in names:
            client.create_collection(name, dims)
            client.upsert(name, range(rows), x, durable=False)
    begin = time.perf_counter()
    with served(command) as (process, addresses), mrl.Client(addresses["grpc"]) as client:
        ready_s = time.perf_counter() - begin
        idle_bytes = memory_bytes(process.pid, "VmRSS")
        if len(client.list_collections()) != collections:
            raise SystemExit("collections are missing")
        spent = []
        for name in names:
            begin = time.perf_counter()
            if client.search(name, x[0], k=1).hits[0].id != 0:
                raise SystemExit(f"{name} does not find its point")
            spent.append((time.perf_counter() - begin) * 1e3)
        used_bytes = memory_bytes(process.pid, "VmRSS")
    return {"kind": "many collections", "collections": collections, "rows": rows, "dims": dims,
            "ready_s": round(ready_s, 2), "ready_bytes": idle_bytes, "used_bytes": used_bytes,
            "first_call_p50_ms": round(float(np.percentile(spent, 50)), 2),
            "first_call_p99_ms": round(float(np.percentile(spent, 99)), 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, help="folder on the disk that is measured")
    parser.add_argument("--collections", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--dims", type=int, default=64)
    parser.add_argument("--results", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        line = measure(arguments.bin, folder, arguments.collections, arguments.rows, arguments.dims) | machine()
    print(json.dumps(line))
    if arguments.results:
        with open(arguments.results, "a", encoding="utf-8") as results:
            results.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()

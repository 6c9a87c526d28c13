#!/usr/bin/env python3
"""Rows a second of `mrl-index build`, and the share of its time that each step takes, beside what the disk
and memory allow.

    build_bench.py --bin build/release/bin --base FILE.npy --work DIR [--threads 1,2] [--rounds 5]
                   [--build-options "--coarse ivf_scan"] [--results FILE]
    build_bench.py --smoke --bin build/release/bin     seconds: shows that it runs

Each round reads the base file once (`read`), copies its bytes to another file in the work folder with an
fsync at the end (`copy`, which lets the disk begin at once, as a build does), and builds a collection from
it there with each number of threads, as many cores and a storage of f16. The base file is in the page cache
where it fits. A build writes more than a copy: codes and norms beside the rows. Steps that run beside others
add up to more than the whole. Medians over the rounds, with the least and the most.
"""
import argparse
import ctypes
import json
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import tempfile
import time

import numpy as np
from process import machine

PIECE = 16 << 20
START_WRITING = 2  # SYNC_FILE_RANGE_WRITE
STEPS = ("read", "check", "encode", "write", "finish", "index", "database")


def pieces(file):
    buffer = bytearray(PIECE)
    while count := file.readinto(buffer):
        yield memoryview(buffer)[:count]


def read_seconds(base):
    begin = time.perf_counter()
    with open(base, "rb", buffering=0) as file:
        for _ in pieces(file):
            pass
    return time.perf_counter() - begin


def copy_seconds(base, folder):
    libc = ctypes.CDLL(None)
    copy = folder / "copy"
    begin = time.perf_counter()
    with open(base, "rb", buffering=0) as file, open(copy, "wb", buffering=0) as out:
        for piece in pieces(file):
            out.write(piece)
            libc.sync_file_range(out.fileno(), ctypes.c_long(0), ctypes.c_long(0), START_WRITING)
        os.fsync(out.fileno())
    seconds = time.perf_counter() - begin
    copy.unlink()
    return seconds


def build(arguments, threads):
    """What the build says of itself, with the bytes that it wrote."""
    folder = arguments.work / "index"
    cores = set(sorted(os.sched_getaffinity(0))[:threads])
    command = [arguments.bin / "mrl-index", "build", "--input", arguments.base, "--output", folder, "--storage", "f16",
               "--coarse", "scan", "--threads", threads, "--json", *shlex.split(arguments.build_options)]
    ran = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True,
                         preexec_fn=lambda: os.sched_setaffinity(0, cores))
    written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder)
    return json.loads(ran.stdout) | {"bytes": written}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def measure(arguments, rows):
    seconds, builds = {"read": [], "copy": []}, {threads: [] for threads in arguments.threads}
    for _ in range(arguments.rounds):
        seconds["read"].append(read_seconds(arguments.base))
        seconds["copy"].append(copy_seconds(arguments.base, arguments.work))
        for threads, found in builds.items():
            found.append(build(arguments, threads))
    lines = [{"kind": kind, "rows_per_s": spread([rows / one for one in found]),
              "bytes": arguments.base.stat().st_size} for kind, found in seconds.items()]
    copied = statistics.median(seconds["copy"])
    for threads, found in builds.items():
        lines.append({"kind": "build", "threads": threads, "bytes": found[0]["bytes"],
                      "rows_per_s": spread([one["rows_per_s"] for one in found]),
                      "time_of_copy": statistics.median(one["seconds"] for one in found) / copied,
                      "share": {step: round(statistics.median(one["steps"][step]["share"] for one in found), 3)
                                for step in STEPS}})
    return lines


def print_table(lines):
    print("| what | threads | rows/s | time of a copy | GB | " + " | ".join(STEPS) + " |")
    print("|---" * (5 + len(STEPS)) + "|")
    for line in lines:
        rate = line["rows_per_s"]
        cells = [line["kind"], str(line.get("threads", 1)),
                 f"{rate['median']:,.0f} ({rate['min']:,.0f} – {rate['max']:,.0f})",
                 f"{line['time_of_copy']:.2f}" if "time_of_copy" in line else "", f"{line['bytes'] / 1e9:.2f}"]
        cells += [f"{100 * line['share'][step]:.0f} %" if "share" in line else "" for step in STEPS]
        print("| " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--base", type=pathlib.Path, help="rows as .npy of f16")
    parser.add_argument("--work", type=pathlib.Path, help="folder on the disk that is measured")
    parser.add_argument("--threads", type=lambda text: [int(one) for one in text.split(",")], default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--build-options", default="", help="more options of the build")
    parser.add_argument("--results", type=pathlib.Path)
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    if not arguments.smoke and arguments.base is None:
        parser.error("--base is needed")
    with tempfile.TemporaryDirectory(dir=arguments.work) as work:
        arguments.work = pathlib.Path(work)
        if arguments.smoke:
            arguments.rounds, arguments.base = 2, arguments.work / "base.npy"
            np.save(arguments.base, np.random.default_rng(1).standard_normal((5000, 64)).astype(np.float16))
        rows, dims = np.load(arguments.base, mmap_mode="r").shape
        extra = {"rows": rows, "dims": dims, "rounds": arguments.rounds, "machine": machine()}
        lines = [line | extra for line in measure(arguments, rows)]
    print_table(lines)
    if arguments.results:
        with open(arguments.results, "a", encoding="utf-8") as results:
            results.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()

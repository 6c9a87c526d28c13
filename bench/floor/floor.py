#!/usr/bin/env python3
"""Server CPU of a Search beside the cheapest Search that gRPC can serve (mrl-floor).

    floor.py --bin build/release/bin --index DIR --queries FILE [--funnel F] [--rate 300] [--rounds 5]
    floor.py ... --callgrind        instructions instead of time: the same on a loaded machine

Rounds go mrl-floor with an empty reply, with a reply of ten hits, with that and --touch-bytes read before it,
mrl-server, and again; medians are printed. `above` is the server's CPU less the floor's (empty reply) and less
what the engine took (SearchStats.engine_micros); the aim is 8 us. `above_in_handler` is the part of it between a call's arrival and its reply, by the clock;
`above_reading` holds the server against the floor that reads
memory, less its reading: an engine that goes through megabytes leaves gRPC and the kernel cold caches, whatever
the server around it does. With --callgrind (needs valgrind) each program answers two counts of calls under it, and
the difference counts; `engine` is what mrl::funnel::RunTile took with all that it calls.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from process import load, machine, served  # noqa: E402

CALLS = (150, 900)
SLOW_RATE = 15  # under valgrind: low enough that no call waits for another


def commands(args):
    floor = [f"{args.bin}/mrl-floor", "--hits"]
    server = [f"{args.bin}/mrl-server", "--index", f"x={args.index}", "--grpc-port", 0, "--http-port", 0,
              "--log-level", "error", "--warm-up-queries", 0]
    return {"floor": floor + [0], "floor, 10 hits": floor + [10],
            "floor, reading": floor + [10, "--touch-bytes", args.touch_bytes], "server": server}


def flags(args, address):
    funnel = ["--funnel", args.funnel] if args.funnel else []
    return ["--server", address, "--collection", "x", "--queries", args.queries, "--connections", 1,
            *funnel]


def check(name, line):
    if set(line["ended"]) != {"OK"}:
        raise SystemExit(f"{name}: {line['ended']}")


def timed(args):
    spent = {}
    for _ in range(args.rounds):
        for name, command in commands(args).items():
            with served(command) as (process, at):
                line = load(f"{args.bin}/mrl-load", *flags(args, at["grpc"]), "--rates", args.rate,
                            "--seconds", args.seconds, "--pid", process.pid)[0]
            check(name, line)
            spent.setdefault(name, []).append(
                [line[what] for what in ("server_cpu_us_per_call", "engine_us_per_search", "handler_us_per_search")])
    medians = {name: statistics.median(cpu for cpu, _, _ in rounds) for name, rounds in spent.items()}
    engine, handler = (statistics.median(one[i] for one in spent["server"]) for i in (1, 2))
    reading = statistics.median(engine for _, engine, _ in spent["floor, reading"])
    return {"unit": "us of CPU a call", **medians, "engine": engine, "handler": handler, "reading": reading,
            "above": medians["server"] - medians["floor"] - engine, "above_in_handler": handler - engine,
            "above_reading": medians["server"] - engine - (medians["floor, reading"] - reading), "rounds": spent}


def instructions(args, command, calls):
    """All instructions of a run with so many calls, and those below the engine's entry."""
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/out"
        with served(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *command]) as (_, at):
            check(command[0], load(f"{args.bin}/mrl-load", *flags(args, at["grpc"]), "--rates", SLOW_RATE, "--warmup",
                                   0.1, "--timeout", 60, "--seconds", calls / SLOW_RATE)[0])
        printed = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", out], check=True,
                                 capture_output=True, text=True).stdout
        if args.keep:
            os.replace(out, f"{args.keep}/{os.path.basename(str(command[0]))}.{calls}.callgrind")
    total = int(re.search(r"([\d,]+) \([\d.]+%\)\s+PROGRAM TOTALS", printed)[1].replace(",", ""))
    # A line for each file that code of the function comes from; those with => are its callers'.
    engine = [int(found.replace(",", "")) for found in
              re.findall(r"^\s*([\d,]+) \([^)]*\)\s+(?!=>)\S*mrl::funnel::RunTile\(", printed, re.MULTILINE)]
    return total, sum(engine)


def counted(args):
    found = {"unit": "instructions a call"}
    for name, command in commands(args).items():
        (few, few_engine), (many, many_engine) = (instructions(args, command, calls) for calls in CALLS)
        found[name] = (many - few) / (CALLS[1] - CALLS[0])
        if name == "server":
            found["engine"] = (many_engine - few_engine) / (CALLS[1] - CALLS[0])
    found["above"] = found["server"] - found["floor"] - found["engine"]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--index", required=True)
    parser.add_argument("--queries", required=True)
    parser.add_argument("--funnel", default="")
    parser.add_argument("--touch-bytes", type=int, default=3_000_000,
                        help="that the reading floor reads: what the funnel of the server touches")
    parser.add_argument("--rate", type=float, default=300)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callgrind", action="store_true")
    parser.add_argument("--keep", help="folder for callgrind's files")
    args = parser.parse_args()
    found = counted(args) if args.callgrind else timed(args)
    print(json.dumps({**found, "machine": machine()}))


if __name__ == "__main__":
    main()

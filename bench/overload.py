#!/usr/bin/env python3
"""A server with twice and with ten times the load that it can take: what it answers, refuses and holds.

    overload.py --bin build/release/bin --index DIR --queries FILE [--seconds 20] [--check]

1. mrl-load finds the knee of the funnel; then the rate rises by half until no more is answered: the peak (tiles fill
beyond the knee); 2. twice that peak; 3. half of the knee: recovery. 4. to 6. the same with an engine slowed by exact
search (choose INDEX so that it does about 200 a second, say 55,000 rows x 1024 on a core) and ten times its peak. For
each: goodput as a share of the peak, p99 of what was answered, p99 of refusals, codes, the most memory the server held.
The server and the generator have a core each where there are two. --check ends with 1 where goodput is below 90 % of
the peak, a code is not RESOURCE_EXHAUSTED, memory grew by more than --grpc-memory-bytes, which the server is given, or
p99 does not come back to twice of what it was.
"""
import argparse
import datetime
import json
import os

from process import load, machine, memory_bytes, served


class Overload:
    def __init__(self, args):
        cores = sorted(os.sched_getaffinity(0))
        self.args = args
        self.server_cpus, self.load_cpus = ({cores[0]}, set(cores[1:])) if len(cores) > 1 else (None, None)
        self.failed = []
        self.lines = []

    def run(self, at, funnel, *more, seconds=None):
        return load(f"{self.args.bin}/mrl-load", "--server", at["grpc"], "--collection", "x", "--queries",
                    self.args.queries, "--funnel", funnel, "--timeout", self.args.timeout, "--seconds",
                    seconds or self.args.seconds, *more, cpus=self.load_cpus)

    def knee(self, at, funnel, start):
        lines = self.run(at, funnel, "--rates", start, "--sweep", "--knee-p99-ms", self.args.knee_p99_ms,
                         seconds=max(0.25, self.args.seconds / 4))
        calm = [one for one in lines[:-1] if one["p99_us"] <= self.args.knee_p99_ms * 1000]
        knee, peak, answered = lines[-1]["knee_per_s"], 0, lines[-1]["peak_answered_per_s"]
        while answered >= 1.05 * peak:
            peak = answered
            answered = self.run(at, funnel, "--rates", 1.5 * peak)[0]["answered_per_s"]
        return knee, max(peak, answered), min(one["p99_us"] for one in calm)

    def show(self, name, line, peak, process):
        shown = {"run": name, "offered_per_s": line["rate"], "answered_per_s": line["answered_per_s"],
                 "goodput_of_peak": line["answered_per_s"] / peak, "p50_us": line["p50_us"], "p99_us": line["p99_us"],
                 "refused_p99_us": line["refused_p99_us"], "ended": line["ended"], "late_p99_us": line["late_p99_us"],
                 "server_bytes_max": memory_bytes(process.pid, "VmHWM")}
        self.lines.append(shown)
        print(json.dumps(shown), flush=True)
        return shown

    def check(self, good, what):
        if not good:
            self.failed.append(what)

    def phase(self, name, funnel, factor, start):
        command = [f"{self.args.bin}/mrl-server", "--index", f"x={self.args.index}", "--grpc-port", 0, "--http-port", 0,
                   "--grpc-memory-bytes", self.args.grpc_memory_bytes]
        with served(command, cpus=self.server_cpus) as (process, at):
            before = memory_bytes(process.pid, "VmRSS")
            knee, peak, calm_us = self.knee(at, funnel, start)
            print(json.dumps({"run": f"{name}: knee", "knee_per_s": knee, "peak_per_s": peak}), flush=True)
            (line,) = self.run(at, funnel, "--rates", factor * peak)
            shown = self.show(f"{name}: {factor} x peak", line, peak, process)
            self.check(shown["goodput_of_peak"] >= 0.9, f"{name}: goodput {shown['goodput_of_peak']:.2f} of peak")
            self.check(set(line["ended"]) <= {"OK", "RESOURCE_EXHAUSTED"}, f"{name}: codes {line['ended']}")
            grown = shown["server_bytes_max"] - before
            self.check(grown <= self.args.grpc_memory_bytes, f"{name}: memory grew by {grown} bytes")
            (line,) = self.run(at, funnel, "--rates", 0.5 * knee)
            self.show(f"{name}: 0.5 x knee after it", line, peak, process)
            self.check(set(line["ended"]) == {"OK"}, f"{name}: codes after it {line['ended']}")
            self.check(line["p99_us"] <= max(2 * calm_us, 1000 * self.args.knee_p99_ms), f"{name}: no recovery")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--index", required=True)
    parser.add_argument("--queries", required=True)
    parser.add_argument("--funnel", default="", help="of the first part (default: the server's rule)")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--timeout", type=float, default=1)
    parser.add_argument("--knee-p99-ms", type=float, default=100)
    parser.add_argument("--grpc-memory-bytes", type=int, default=1 << 28, help="the server's, for calls on their way")
    parser.add_argument("--results", help="append JSON lines here")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    at = machine()
    print(json.dumps({"machine": at}), flush=True)
    overload = Overload(args)
    overload.phase("funnel", args.funnel, 2, 1000)
    overload.phase("slow engine", "exact", 10, 100)
    if args.results:
        with open(args.results, "a", encoding="utf-8") as file:
            for one in overload.lines:
                file.write(json.dumps({"bench": "overload", "date": datetime.date.today().isoformat(), **at, **one}) + "\n")
    for one in overload.failed:
        print(f"FAILED {one}")
    return 1 if args.check and overload.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

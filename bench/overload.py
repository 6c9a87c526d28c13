#!/usr/bin/env python3
"""A server with twice and with ten times the load that it can take: what it answers, refuses and holds.

    overload.py --bin build/release/bin --index DIR --queries FILE [--seconds 20] [--check]

1. mrl-load finds the knee of the funnel and the peak of answers, at the knee or beyond it; 2. twice that peak;
3. half of the knee: recovery. 4. An engine slowed by exact search (choose INDEX so that it does about 200 a second,
say 100,000 rows x 512 on a core); ten times its peak; 5. half of its knee. For each: goodput as a share of the peak, p99 of
what was answered, p99 of refusals, codes, the server's resident memory. The server and the generator have a core
each where there are two. --check ends with 1 where goodput is below 90 % of the peak, a code is not
RESOURCE_EXHAUSTED, or p99 does not come back to twice of what it was.
"""
import argparse
import json
import os

from process import load, machine, resident_bytes, served


class Overload:
    def __init__(self, args):
        cores = sorted(os.sched_getaffinity(0))
        self.args = args
        self.server_cpus, self.load_cpus = ({cores[0]}, set(cores[1:])) if len(cores) > 1 else (None, None)
        self.failed = []

    def run(self, at, funnel, *more, seconds=None):
        return load(f"{self.args.bin}/mrl-load", "--server", at["grpc"], "--collection", "x", "--queries",
                    self.args.queries, "--funnel", funnel, "--timeout", self.args.timeout, "--seconds",
                    seconds or self.args.seconds, *more, cpus=self.load_cpus)

    def knee(self, at, funnel, start):
        lines = self.run(at, funnel, "--rates", start, "--sweep", "--knee-p99-ms", self.args.knee_p99_ms,
                         seconds=max(3, self.args.seconds / 4))
        calm = [one for one in lines[:-1] if one["p99_us"] <= self.args.knee_p99_ms * 1000]
        knee, peak = lines[-1]["knee_per_s"], lines[-1]["peak_answered_per_s"]
        # Tiles fill beyond the knee: what is answered with half as much again may be more.
        beyond = self.run(at, funnel, "--rates", 1.5 * max(knee, peak))[0]["answered_per_s"]
        return knee, max(peak, beyond), min(one["p99_us"] for one in calm)

    def show(self, name, line, peak, memory):
        shown = {"run": name, "offered_per_s": line["rate"], "answered_per_s": line["answered_per_s"],
                 "goodput_of_peak": line["answered_per_s"] / peak, "p50_us": line["p50_us"], "p99_us": line["p99_us"],
                 "refused_p99_us": line["refused_p99_us"], "ended": line["ended"], "late_p99_us": line["late_p99_us"],
                 "server_bytes": memory}
        print(json.dumps(shown), flush=True)
        return shown

    def check(self, good, what):
        if not good:
            self.failed.append(what)

    def phase(self, name, funnel, factor, start):
        command = [f"{self.args.bin}/mrl-server", "--index", f"x={self.args.index}", "--grpc-port", 0, "--http-port", 0]
        with served(command, cpus=self.server_cpus) as (process, at):
            knee, peak, calm_us = self.knee(at, funnel, start)
            print(json.dumps({"run": f"{name}: knee", "knee_per_s": knee, "peak_per_s": peak}), flush=True)
            (line,) = self.run(at, funnel, "--rates", factor * peak)
            shown = self.show(f"{name}: {factor} x peak", line, peak, resident_bytes(process.pid))
            self.check(shown["goodput_of_peak"] >= 0.9, f"{name}: goodput {shown['goodput_of_peak']:.2f} of peak")
            self.check(set(line["ended"]) <= {"OK", "RESOURCE_EXHAUSTED"}, f"{name}: codes {line['ended']}")
            (line,) = self.run(at, funnel, "--rates", 0.5 * knee)
            self.show(f"{name}: 0.5 x knee after it", line, peak, resident_bytes(process.pid))
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
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    print(json.dumps({"machine": machine()}), flush=True)
    overload = Overload(args)
    overload.phase("funnel", args.funnel, 2, 1000)
    overload.phase("slow engine", "exact", 10, 100)
    for one in overload.failed:
        print(f"FAILED {one}")
    return 1 if args.check and overload.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

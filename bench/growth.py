#!/usr/bin/env python3
"""How the cost of a query grows with the rows, per coarse kind, at the same recall.

    growth.py --data DIR --work WORK --bin build/release/bin [--rows 18188,36376,72752,145505,291010] [--dims 1024]
              [--kinds scan,ivf_scan,graph] [--target 0.95] [--queries 500] [--rounds 3]
    growth.py --smoke --bin build/release/bin

The rows are the first so many of the same base, so that each set holds the one before. Of each kind the cheapest of
its settings counts that reaches the target on one half of the queries; its time and recall are those of the other
half, one query at a time on one thread, the median of the rounds. The exponent is the slope of log time over log rows
by least squares; memory is what `mrl-index inspect` says beside the vectors themselves.
"""
import argparse
import json
import statistics
import tempfile

import numpy as np
import rows
from engines import WALKS, Mrl
from process import machine

SCANS = [f"{scan}{rest}" for scan in ("128b1:250", "128b1:500", "128b1:1000", "128b1:2000", "128b1:4000", "128b1:8000",
                                      "256b1:250", "256b1:500", "256b1:1000", "256b1:2000")
         for rest in ("", ",512b1:60", ",512b1:100", ",512b1:200")]
PROBES = (4, 8, 16, 32, 64, 128, 256)


class Grown(Mrl):
    def settings_of(self, kind):
        end = f",{self.dims}:{rows.K}"
        scans = [one for one in SCANS if self.dims >= 1024 or "512b1" not in one]
        if kind == "scan":
            return [f"scan/{one}{end}" for one in scans]
        if kind == "ivf_scan":
            return [f"ivf_scan(nprobe={probes})/{one}{end}" for probes in PROBES for one in scans
                    if one.startswith("256b1:") and probes <= len(np.load(f"{self.folder}/base.npy", mmap_mode="r")) // 256]
        signs = min(self.dims, 512)
        return [f"graph(efSearch={ef})/{signs}b1:{keep}{end}" for ef, keep in WALKS]

    def prepare(self, kinds):
        self.make()
        for kind in kinds:
            if kind != "scan":
                self.add_kind(kind)

    def hot_bytes_per_row(self):
        told = json.loads(self.ask("inspect", "--index", self.index, "--json"))
        return told["hot_bytes"] / told["rows"]


def measured(engine, kind, args):
    """(setting, recall, ms), or nothing where no setting reaches the target."""
    settings = engine.settings_of(kind)
    found = engine.run(settings, "choose", 1, args.queries)
    enough = [one for one, (recall, _) in found.items() if recall >= args.target]
    if not enough:
        return None
    best = min(enough, key=lambda one: found[one][1])
    runs = [engine.run([best], "report", 1, args.queries)[best] for _ in range(args.rounds)]
    return best, runs[0][0], statistics.median(millis for _, millis in runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--work")
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--rows", default="18188,36376,72752,145505,291010")
    parser.add_argument("--dims", type=int, default=1024)
    parser.add_argument("--kinds", default="scan,ivf_scan,graph")
    parser.add_argument("--target", type=float, default=0.95)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.rows, args.dims, args.queries, args.rounds, args.target = "2000,4000", 256, 20, 1, 0.5
    elif not (args.data and args.work):
        parser.error("--data and --work are needed")
    counts, kinds, at = [int(one) for one in args.rows.split(",")], args.kinds.split(","), machine()
    print(f"recall@{rows.K} {args.target}, {args.dims} dims, one query at a time, one thread; {at['cpu']}, load "
          f"{at['load'][0]}\n\n| rows | kind | setting | recall@10 | ms a query | bytes a row beside the vectors |\n"
          "|---|---|---|---|---|---|")
    times = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as scratch:
        for count in counts:
            folder = f"{args.work or scratch}/{count}x{args.dims}"
            rows.prepare(folder, args.data, count, args.dims, args.queries)
            engine = Grown(folder, f"{args.bin}/mrl-index")
            engine.prepare(kinds)
            for kind in kinds:
                best = measured(engine, kind, args)
                if best is None:
                    print(f"| {count:,} | {kind} | none reaches it | | | |", flush=True)
                    continue
                times[kind].append((count, best[2]))
                print(f"| {count:,} | {kind} | {best[0]} | {best[1]:.4f} | {best[2]:.3f} | "
                      f"{engine.hot_bytes_per_row():.0f} (all kinds) |", flush=True)
    for kind, points in times.items():
        if len(points) > 1:
            x, y = np.log(np.asarray(points)).T
            print(f"\n{kind}: time grows as rows^{np.polyfit(x, y, 1)[0]:.2f}")


if __name__ == "__main__":
    main()

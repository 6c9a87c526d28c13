#!/usr/bin/env python3
"""Does the tuner keep its word on queries that it has not seen?

    tuner_proof.py --bin DIR --work DIR NAME=BASE.npy,QUERIES.npy[,BUILD-FLAG…] … [--grid]

For each data set and each target `mrl-index tune` chooses a funnel on one half of the queries by the
lower end of a 95 % interval, and reports it on the other half. A cell is under when the held-out
recall is below the target by more than two standard errors; with two sides of 95 % about one cell in
forty may be. With --grid the choice is also held against a brute-force grid under the same rule
(tuner_grid.py), which takes long and wants a quiet machine.
"""
import argparse
import json
import pathlib
import subprocess
import sys

TARGETS = (0.90, 0.95, 0.99)


def run(*command):
    ran = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{ran.stderr}")
    return ran.stdout


def built(args, name, base, flags):
    index = args.work / name
    if not index.exists():
        run(args.bin / "mrl-index", "build", "--input", base, *flags, "--output", index)
    return index


def cell(args, index, queries, target):
    out = run(args.bin / "mrl-index", "tune", "--index", index, "--queries", queries,
              "--target-recall", target, "--json", "--limit", args.limit)  # fmt: skip
    tuned = json.loads(out.splitlines()[-1])
    low, high = tuned["interval"]
    error = (high - low) / 2 / 1.96
    return tuned, error, tuned["recall"] < target - 2 * error


def grid(args, index, queries, target):
    here = pathlib.Path(__file__).parent
    return run(sys.executable, here / "tuner_grid.py", "--bin", args.bin, "--index", index,
               "--queries", queries, "--targets", target).strip().splitlines()[-1]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", nargs="+", metavar="NAME=BASE,QUERIES[,FLAG…]")
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--limit", type=int, default=1000, help="queries of each set")
    parser.add_argument("--grid", action="store_true")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    under = unreached = cells = 0
    print("| data | target | funnel | tuning low | held-out recall | 95 % | under by 2 SE |")
    print("|---|---|---|---|---|---|---|")
    for given in args.sets:
        name, _, rest = given.partition("=")
        base, queries, *flags = rest.split(",")
        index = built(args, name, base, [f.replace(";", ",") for f in flags])
        for target in TARGETS:
            tuned, error, is_under = cell(args, index, queries, target)
            cells += 1
            under += is_under
            unreached += not tuned["reached"]
            low, high = tuned["interval"]
            print(f"| {name} | {target:.2f} | {tuned['funnel']} | "
                  f"{tuned['tuning']['interval'][0]:.4f} | {tuned['recall']:.4f} | "
                  f"{low:.4f} – {high:.4f} | {'yes' if is_under else 'no'} |", flush=True)  # fmt: skip
            if args.grid:
                print(grid(args, index, queries, target), file=sys.stderr)
    print(f"\n{under} of {cells} cells are under; {unreached} did not reach their target when tuned")
    sys.exit(under > 1)


if __name__ == "__main__":
    main()

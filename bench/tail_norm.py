#!/usr/bin/env python3
"""How much of a funnel's last stage a Cauchy-Schwarz bound on the tail could leave unread.

    tail_norm.py NAME=BASE.npy,QUERIES.npy … [--keep 100,300] [--queries 300] [--rows 300000]
    tail_norm.py --smoke

The last stage scores `keep` rows at full dimension. A row whose score over the first s dimensions plus
|tail of the query| x |tail of the row| is below the k-th best full score cannot be in the result, and its other
dims - s values need not be read. The candidates are those of the best possible stage before, exact search of half
the dimensions; the k-th best score is taken as known from the start, and for each row the best ladder step s is
taken as known too, so that no engine can leave out more than what is printed. k = 10, cosine, steps 16, 32, …
"""
import argparse

import numpy as np
import rows


def steps(dims):
    found = [16]
    while found[-1] * 2 < dims:
        found.append(found[-1] * 2)
    return found


def candidates(base, queries, dims, keep):
    """Rows of the best `keep` by exact search of a normalised prefix."""
    best = np.full((len(queries), 0), 0, np.float32)
    ids = np.zeros((len(queries), 0), np.int64)
    asked = rows.unit(queries[:, :dims])
    for start in range(0, len(base), rows.BLOCK):
        part = rows.unit(np.asarray(base[start:start + rows.BLOCK, :dims], np.float32))
        scores = np.concatenate([best, asked @ part.T], axis=1)
        found = np.concatenate([ids, np.broadcast_to(np.arange(start, start + len(part)), (len(queries), len(part)))], 1)
        top = np.argpartition(-scores, min(keep, scores.shape[1] - 1), axis=1)[:, :keep]
        best, ids = np.take_along_axis(scores, top, 1), np.take_along_axis(found, top, 1)
    return ids


def unread(query, found):
    """Share of the candidates' values that the bound leaves unread, for the best step of each row."""
    scores = found @ query
    limit = np.partition(scores, -rows.K)[-rows.K]
    least = np.ones(len(found))
    for step in steps(len(query)):
        tails = np.linalg.norm(found[:, step:], axis=1) * np.linalg.norm(query[step:])
        out = found[:, :step] @ query[:step] + tails < limit
        least[out] = np.minimum(least[out], step / len(query))
    return 1 - least.mean()


def shares(base, queries, keeps):
    """{keep: share unread, the mean of all queries}"""
    dims = base.shape[1]
    ids = candidates(base, queries, dims // 2, max(keeps))
    half = rows.unit(queries[:, :dims // 2])
    sums = dict.fromkeys(keeps, 0.0)
    for query, prefix, mine in zip(queries, half, ids):
        found = rows.unit(np.asarray(base[np.sort(mine)], np.float32))
        order = np.argsort(-(rows.unit(found[:, :dims // 2]) @ prefix))
        for keep in keeps:
            sums[keep] += unread(query, found[order[:keep]])
    return {keep: value / len(queries) for keep, value in sums.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="NAME=BASE,QUERIES")
    parser.add_argument("--keep", default="100,300")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--rows", type=int, default=300_000, help="of each base at most")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    keeps = [int(one) for one in args.keep.split(",")]
    print("| data | rows | dims | " + " | ".join(f"unread of {keep} candidates" for keep in keeps) + " |")
    print("|---" * (3 + len(keeps)) + "|")
    loaded = [("made up", *rows.made_up(5000, 128, 10))] if args.smoke else []
    for one in args.sets:
        name, files = one.split("=", 1)
        loaded.append((name, *(np.load(path, mmap_mode="r") for path in files.split(","))))
    for name, base, queries in loaded:
        base = base[:args.rows]
        asked = rows.unit(np.asarray(queries[:args.queries], np.float32))
        found = shares(base, asked, keeps)
        print(f"| {name} | {len(base)} | {base.shape[1]} | " + " | ".join(f"{found[keep]:.1%}" for keep in keeps) + " |",
              flush=True)


if __name__ == "__main__":
    main()

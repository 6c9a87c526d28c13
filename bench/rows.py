"""The rows, queries and truth that a search benchmark is run on, kept in a folder.

base.npy     rows x dims, f16, unit vectors
choose.npy   queries that pick the settings;  report.npy: other queries, whose figures are printed (f32)
truth_choose.npy, truth_report.npy: rows of the exact top K of each query, by numpy in f32
"""
import os

import numpy as np

K = 10
BLOCK = 65536
SETS = ("choose", "report")


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def made_up(rows, dims, queries):
    """Clusters whose dimensions shrink as 1/sqrt(i): for a run that shows that the program works."""
    rng = np.random.default_rng(1)
    scale = 1 / np.sqrt(np.arange(1, dims + 1))
    centres = rng.standard_normal((200, dims)) * scale
    pick = rng.integers(0, 200, rows + queries)
    x = unit(centres[pick] + 0.7 * rng.standard_normal((len(pick), dims)) * scale)
    return x[:rows].astype(np.float16), x[rows:].astype(np.float32)


def write_base(path, real, rows, dims):
    """The first rows are real ones; the rest join two of them at a random share (seeded)."""
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, dims))
    rng = np.random.default_rng(7)
    count = min(len(real), rows)
    for start in range(0, rows, BLOCK):
        stop = min(start + BLOCK, rows)
        parts = [np.asarray(real[start:min(stop, count), :dims], np.float32)]
        made = stop - max(start, count)
        if made > 0:
            a, b = np.sort(rng.integers(0, count, made)), rng.integers(0, count, made)
            share = rng.uniform(0.25, 0.75, (made, 1)).astype(np.float32)
            parts.append(share * unit(np.asarray(real[a, :dims], np.float32)) +
                         (1 - share) * unit(np.asarray(real[b, :dims], np.float32)))
        out[start:stop] = unit(np.concatenate(parts))
    out.flush()


def exact(base, queries):
    best = np.full((len(queries), K), -np.inf, np.float32)
    ids = np.zeros((len(queries), K), np.int64)
    for start in range(0, len(base), BLOCK):
        scores = queries @ unit(np.asarray(base[start:start + BLOCK], np.float32)).T
        top = np.argpartition(-scores, K - 1, axis=1)[:, :K]
        best_and_new = np.concatenate([best, np.take_along_axis(scores, top, 1)], 1)
        order = np.argsort(-best_and_new, axis=1, kind="stable")[:, :K]
        best = np.take_along_axis(best_and_new, order, 1)
        ids = np.take_along_axis(np.concatenate([ids, top + start], 1), order, 1)
    return ids


def prepare(folder, data, rows, dims, queries):
    """Makes what the folder lacks. `data` None: rows are made up. Returns how many rows are real."""
    os.makedirs(folder, exist_ok=True)
    real = np.load(f"{data}/base.npy", mmap_mode="r") if data else None
    if not os.path.exists(f"{folder}/truth_{SETS[-1]}.npy"):
        if real is None:
            base, asked = made_up(rows, dims, 2 * queries)
            np.save(f"{folder}/base.npy", base)
        else:
            write_base(f"{folder}/base.npy", real, rows, dims)
            asked = unit(np.load(f"{data}/queries.npy")[:, :dims].astype(np.float32))
            asked = asked[np.random.default_rng(3).permutation(len(asked))[:2 * queries]]
        base = np.load(f"{folder}/base.npy", mmap_mode="r")
        for i, name in enumerate(SETS):
            part = np.ascontiguousarray(asked[i::len(SETS)])
            np.save(f"{folder}/{name}.npy", part)
            np.save(f"{folder}/truth_{name}.npy", exact(base, part))
    shape = np.load(f"{folder}/base.npy", mmap_mode="r").shape
    if shape != (rows, dims):
        raise SystemExit(f"{folder} holds {shape[0]} x {shape[1]} rows, not {rows} x {dims}")
    return min(len(real), rows) if real is not None else 0


def load(folder, part):
    """(queries, truth)"""
    return np.load(f"{folder}/{part}.npy"), np.load(f"{folder}/truth_{part}.npy")


def recall(base, queries, ids, truth):
    """Share of the true K found; a row whose score ties with the last true one (to 1e-6) is as good."""
    found = 0
    for query, got, true in zip(queries, ids, truth):
        got = np.unique(got[got >= 0])
        scores = unit(np.asarray(base[got], np.float32)) @ query
        last = np.min(unit(np.asarray(base[true], np.float32)) @ query)
        found += min(K, int(np.count_nonzero(scores >= last - 1e-6)))
    return found / (K * len(queries))

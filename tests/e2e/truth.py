"""Brute force in float64, sharing nothing with the engine."""

import json

import numpy as np


BLOCK_ROWS = 16384  # Keeps the float64 copy of a large set small.


def unit(rows):
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def top(points, queries, dims, k):
    """Rows of the k nearest by cosine of `dims`-long prefixes, nearest first."""
    directions = unit(queries[:, :dims])
    distances = np.empty((len(queries), len(points)))
    for start in range(0, len(points), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        distances[:, block] = -(directions @ unit(points[block, :dims]).T)
    best = np.argpartition(distances, k, axis=1)[:, :k]
    order = np.argsort(np.take_along_axis(distances, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1)


def example(folder):
    """Points, queries and ids of the example, as float64."""
    points = np.load(folder / "embeddings.npy").astype(np.float64)
    queries = np.load(folder / "queries.npy").astype(np.float64)
    ids = [json.loads(line)["id"] for line in (folder / "points.jsonl").open()]
    return points, queries, ids

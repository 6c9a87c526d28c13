"""Made-up rows with classes, shaped like a Matryoshka model of 2048 dimensions of which 16 suffice.

A class is a point of a hidden space of HIDDEN dimensions, a row its class and a normal error there, so that classes
overlap and no search is always right. The first HIDDEN dimensions of a vector hold the hidden ones by themselves;
every further one is a random mixture of all, with noise of its own, and all shrink with their number, so that any
prefix sees the same neighbours, a longer one more clearly. Synthetic: it says what search costs at that size and
what a short prefix loses where it loses little, and nothing of how good a model's prefixes are.

Kept in a folder as rows.py does, with labels.npy, labels_choose.npy and labels_report.npy.
"""
import os

import numpy as np
import rows

HIDDEN = 16
CLASSES = 1000
SPREAD = 0.62  # of rows about their class; classes lie 1 apart per dimension
NOISE = 0.25  # of each mixed dimension
PART = 16384


class Maker:
    def __init__(self, dims, seed=11):
        rng = np.random.default_rng(seed)
        self.dims = dims
        self.centres = rng.standard_normal((CLASSES, HIDDEN)).astype(np.float32)
        mixed = rng.standard_normal((HIDDEN, dims - HIDDEN)).astype(np.float32) / np.float32(np.sqrt(HIDDEN))
        self.mixture = np.concatenate([np.eye(HIDDEN, dtype=np.float32), mixed], axis=1)
        self.scale = (1 / np.sqrt(1 + np.arange(dims) / HIDDEN)).astype(np.float32)

    def make(self, count, seed):
        """(vectors, labels), the same for the same seed"""
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, CLASSES, count)
        hidden = self.centres[labels] + np.float32(SPREAD) * rng.standard_normal((count, HIDDEN), np.float32)
        x = hidden @ self.mixture
        x[:, HIDDEN:] += np.float32(NOISE) * rng.standard_normal((count, self.dims - HIDDEN), np.float32)
        return rows.unit(x * self.scale), labels


def prepare(folder, count, dims, queries):
    """Makes what the folder lacks, part by part straight into its file."""
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(f"{folder}/labels_{rows.SETS[-1]}.npy"):
        maker = Maker(dims)
        base = np.lib.format.open_memmap(f"{folder}/base.npy", mode="w+", dtype=np.float16, shape=(count, dims))
        labels = np.zeros(count, np.int64)
        for start in range(0, count, PART):
            stop = min(start + PART, count)
            base[start:stop], labels[start:stop] = maker.make(stop - start, start)
        base.flush()
        np.save(f"{folder}/labels.npy", labels)
        for number, name in enumerate(rows.SETS):
            asked, classes = maker.make(queries, (number + 1) << 40)
            np.save(f"{folder}/{name}.npy", asked)
            np.save(f"{folder}/truth_{name}.npy", rows.exact(base, asked))
            np.save(f"{folder}/labels_{name}.npy", classes)
    shape = np.load(f"{folder}/base.npy", mmap_mode="r").shape
    if shape != (count, dims):
        raise SystemExit(f"{folder} holds {shape[0]} x {shape[1]} rows, not {count} x {dims}")


def quality(folder, part, ids):
    """(top-1 in %, mAP@10 in %) of the rows found, as the MRL paper counts: AP@10 is divided by 10."""
    labels = np.load(f"{folder}/labels.npy", mmap_mode="r")
    wanted = np.load(f"{folder}/labels_{part}.npy")[:len(ids)]
    right = (labels[np.maximum(ids, 0)] == wanted[:, None]) & (ids >= 0)
    precision = np.cumsum(right, axis=1) / np.arange(1, ids.shape[1] + 1)
    return 100 * right[:, 0].mean(), 100 * (precision * right).sum(axis=1).mean() / rows.K

"""Labelled data: the digits bundled with scikit-learn, and WordNet's lexicographer classes.

A set is (x, labels) of a database, which the heads are trained on as in the paper, of rows that set
thresholds, and of queries.
"""
import csv
import gzip
import io
import pathlib
import zipfile

import numpy as np


class Labelled:
    def __init__(self, name, x, labels, hold_out, queries, seed=3):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(x))
        self.name = name
        self.classes = int(labels.max()) + 1
        cut = [0, queries, queries + hold_out, len(x)]
        parts = [order[a:b] for a, b in zip(cut, cut[1:])]
        self.queries, self.hold_out, self.database = [(x[p], labels[p]) for p in parts]


def digits(source):
    """`source`: digits.csv.gz, or the wheel of scikit-learn that holds it (1,797 rows of 64)."""
    source = pathlib.Path(source)
    data = source.read_bytes()
    if source.suffix == ".whl":
        with zipfile.ZipFile(source) as wheel:
            data = wheel.read("sklearn/datasets/data/digits.csv.gz")
    table = np.loadtxt(io.StringIO(gzip.decompress(data).decode()), delimiter=",")
    x = (table[:, :64] / 16).astype(np.float32)
    return Labelled("digits", x - x.mean(axis=0), table[:, 64].astype(int), 300, 400)


def wordnet(folder, rows):
    """`folder`: base.npy, whose rows wordnet_rows.tsv.gz names with their 45 classes."""
    folder = pathlib.Path(folder)
    base = np.load(folder / "base.npy", mmap_mode="r")
    with gzip.open(folder / "wordnet_rows.tsv.gz", "rt") as file:
        named = [line for line in csv.reader(file, delimiter="\t") if line[0].isdigit()]
    names = sorted({line[2] for line in named})
    number = {name: i for i, name in enumerate(names)}
    named = [line for line in named if int(line[0]) < len(base)]
    rng = np.random.default_rng(5)
    if rows < len(named):
        named = [named[i] for i in sorted(rng.choice(len(named), rows, replace=False))]
    x = np.asarray(base[[int(line[0]) for line in named]], np.float32)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    labels = np.array([number[line[2]] for line in named])
    return Labelled("wordnet", x * np.float32(np.sqrt(x.shape[1])), labels, 2000, 2000)

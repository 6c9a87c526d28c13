#!/usr/bin/env python3
"""Makes the files of this example from the full real data set (see README.md here).

    make.py --data DIR    DIR holds weights_mrl1024_f16.npy, tokens_base.npz, texts_base.txt.gz and
                          wordnet_rows.tsv.gz

Writes embeddings.npy (10,000 x 512 float16), points.jsonl and queries.npy (500 x 512) beside itself.
"""
import argparse
import gzip
import json
import os

import numpy as np

ROWS, QUERIES, DIMS, SEED = 10_000, 500, 512, 20
EVERYDAY = ["dog.n.01", "car.n.01", "piano.n.01", "coffee.n.01", "swim.v.01", "happy.a.01",
            "mountain.n.01", "physician.n.01", "bread.n.01", "rain.n.01", "whale.n.02", "cat.n.01"]


def wordnet(data):
    with gzip.open(f"{data}/wordnet_rows.tsv.gz", "rt", encoding="utf-8") as file:
        next(file)
        rows = [line.rstrip("\n").split("\t") for line in file]
    unique = {}
    for row, synset, label in rows:
        unique.setdefault(synset, (int(row), synset, label))
    return list(unique.values())


def embed(data, rows):
    table = np.load(f"{data}/weights_mrl1024_f16.npy").astype(np.float32)
    with np.load(f"{data}/tokens_base.npz") as tokens:
        ids, starts = tokens["ids"], tokens["ptr"]
    out = np.empty((len(rows), DIMS), np.float16)
    for i, row in enumerate(rows):
        mean = table[ids[starts[row]:starts[row + 1]]].mean(axis=0)
        out[i] = (mean / np.linalg.norm(mean))[:DIMS]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    data = parser.parse_args().data
    here = os.path.dirname(os.path.abspath(__file__))
    entries = wordnet(data)
    order = np.random.default_rng(SEED).permutation(len(entries))
    first = [i for i in order if entries[i][1] in EVERYDAY]
    rest = [i for i in order if entries[i][1] not in EVERYDAY]
    chosen = sorted((first + rest)[:ROWS])
    held_out = rest[ROWS - len(first):][:QUERIES]
    with gzip.open(f"{data}/texts_base.txt.gz", "rt", encoding="utf-8") as file:
        texts = file.read().split("\n")
    np.save(f"{here}/embeddings.npy", embed(data, [entries[i][0] for i in chosen]))
    np.save(f"{here}/queries.npy", embed(data, [entries[i][0] for i in held_out]))
    with open(f"{here}/points.jsonl", "w", encoding="utf-8") as file:
        for i in chosen:
            row, synset, label = entries[i]
            point = {"id": synset, "text": texts[row], "class": label}
            file.write(json.dumps(point, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

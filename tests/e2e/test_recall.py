"""What mrl-index eval reports is what brute force in numpy finds."""

import json
import os
import pathlib

import numpy as np
import pytest
from conftest import EXAMPLE, SOURCE, run_index
from truth import top

K = 10
PREFIXES = (16, 32, 64, 128, 256)
SHORTLISTS = (100, 200, 400)
LARGE_ROWS = 30_000  # Of those that are made for the test; a set that is there is taken whole.
LARGE_QUERIES = 200


def shortlist_recall(points, queries):
    """Share of the true K that the prefix's shortlist holds: what perfect reranking can reach."""
    truth = top(points, queries, points.shape[1], K)
    recall = {}
    for dims in PREFIXES:
        longest = top(points, queries, dims, max(SHORTLISTS))
        for keep in SHORTLISTS:
            found = [len(np.intersect1d(t, s[:keep])) for t, s in zip(truth, longest)]
            recall[f"{dims}:{keep},{points.shape[1]}:{K}"] = np.mean(found) / K
    return recall


def eval_recall(index, queries, count, funnels):
    args = ["eval", "--index", index, "--queries", queries, "--limit", count, "-k", K, "--json"]
    for funnel in funnels:
        args += ["--funnel", funnel]
    ran = run_index(*args)
    assert ran.returncode == 0, ran.stderr
    reports = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(reports) == len(funnels)
    return {funnel: report["recall"] for funnel, report in zip(funnels, reports)}


def assert_same_recall(index, points, queries, count):
    expected = shortlist_recall(np.load(points, mmap_mode="r"), np.load(queries)[:count])
    # A set on which every shortlist is perfect would let any engine pass.
    assert min(expected.values()) < 0.99
    assert eval_recall(index, queries, count, list(expected)) == pytest.approx(expected, abs=0.001)


def test_example_recall_matches_brute_force(index):
    assert_same_recall(index, EXAMPLE / "embeddings.npy", EXAMPLE / "queries.npy", 500)


def made(folder, output, rows):
    """Makes the 1024-dimensional set from a folder's weights and tokens: means of token vectors."""
    table = np.load(folder / "weights_mrl1024_f16.npy").astype(np.float32)
    for name in ("base", "queries"):
        with np.load(folder / f"tokens_{name}.npz") as tokens:
            ids, ends = tokens["ids"], tokens["ptr"][: rows + 1]
        vectors = np.empty((len(ends) - 1, table.shape[1]), np.float16)
        for row in range(len(vectors)):
            mean = table[ids[ends[row] : ends[row + 1]]].mean(axis=0)
            vectors[row] = mean / np.linalg.norm(mean)
        np.save(output / f"{name}.npy", vectors)
    return output


@pytest.fixture
def large_set(tmp_path):
    """base.npy and queries.npy of 1024 dimensions; what cannot be had is a skip with its reason."""
    folder = pathlib.Path(os.environ.get("MRL_DATA", SOURCE.parent / "shared" / "data"))
    if (folder / "base.npy").exists() and (folder / "queries.npy").exists():
        return folder
    if not (folder / "weights_mrl1024_f16.npy").exists():
        pytest.skip(f"{folder} has no large set; MRL_DATA names a folder that has one")
    return made(folder, tmp_path, LARGE_ROWS)


def test_large_recall_matches_brute_force(tmp_path, large_set):
    built = run_index(
        "build", "--input", large_set / "base.npy", "--dims", "16,32,64,128,256,512,1024",
        "--output", tmp_path / "index",
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert_same_recall(
        tmp_path / "index", large_set / "base.npy", large_set / "queries.npy", LARGE_QUERIES
    )

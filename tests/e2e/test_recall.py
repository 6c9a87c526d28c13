"""What mrl-index eval reports is what brute force in numpy finds."""

import json
import os
import pathlib

import numpy as np
import pytest
from conftest import EXAMPLE, run_index
from truth import top

K = 10
PREFIXES = (16, 32, 64, 128, 256)
SHORTLISTS = (100, 200, 400)


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


@pytest.mark.skipif("MRL_DATA" not in os.environ, reason="MRL_DATA names no data set")
def test_large_recall_matches_brute_force(tmp_path):
    """MRL_DATA is a folder with base.npy and queries.npy of 1024 dimensions."""
    data = pathlib.Path(os.environ["MRL_DATA"])
    built = run_index(
        "build", "--input", data / "base.npy", "--dims", "16,32,64,128,256,512,1024",
        "--output", tmp_path / "index",
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert_same_recall(tmp_path / "index", data / "base.npy", data / "queries.npy", 200)

"""What mrl-index says of quality, held against numpy on the example."""

import json
import signal
import subprocess

import numpy as np
import pytest
from conftest import BIN, EXAMPLE, run_index
from truth import top

K = 10
QUERIES = EXAMPLE / "queries.npy"


def run_json(*args):
    ran = run_index(*args, "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def eval_json(index, funnel, *more):
    return run_json("eval", "--index", index, "--queries", QUERIES, "--funnel", funnel, *more)


@pytest.mark.parametrize("target", [0.9, 0.99])
def test_tune_reaches_its_target_on_queries_it_did_not_see(index, target):
    tuned = run_json("tune", "--index", index, "--queries", QUERIES, "--target-recall", target)
    assert tuned["reached"]
    assert tuned["tuning"]["interval"][0] >= target
    assert tuned["tried"] >= len(tuned["front"]) > 0
    # Two standard errors of 250 queries, from the interval's own width.
    low, high = tuned["interval"]
    assert tuned["recall"] >= target - (high - low) / 2
    # Both halves together are what eval measures on all queries.
    both = (tuned["recall"] + tuned["tuning"]["recall"]) / 2
    assert eval_json(index, tuned["funnel"])["recall"] == pytest.approx(both, abs=1e-6)


def test_tune_under_a_latency_and_for_other_k(index):
    args = ["tune", "--index", index, "--queries", QUERIES, "--limit", 100]
    loose = run_json(*args, "--target-p99-ms", 10000)
    assert loose["reached"] and loose["tuning"]["recall"] > 0.99
    assert not run_json(*args, "--target-p99-ms", 0.000001)["reached"]
    for k in (1, 1000):
        tuned = run_json(*args, "-k", k, "--target-recall", 0.8)
        assert tuned["reached"] and tuned["funnel"].endswith(f"512:{k}")


def test_tune_can_be_interrupted(index):
    command = [BIN / "mrl-index", "tune", "--index", index, "--queries", QUERIES, "-k", "1000"]
    tuning = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert "exact search" in tuning.stderr.readline()  # It has begun.
    tuning.send_signal(signal.SIGINT)
    out, _ = tuning.communicate(timeout=60)
    assert tuning.returncode == 130
    assert out == ""


def test_eval_certifies_recall_and_says_which_stage_lost_the_rest(index):
    points, queries = np.load(EXAMPLE / "embeddings.npy"), np.load(QUERIES)
    truth = top(points, queries, 512, K)
    first = top(points, queries, 16, 300)
    lost = 1 - np.mean([len(np.intersect1d(t, f)) for t, f in zip(truth, first)]) / K
    measured = eval_json(index, "16:300,32:60,512:10")
    assert measured["lost"][0] == pytest.approx(lost, abs=0.001)
    assert measured["lost"][1] > 0 and measured["lost"][2] == 0
    assert sum(measured["lost"]) + measured["recall"] == pytest.approx(1, abs=1e-6)
    low, high = measured["interval"]
    assert low < measured["recall"] < high
    # A normal approximation of the same interval: close, not equal.
    assert 0.01 < high - low < 0.06

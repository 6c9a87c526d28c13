"""Profiles, certificates and labels of an index directory, by mrl-index."""

import json

import numpy as np
import pytest
from conftest import EXAMPLE, run_index
from test_quality import QUERIES, eval_json, run_json

FUNNEL = "8:30,32:10"


def vectors(count, seed=1):
    return np.random.default_rng(seed).standard_normal((count, 32)).astype(np.float32)


@pytest.fixture
def small(tmp_path):
    np.save(tmp_path / "points.npy", vectors(400))
    out = tmp_path / "small"
    built = run_index("build", "--input", tmp_path / "points.npy", "--dims", "8,32", "--output", out)
    assert built.returncode == 0, built.stderr
    return out


def certify(index, *more):
    return run_json("certify", "--index", index, *more)


def test_a_certificate_is_what_eval_measures(index):
    made = certify(index, "--funnel", "16:300,512:10", "--queries", QUERIES)
    measured = eval_json(index, "16:300,512:10")
    assert made["recall"] == pytest.approx(measured["recall"], abs=1e-9)
    assert made["lost"] == pytest.approx(measured["lost"], abs=1e-9)
    assert sum(made["lost"]) + made["recall"] == pytest.approx(1, abs=1e-9)
    low, high = made["interval"]
    assert low < made["recall"] < high and not made["own_points"]


def test_a_certificate_is_kept_with_its_profile(small, tmp_path):
    plain = certify(small, "--funnel", FUNNEL)
    assert plain["own_points"] and plain["queries"] == 200 and "profile" not in plain
    saved = run_index("profile", "save", "--index", small, "fast", "--funnel", FUNNEL, "--default")
    assert saved.returncode == 0, saved.stderr
    kept = certify(small)
    assert (kept["profile"], kept["profile_version"]) == ("fast", 1)
    assert (kept["recall"], kept["interval"]) == (plain["recall"], plain["interval"])
    listed = run_json("profile", "list", "--index", small)
    assert listed[0]["versions"][0]["certificate"]["recall"] == kept["recall"]
    other = certify(small, "--seed", 2)
    assert (other["recall"], other["interval"]) != (kept["recall"], kept["interval"])
    # Writing to the directory keeps profiles and certificates.
    np.save(tmp_path / "more.npy", vectors(20, 5))
    np.save(tmp_path / "ids.npy", np.arange(1000, 1020))
    more = run_index(
        "append", "--index", small, "--input", tmp_path / "more.npy", "--ids", tmp_path / "ids.npy"
    )
    assert more.returncode == 0, more.stderr
    listed = run_json("profile", "list", "--index", small)
    assert listed[0]["versions"][0]["certificate"]["rows"] == 400
    after = certify(small)
    assert (after["rows"], after["profile"]) == (420, "fast")


@pytest.mark.parametrize("k", [1, 1000])
def test_few_points_one_query_duplicates_and_any_k(tmp_path, k):
    points = np.concatenate([vectors(4), np.repeat(vectors(3, 8), 10, axis=0)])
    np.save(tmp_path / "points.npy", points)
    index = tmp_path / "index"
    built = run_index("build", "--input", tmp_path / "points.npy", "--dims", "8,32", "--output", index)
    assert built.returncode == 0, built.stderr
    np.save(tmp_path / "query.npy", vectors(1, 6))
    one = certify(index, "-k", k, "--queries", tmp_path / "query.npy", "--funnel", f"8:1000,32:{k}")
    assert (one["recall"], one["queries"]) == (1, 1)
    assert one["interval"][0] == pytest.approx(0.025)  # One query shows little.
    own = certify(index, "-k", k, "--funnel", f"8:1000,32:{k}")
    assert own["recall"] == 1  # Ties with the k-th are as good.
    np.save(tmp_path / "alone.npy", vectors(1))
    alone = tmp_path / "alone"
    run_index("build", "--input", tmp_path / "alone.npy", "--dims", "8,32", "--output", alone)
    refused = run_index("certify", "--index", alone)
    assert refused.returncode == 1 and "query 0 has no neighbour" in refused.stderr


@pytest.mark.parametrize(
    "args, code, words",
    [
        (["--max-changed", 2], 65, "above 0 to 1"),
        (["-k", 20000], 65, "k is 20000"),
        (["--profile", "slow"], 74, "profile 'slow' does not exist"),
        (["--sample", 0], 2, "--sample"),
    ],
)
def test_certify_refuses(small, args, code, words):
    run_index("profile", "save", "--index", small, "fast", "--funnel", FUNNEL, "--default")
    ran = run_index("certify", "--index", small, *args)
    assert ran.returncode == code and words in ran.stderr


def test_tune_to_a_budget_of_bytes(index):
    args = ["tune", "--index", index, "--queries", QUERIES, "--limit", 100]
    loose = run_json(*args, "--target-bytes", 10_000_000)
    assert loose["reached"] and loose["tuning"]["recall"] > 0.98
    tight = run_json(*args, "--target-bytes", 250_000)
    assert tight["reached"] and tight["tuning"]["mean_bytes"] <= 250_000
    assert tight["tuning"]["recall"] > 0.95  # chains are compared by what they read, not by their time
    assert tight["tuning"]["recall"] < loose["tuning"]["recall"]
    assert not run_json(*args, "--target-bytes", 1)["reached"]


def test_labels_are_voted_on_by_prefixes(index):
    ran = run_index("eval", "--index", index, "--labels", "class", "--sample", 400, "--json")
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    fixed = [line for line in lines if line["what"].startswith("always")]
    assert [line["expected_dims"] for line in fixed] == [16, 32, 64, 128, 256, 512]
    labels = [json.loads(line)["class"] for line in (EXAMPLE / "points.jsonl").open()]
    counts = np.unique(labels, return_counts=True)[1]
    assert fixed[-1]["accuracy"] > 1.3 * counts.max() / counts.sum()  # Better than the commonest.
    dims = [line["expected_dims"] for line in lines if line["confidence"] > 0]
    assert dims == sorted(dims) and dims[-1] > dims[0]
    none = run_index("eval", "--index", index, "--labels", "nothing")
    assert none.returncode == 65 and "has the label" in none.stderr
    assert run_index("eval", "--index", index).returncode == 2

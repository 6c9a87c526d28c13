"""Vectors that no model was trained to slice, rotated at build so that prefixes of them are useful."""

import json

import grpc
import mrl
import numpy as np
import pytest
from conftest import EXAMPLE, run_index, start_server, stop_server

FUNNEL = "32:200,512:10"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The example's vectors and queries with their dimensions mixed: prefixes say little."""
    folder = tmp_path_factory.mktemp("plain")
    mix = np.linalg.qr(np.random.default_rng(1).normal(size=(512, 512)))[0]
    for name in ("embeddings", "queries"):
        rows = np.load(EXAMPLE / f"{name}.npy").astype(np.float64) @ mix
        np.save(folder / f"{name}.npy", rows.astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def rotated(plain):
    path = plain / "rotated"
    ran = run_index("build", "--input", plain / "embeddings.npy", "--output", path, "--rotate", "pca")
    assert ran.returncode == 0, ran.stderr
    assert "cosine, f32, rotated\n" in ran.stdout
    return path


def recall(index, queries, *flags):
    ran = run_index("eval", "--index", index, "--queries", queries, "-k", 10, "--funnel", FUNNEL, "--json",
                    *flags)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)["recall"]


def test_a_rotation_makes_short_prefixes_useful(plain, rotated, tmp_path):
    ran = run_index("build", "--input", plain / "embeddings.npy", "--output", tmp_path / "as_is")
    assert ran.returncode == 0, ran.stderr
    # The truth is numpy's over what was written: whole vectors keep their scores.
    points = np.load(plain / "embeddings.npy")
    queries = np.load(plain / "queries.npy")
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    truth = np.argsort(-(queries @ points.T), axis=1, kind="stable")[:, :10]
    np.save(tmp_path / "truth.npy", truth.astype(np.int64))
    flags = ("--truth", tmp_path / "truth.npy")
    as_is = recall(tmp_path / "as_is", plain / "queries.npy", *flags)
    better = recall(rotated, plain / "queries.npy", *flags)
    assert better > as_is + 0.2
    assert recall(rotated, plain / "queries.npy") == pytest.approx(better, abs=0.002)


def test_the_report_says_that_it_was_rotated(rotated):
    report = json.loads(run_index("report", "--index", rotated, "--limit", 100, "--json").stdout)
    assert report["verdict"] == "useful_by_rotation"
    assert "transform rotation" in run_index("inspect", "--index", rotated).stdout
    assert run_index("verify", "--index", rotated).returncode == 0


def test_useful_prefixes_are_not_rotated_unless_forced(tmp_path):
    build = ("build", "--input", EXAMPLE / "embeddings.npy", "--output", tmp_path / "x", "--rotate", "pca")
    ran = run_index(*build)
    assert ran.returncode == 1
    assert "prefixes of these vectors are useful as they are" in ran.stderr
    assert "--force-rotate" in ran.stderr
    assert not (tmp_path / "x").exists()
    assert run_index(*build, "--force-rotate").returncode == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--rotate", "pca", "--limit", 100), "needs 512 vectors to learn from; there are 100"),
        (("--rotate", "lda"), "lda not in {pca}"),
        (("--force-rotate",), "--force-rotate requires --rotate"),
        (("--rotate", "pca", "--transform", "layer_norm"), "--transform excludes --rotate"),
    ],
)
def test_wrong_input_is_named(plain, tmp_path, flags, words):
    ran = run_index("build", "--input", plain / "embeddings.npy", "--output", tmp_path / "x", *flags)
    assert ran.returncode != 0
    assert words in ran.stderr
    assert not (tmp_path / "x").exists()


def test_appended_points_are_rotated_and_read_points_are_rotated_back(plain, rotated, tmp_path):
    points = np.load(plain / "embeddings.npy")
    index, ids = tmp_path / "index", tmp_path / "ids.npy"
    ran = run_index("build", "--input", plain / "embeddings.npy", "--limit", 9000, "--output", index,
                    "--rotate", "pca")
    assert ran.returncode == 0, ran.stderr
    np.save(tmp_path / "more.npy", points[9000:])
    np.save(ids, np.arange(9000, 10000, dtype=np.uint64))
    ran = run_index("append", "--index", index, "--input", tmp_path / "more.npy", "--ids", ids)
    assert ran.returncode == 0, ran.stderr
    server, address = start_server(index)
    try:
        with mrl.Client(address) as client:
            name = client.list_collections()[0].name
            assert client.get_collection(name).transform == "rotation"
            for row in (5, 9500):  # built and appended
                hits = client.search(name, points[row], k=3, exact=True).hits
                assert hits[0].id == row
                assert hits[0].score == pytest.approx(1, abs=1e-5)
                read = client.get(name, [row])[0].vector
                assert np.linalg.norm(read - points[row]) < 1e-5 * np.linalg.norm(points[row])
            with pytest.raises(mrl.MrlError) as caught:
                client.search(name, points[5][:64], k=3)
            assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
            assert "vector has 64 dimensions" in caught.value.message
    finally:
        stop_server(server)

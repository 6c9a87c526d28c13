"""Vectors in every storage type: rounded once, scored and returned as they are stored."""

import json

import mrl
import numpy as np
import pytest
from conftest import EXAMPLE, run_index
from live_server import LiveServer
from truth import top

DIM = 64
LADDER = [8, 24, 64]
STORED = {"f32": 4, "f16": 2, "bf16": 2, "int8": 1}


def rounded(rows, storage):
    """What a storage type keeps of float32 rows, by numpy."""
    if storage == "f16":
        return rows.astype(np.float16).astype(np.float32)
    if storage == "bf16":
        bits = rows.view(np.uint32)
        odd = (bits >> 16) & 1
        return ((bits + 0x7FFF + odd) & np.uint32(0xFFFF0000)).view(np.float32)
    if storage == "int8":
        levels = []
        for begin, end in zip([0, *LADDER], LADDER):
            level = rows[:, begin:end]
            scale = np.abs(level).max(axis=1, keepdims=True) / np.float32(127)
            scale = ((scale.view(np.uint32) + 0x7F) & ~np.uint32(0x7F)).view(np.float32)
            codes = np.rint(level * (np.float32(1) / scale)) + np.float32(0)  # a code has no -0
            levels.append(codes * scale)
        return np.concatenate(levels, axis=1)
    return rows


def vectors(count, seed=1):
    rows = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return rows / np.arange(1, DIM + 1, dtype=np.float32)  # levels of different sizes


@pytest.fixture
def server(tmp_path):
    server = LiveServer(tmp_path / "data", "--seal-rows", "100")
    yield server
    server.stop()


@pytest.mark.parametrize("storage", STORED)
@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_bits_stay_from_the_tail_to_a_merged_segment_and_a_restart(server, storage, metric):
    points = vectors(420)
    expected = rounded(points, storage)

    def check(client):
        got = client.get("words", list(range(420)))
        assert np.array([point.vector for point in got]).tobytes() == expected.tobytes()
        hits = client.search("words", points[7], k=5, exact=True).hits
        return [(hit.id, hit.score) for hit in hits]

    with mrl.Client(server.address) as client:
        made = client.create_collection("words", DIM, ladder=LADDER, metric=metric, storage=storage)
        assert made.storage == storage
        for begin in range(0, 420, 60):  # some stay in the tail, others are sealed
            client.upsert("words", range(begin, begin + 60), points[begin : begin + 60])
        before = check(client)
        assert metric == "ip" or before[0][0] == 7
        client.update_payloads("words", {7: {"new": True}})
        assert check(client) == before
        client.wait_operation(client.compact_collection("words").name)
        assert check(client) == before
    server.kill()
    server.start()
    with mrl.Client(server.address) as client:
        assert check(client) == before


@pytest.mark.parametrize("storage", STORED)
def test_a_built_index_finds_what_brute_force_finds_in_the_stored_vectors(tmp_path, storage):
    rows = vectors(3000)
    queries = vectors(50, seed=2)
    for name, array in (("rows", rows), ("queries", queries)):
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "truth.npy", top(rounded(rows, storage), queries, DIM, 10).astype(np.int64))
    index = tmp_path / "index"
    built = run_index("build", "--input", tmp_path / "rows.npy", "--output", index, "--dims", "8,24,64",
                      "--storage", storage)  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert run_index("verify", "--index", index).returncode == 0
    inspected = json.loads(run_index("inspect", "--index", index, "--json").stdout)
    assert inspected["storage"] == storage
    scale = 4 if storage == "int8" else 0
    widths = [8, 16, 40]
    assert [level["bytes"] for level in inspected["levels"]] == [
        3000 * (width * STORED[storage] + scale) for width in widths
    ]
    ran = run_index("eval", "--index", index, "--queries", tmp_path / "queries.npy", "-k", 10, "--json",
                    "--truth", tmp_path / "truth.npy", "--funnel", "8:3000,24:3000,64:10")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["recall"] == pytest.approx(1, abs=0.002)  # f32 may turn a tie


@pytest.mark.parametrize("storage, most_lost", [("f16", 0.001), ("bf16", 0.003), ("int8", 0.006)])
def test_rounding_loses_few_neighbours_of_the_vectors_as_given(tmp_path, storage, most_lost):
    points = np.load(EXAMPLE / "embeddings.npy")
    np.save(tmp_path / "truth.npy", top(points, np.load(EXAMPLE / "queries.npy"), 512, 10).astype(np.int64))
    index = tmp_path / "index"
    built = run_index("build", "--input", EXAMPLE / "embeddings.npy", "--output", index,
                      "--codes", "none", "--storage", storage)  # fmt: skip
    assert built.returncode == 0, built.stderr
    ran = run_index("eval", "--index", index, "--queries", EXAMPLE / "queries.npy", "-k", 10, "--json",
                    "--truth", tmp_path / "truth.npy", "--funnel", "512:10")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["recall"] >= 1 - most_lost


def test_values_beyond_a_type_are_refused_by_its_name(tmp_path):
    rows = vectors(10)
    rows[3, 5] = 70_000
    np.save(tmp_path / "rows.npy", rows)
    build = ("build", "--input", tmp_path / "rows.npy", "--output", tmp_path / "index", "--storage")
    refused = run_index(*build, "f16")
    assert refused.returncode == 65
    assert "row 3: a value is beyond the range of f16 (65504): 70000 at dimension 5" in refused.stderr
    assert run_index(*build, "bf16").returncode == 0
    unknown = run_index(*build, "f8")
    assert unknown.returncode != 0 and "f32,f16,bf16,int8" in unknown.stderr.replace(" ", "")


@pytest.mark.parametrize("storage", ["bf16", "int8"])
@pytest.mark.parametrize("transform", ["rotation", "layer_norm"])
def test_transforms_come_before_rounding(tmp_path, storage, transform):
    rows, queries = vectors(3000), vectors(200, seed=2)
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "queries.npy", queries)
    flags = ["--rotate", "pca", "--force-rotate"]  # whole vectors keep their scores
    if transform == "layer_norm":
        flags = ["--transform", "layer_norm"]
        rows, queries = (x - x.mean(axis=1, keepdims=True) for x in (rows, queries))
    np.save(tmp_path / "truth.npy", top(rows, queries, DIM, 10).astype(np.int64))
    index = tmp_path / "index"
    built = run_index("build", "--input", tmp_path / "rows.npy", "--output", index, "--dims", "8,24,64",
                      "--storage", storage, *flags)  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert f"storage {storage}, transform {transform}" in run_index("inspect", "--index", index).stdout
    ran = run_index("eval", "--index", index, "--queries", tmp_path / "queries.npy", "-k", 10, "--json",
                    "--truth", tmp_path / "truth.npy", "--funnel", "64:10")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["recall"] > 0.97

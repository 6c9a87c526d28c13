"""What mrl-index estimate says before a build, held against the build."""

import json

import numpy as np
import pytest
from conftest import EXAMPLE, run_index
from test_quality import run_json

POINTS = EXAMPLE / "points.jsonl"


def held_against_a_build(tmp_path, rows, options, payloads=(), of_build=()):
    """Builds `rows`, estimates the same, and compares every figure of bytes. Gives both back."""
    np.save(tmp_path / "rows.npy", rows)
    index = tmp_path / "index"
    built = run_index(
        "build", "--input", tmp_path / "rows.npy", *options, *payloads, *of_build, "--output", index
    )
    assert built.returncode == 0, built.stderr
    real = run_json("inspect", "--index", index)
    lines = POINTS.read_text().splitlines() if payloads else []
    more = []
    if payloads:
        ids = [len(json.loads(line)["id"].encode()) for line in lines]
        more = ["--id-bytes", np.mean(ids), "--payload-bytes", np.mean([len(x) for x in lines])]
    estimate = run_json(
        "estimate", "--rows", len(rows), "--dim", rows.shape[1], *options, *more, "--bytes-only"
    )
    assert estimate["levels"] == [{"dims": level["dims"], "bytes": level["bytes"]} for level in real["levels"]]
    assert estimate["memory_bytes"] == pytest.approx(real["memory_bytes"], rel=0.15)
    disk = sum(file["bytes"] for file in real["files"])
    assert estimate["disk_bytes"] == pytest.approx(disk, rel=0.15)
    beside = estimate["memory_bytes"] - sum(level["bytes"] for level in estimate["levels"])
    assert beside == estimate["hot_bytes"] == pytest.approx(real["hot_bytes"], rel=0.15)
    return estimate, real


def test_bytes_of_the_example(tmp_path):
    held_against_a_build(
        tmp_path,
        np.load(EXAMPLE / "embeddings.npy"),
        ["--dims", "16,64,256,512", "--storage", "f16"],
        ["--payloads", POINTS, "--id-field", "id"],
    )


@pytest.mark.parametrize(
    "options",
    [
        ["--storage", "f32", "--codes", "none"],
        ["--storage", "f16", "--codes", "32b8,128b2"],
        ["--storage", "f16", "--metric", "l2", "--codes", "16b8,128b8"],
        ["--storage", "f32", "--transform", "layer_norm", "--dims", "128"],
        ["--storage", "bf16", "--codes", "16b8"],
        ["--storage", "int8", "--dims", "16,48,128", "--codes", "16b8"],
    ],
)
def test_bytes_of_other_schemas(tmp_path, options):
    rows = np.random.default_rng(3).normal(size=(30000, 128)).astype(np.float32)
    held_against_a_build(tmp_path, rows, options)


@pytest.mark.parametrize("dims", [128, 64])
def test_bytes_of_a_graph(tmp_path, dims):
    rows = np.random.default_rng(3).normal(size=(8000, 128)).astype(np.float32)
    options = ["--codes", "128b1", "--coarse", "graph", "--coarse-dims", dims]
    estimate, real = held_against_a_build(tmp_path, rows, options)
    assert estimate["graph"] == {"links_bytes": 8000 * 64 * 4, "codes_bytes": 8000 * dims // 8}
    file = next(file["bytes"] for file in real["files"] if "graph" in file["name"])
    assert sum(estimate["graph"].values()) == pytest.approx(file, rel=0.02)


def test_bytes_of_a_rotation(tmp_path):
    rows = np.random.default_rng(3).normal(size=(3000, 512)).astype(np.float32)
    options = ["--rotate", "pca", "--storage", "f16"]
    rotated, _ = held_against_a_build(tmp_path, rows, options, of_build=["--force-rotate"])
    assert rotated["rotation"] == {"bytes": 512 * 512 * 4, "query_multiply_adds": 512 * 512}


def test_times_of_a_graph_and_a_rotation(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    args = ["estimate", "--dim", 64, "--codes", "64b1", "--coarse", "graph", "--rotate", "pca"]
    small, large = (run_json(*args, "--rows", rows) for rows in (2000, 40_000))
    for estimate in (small, large):
        assert estimate["rotation"]["learn_s"] > 0
        assert estimate["query_ms"] > estimate["rotation"]["query_ms"] > 0
    # Twenty times the rows cost more than twenty times as much; half of that leaves room.
    assert large["graph"]["build_s"] > 10 * small["graph"]["build_s"] > 0
    assert list(tmp_path.iterdir()) == []


def test_times_come_from_a_small_collection(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    args = ["estimate", "--dim", 64, "--storage", "f16"]
    small = run_json(*args, "--rows", 3000)
    large = run_json(*args, "--rows", 300_000_000, "--funnel", "16b8:400,64:10")
    assert small["rows_measured"] == 3000 and large["rows_measured"] < 1_000_000
    assert large["build_s"] > 100 * small["build_s"] > 0
    assert large["funnel"] == "scan/16b8:400,64:10"
    assert large["query_ms"] >= large["scan_ms"] > 10 * small["scan_ms"] > 0
    assert list(tmp_path.iterdir()) == []  # The small collection is gone.


@pytest.mark.parametrize(
    "args, code, message",
    [
        (["--dim", 64], 2, "--rows is required"),
        (["--rows", 0, "--dim", 64], 2, "--rows"),
        (["--rows", 10, "--dim", 64, "--dims", "16,32"], 65, "must be dim 64"),
        (["--rows", 10, "--dim", 64, "--codes", "16b3"], 65, "16b3"),
        (["--rows", 10, "--dim", 64, "--funnel", "17:10"], 65, "17"),
        (["--rows", 10, "--dim", 64, "--rotate", "pca"], 65, "10"),
        (["--rows", 10, "--dim", 64, "--coarse", "graph"], 65, "walked by stored signs"),
        (["--rows", 10, "--dim", 64, "--coarse-dims", 16], 2, "--coarse-dims is of --coarse graph"),
    ],
)
def test_estimate_refuses(args, code, message):
    ran = run_index("estimate", *args)
    assert ran.returncode == code and message in ran.stderr

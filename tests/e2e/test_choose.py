"""The coarse index that mrl-index build chooses by itself, with the figures that it prints."""

import re
import signal
import subprocess
import time

import numpy as np
import pytest
from conftest import BIN, EXAMPLE, run_index
from test_quality import run_json

LINE = re.compile(r"^(ivf_scan\S*)\s+([\d.]+)\s+(\S+)\s+(\S+)\s+(kept|costs too much|finds too little)$")


def build(rows, output, *more):
    built = run_index("build", "--input", rows, "--output", output, *more)
    assert built.returncode == 0, built.stderr
    return built.stdout


def check_figures(out, index):
    """Every line says by its figures why its kind was kept or not; the rest of the index agrees."""
    wanted = float(re.search(r"recall@10 is ([\d.]+) by scan/", out)[1])
    lines = [match.groups() for match in map(LINE.match, out.splitlines()) if match]
    kept = "scan"
    best = 1.0
    for funnel, recall, millis, scan_millis, verdict in lines:
        reached = float(recall) >= wanted
        assert (verdict == "finds too little") == (not reached)
        if reached:
            share = float(millis) / float(scan_millis)
        if verdict == "kept":
            assert share < 0.9 * best + 0.01
            kept = funnel.split("(")[0].split("/")[0]
    kinds = run_json("inspect", "--index", index)["coarse"]
    assert kinds == ([kept, "scan"] if kept != "scan" else ["scan"])
    assert f"coarse index {kept}: " in out
    assert run_index("verify", "--index", index).returncode == 0
    return lines, kept


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    """Rows in tight clusters: who looks at the nearest lists only finds all that is near."""
    random = np.random.default_rng(5)
    centres = random.standard_normal((100, 64))
    rows = centres[random.integers(0, 100, 60000)] + 0.05 * random.standard_normal((60000, 64))
    path = tmp_path_factory.mktemp("clustered") / "rows.npy"
    np.save(path, rows.astype(np.float32))
    return path


def test_the_example_is_measured_where_the_flag_says_so(tmp_path):
    index = tmp_path / "index"
    rows = EXAMPLE / "embeddings.npy"
    assert "coarse index scan: ivf_scan is tried above" in build(rows, index)
    assert run_json("inspect", "--index", index)["coarse"] == ["scan"]
    out = build(rows, index, "--replace", "--choose-above", 1000)
    lines, _ = check_figures(out, index)
    assert [line[0].split("(")[0] for line in lines] == ["ivf_scan"]


def test_an_index_that_is_cheaper_is_used(clustered, tmp_path):
    index = tmp_path / "index"
    out = build(clustered, index, "--choose-above", 10000)
    lines, kept = check_figures(out, index)
    assert kept == "ivf_scan" and lines[0][4] == "kept"
    found = run_json("search", "--index", index, "--id", 7)
    assert found["plan"].startswith("ivf_scan(nprobe=") and found["plan"] == lines[0][0]
    assert found["profile"] == "built"
    exact = run_json("search", "--index", index, "--id", 7, "--exact")
    assert [hit["id"] for hit in found["hits"]] == [hit["id"] for hit in exact["hits"]]
    scanned = build(clustered, index, "--replace", "--coarse", "scan")
    assert "coarse index" not in scanned
    assert run_json("search", "--index", index, "--id", 7)["plan"].startswith("scan/")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("delay_s", [0, 0.2, 0.5])
def test_stopped_while_it_chooses_the_index_scans(clustered, tmp_path, stop, delay_s):
    index = tmp_path / "index"
    command = [BIN / "mrl-index", "build", "--input", clustered, "--output", index, "--choose-above", "1"]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    while not index.exists():
        assert process.poll() is None
        time.sleep(0.001)
    time.sleep(delay_s)
    process.send_signal(stop)
    _, err = process.communicate(timeout=60)
    if delay_s > 0 and process.returncode == 0:
        pytest.skip("it had chosen before it was stopped")
    if stop == signal.SIGINT:
        assert process.returncode == 130
        assert "is built and scans, no other coarse index was chosen" in err
    inspected = run_json("inspect", "--index", index)
    assert inspected["rows"] == 60000 and inspected["coarse"][0] == "scan"
    if stop == signal.SIGINT:
        assert inspected["coarse"] == ["scan"]
        assert not [file for file in index.iterdir() if "ivf" in file.name]
    assert run_index("verify", "--index", index).returncode == 0
    assert run_json("search", "--index", index, "--id", 7)["plan"].startswith("scan/")

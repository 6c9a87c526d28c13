"""What the programs print, and their exit codes."""

import json
import os
import pty
import re
import shutil
import subprocess

import numpy as np
import pytest
from conftest import BIN, EXAMPLE, run_index, start_server, stop_server


def test_server_exits_0_on_sigterm(index):
    server, _ = start_server(index)
    assert stop_server(server) == 0


@pytest.mark.parametrize("args", [["no-such-verb"], ["build"], ["eval", "--no-such-flag"]])
def test_bad_usage_exits_2(args):
    assert run_index(*args).returncode == 2


def test_truncated_input_exits_65_and_names_the_file(tmp_path):
    whole = tmp_path / "rows.npy"
    np.save(whole, np.ones((8, 16), dtype=np.float32))
    whole.write_bytes(whole.read_bytes()[:-7])
    ran = run_index("build", "--input", whole, "--output", tmp_path / "out")
    assert ran.returncode == 65
    assert "rows.npy" in ran.stderr
    assert not (tmp_path / "out").exists()


def test_nan_in_input_exits_65(tmp_path):
    rows = np.ones((8, 16), dtype=np.float32)
    rows[3, 5] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    ran = run_index("build", "--input", tmp_path / "rows.npy", "--output", tmp_path / "out")
    assert ran.returncode == 65
    assert "NaN" in ran.stderr


def test_verify_prints_json(index):
    ran = run_index("verify", "--index", index, "--json")
    assert json.loads(ran.stdout) == {"index": str(index), "ok": True}


def test_verify_exits_65_for_a_damaged_byte_in_the_largest_file(index, tmp_path):
    assert run_index("verify", "--index", index).returncode == 0
    copy = tmp_path / "copy"
    shutil.copytree(index, copy)
    victim = max((p for p in copy.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 0x01
    victim.write_bytes(content)
    ran = run_index("verify", "--index", copy)
    assert ran.returncode == 65
    assert victim.name in ran.stdout + ran.stderr


# Adaptive retrieval and the funnel of the paper, whose first stage meets every row.
PAPER = {
    "16:200,512:10": 10_000 * 16 + 200 * 512,
    "16:200,32:100,64:50,128:25,256:10,512:10": (
        10_000 * 16 + 200 * 32 + 100 * 64 + 50 * 128 + 25 * 256 + 10 * 512
    ),
}


@pytest.mark.parametrize(("funnel", "multiply_adds"), PAPER.items())
def test_shapes_of_the_paper_cost_what_it_says(index, funnel, multiply_adds):
    eval_ = ["eval", "--index", index, "--queries", EXAMPLE / "queries.npy", "--limit", 20]
    report = json.loads(run_index(*eval_, "--funnel", funnel, "--json").stdout)
    assert report["multiply_adds"] == multiply_adds
    assert report["funnel"] == f"scan/{funnel}"
    assert str(multiply_adds) in run_index(*eval_, "--funnel", funnel).stdout.split()


def test_build_on_a_terminal_shows_rows_per_second_and_time_left(tmp_path):
    np.save(tmp_path / "rows.npy", np.ones((64, 16), dtype=np.float32))
    ours, theirs = pty.openpty()
    build = [BIN / "mrl-index", "build", "--input", tmp_path / "rows.npy", "--output", tmp_path / "i"]
    subprocess.run(build, stdout=subprocess.DEVNULL, stderr=theirs, check=True, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert re.search(r"building \[#{30}\] 100 %  \d+ rows/s  0 s left", shown), shown


@pytest.mark.parametrize("value", ["nonsense", "AVX2", "scalar,avx2"])
def test_server_refuses_an_instruction_set_that_is_not_there(index, value):
    ran = subprocess.run([BIN / "mrl-server", "--index", f"wordnet={index}"], env=os.environ | {"MRL_CPU": value},
                         capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2, ran.stderr
    assert re.search(rf"^mrl-server: MRL_CPU is {value}; this CPU has scalar", ran.stderr, re.MULTILINE)
    assert "serving" not in ran.stdout


@pytest.fixture
def no_device():
    version = subprocess.run([BIN / "mrl-server", "--version"], capture_output=True, text=True, timeout=60, check=True)
    why = re.search(r"^gpu: none: (.+)$", version.stdout, re.MULTILINE)
    if not why:
        pytest.skip(f"there is a device: {version.stdout}")
    return why[1]


def test_server_refuses_to_start_without_a_device_that_is_required(index, no_device):
    ran = subprocess.run([BIN / "mrl-server", "--index", f"wordnet={index}", "--gpu", "require"],
                         capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1, ran.stderr
    assert f"gpu: a device is required, but {no_device}" in ran.stderr


def test_server_searches_by_the_cpu_where_it_finds_no_device(index, no_device):
    def neighbours(funnel):
        ran = subprocess.run([BIN / "mrl", "--server", address, "search", "wordnet", "--id", "dog.n.01",
                              "--funnel", funnel, "-k", "5", "--json"], capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return [(hit["id"], hit["score"]) for hit in json.loads(ran.stdout)["hits"]]

    server, address = start_server(index, "--gpu", "auto")
    try:
        assert neighbours("gpu_scan/16:200,512:5") == neighbours("scan/16:200,512:5")
        status = subprocess.run([BIN / "mrl", "--server", address, "status"],
                                capture_output=True, text=True, timeout=60, check=True)
        assert f"none: {no_device}" in status.stdout
    finally:
        stop_server(server)

"""Exit codes of the programs."""

import shutil

import numpy as np
import pytest
from conftest import run_index, start_server, stop_server


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

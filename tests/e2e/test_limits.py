"""Builds that meet a limit: memory that stays far below the input's size, a disk that fills up."""

import shlex
import subprocess
import sys

import numpy as np
import pytest
from conftest import BIN, EXAMPLE, run_index

INPUT_MB = 256
PEAK_MB_MAX = 160  # The input is larger: a build that held it could not pass.


def is_instrumented():
    """Sanitizers keep shadow memory and what was freed, so that sizes say nothing."""
    content = (BIN / "mrl-index").read_bytes()
    return b"__asan_init" in content or b"__tsan_init" in content


def write_rows(path, rows, dims):
    block = np.random.default_rng(1).standard_normal((4096, dims), dtype=np.float32)
    whole = np.lib.format.open_memmap(path, "w+", np.float32, (rows, dims))
    for start in range(0, rows, len(block)):
        count = min(len(block), rows - start)
        whole[start : start + count] = block[:count] + np.float32(start / rows)
    whole.flush()


# A program that is started from a large process counts that one's peak as its own: a small one
# stands between.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_memory_of_a_build_is_far_below_its_input(tmp_path):
    if is_instrumented():
        pytest.skip("a sanitizer's own memory would be measured")
    write_rows(tmp_path / "rows.npy", INPUT_MB * 256, 1024)
    build = [BIN / "mrl-index", "build", "--input", tmp_path / "rows.npy"]
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, *build, "--output", tmp_path / "index"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    code, peak_kb = map(int, ran.stdout.split())
    assert code == 0, ran.stderr
    assert peak_kb < PEAK_MB_MAX * 1024


def on_small_disk(script):
    """Runs shell commands with a 6 MB file system as working folder, gone when they end."""
    mounted = "mount -t tmpfs -o size=6m none /mnt && cd /mnt"
    shell_of_own = ["unshare", "-rm", "sh", "-c"]
    allowed = subprocess.run([*shell_of_own, mounted], capture_output=True, text=True)
    if allowed.returncode != 0:
        pytest.skip(f"a file system may not be mounted here: {allowed.stderr.strip()}")
    return subprocess.run(
        [*shell_of_own, f"{mounted} || exit 99\n{script}"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def shell(*command):
    return shlex.join(map(str, command))


def test_full_disk_exits_74_and_leaves_nothing():
    build = shell(
        BIN / "mrl-index", "build", "--input", EXAMPLE / "embeddings.npy", "--output", "index"
    )
    ran = on_small_disk(f'{build}; echo "exit $?"; ls -A | wc -l')
    assert ran.stdout.split() == ["exit", "74", "0"]
    assert "No space left on device" in ran.stderr


def test_full_disk_while_replacing_keeps_the_old_index(tmp_path):
    np.save(tmp_path / "few.npy", np.load(EXAMPLE / "embeddings.npy")[:500])
    first = shell(BIN / "mrl-index", "build", "--input", tmp_path / "few.npy", "--output", "index")
    second = shell(
        BIN / "mrl-index", "build", "--input", EXAMPLE / "embeddings.npy", "--output", "index",
        "--replace",
    )  # fmt: skip
    verify = shell(BIN / "mrl-index", "verify", "--index", "index")
    ran = on_small_disk(
        f'{first} >&2 || exit 98\n{second}; echo "exit $?"; {verify} >&2; echo "exit $?"; ls -A'
    )
    assert ran.stdout.split() == ["exit", "74", "exit", "0", "index"], ran.stderr


def test_existing_output_is_refused_without_replace(index):
    ran = run_index("build", "--input", EXAMPLE / "queries.npy", "--output", index)
    assert ran.returncode != 0
    assert "--replace" in ran.stderr
    assert run_index("verify", "--index", index).returncode == 0

"""The memory account beside what the kernel counts: anonymous memory, huge pages among it."""

import pathlib
import re
import subprocess
import time
import urllib.request

import mrl
import numpy as np
import pytest
from conftest import BIN, run_index
from live_server import LiveServer
from test_limits import is_instrumented

ROWS = 200_000
DIM = 256
LADDER = "16,32,64,128,256"
MB = 1 << 20
# Beside the account, above what an empty server takes: RocksDB's tables of one collection that is only read and
# what gRPC and searches left with the allocator.
ALLOWANCE = 4 * MB
# Where points are written, RocksDB has memtables too (16 MB of the tail, twice while one is flushed, 4 MB of each
# other family), and the allocator keeps what messages took.
WRITE_ALLOWANCE = 64 * MB

pytestmark = pytest.mark.skipif(is_instrumented(), reason="a sanitizer's own memory would be measured")


def made_rows(count=ROWS):
    """Clusters whose dimensions shrink, unit vectors."""
    rng = np.random.default_rng(7)
    scale = (1 / np.sqrt(np.arange(1, DIM + 1))).astype(np.float32)
    centres = rng.standard_normal((200, DIM), dtype=np.float32)
    rows = (centres[rng.integers(0, 200, count)] + 0.7 * rng.standard_normal((count, DIM), dtype=np.float32)) * scale
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def anonymous_bytes(pid):
    """RssAnon has transparent huge pages; those of hugetlbfs are counted apart."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return sum(int(re.search(rf"^{key}:\s+(\d+) kB", status, re.MULTILINE)[1]) << 10
               for key in ("RssAnon", "HugetlbPages"))  # fmt: skip


def used_bytes(http):
    page = urllib.request.urlopen(f"http://{http}/metrics", timeout=10).read().decode()
    return int(float(re.search(r"^mrl_memory_used_bytes (\S+)", page, re.MULTILINE)[1]))


def settled(process, http):
    """(anonymous, account) when neither changes any more: warming up and giving back go on for a moment."""
    end = time.monotonic() + 30
    before = None
    while time.monotonic() < end:
        now = (anonymous_bytes(process.pid), used_bytes(http))
        if now == before:
            break
        before = now
        time.sleep(0.3)
    return now


class IndexServer(LiveServer):
    """mrl-server of one built index and no data folder."""

    def __init__(self, index, folder, *flags):
        super().__init__(folder, "--index", f"made={index}", *flags)


@pytest.fixture(scope="module")
def empty_bytes(tmp_path_factory):
    server = LiveServer(tmp_path_factory.mktemp("empty"))
    anonymous, account = settled(server.process, server.http)
    assert server.stop() == 0
    assert account == 0
    return anonymous


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    np.save(folder / "rows.npy", made_rows())
    built = run_index("build", "--input", folder / "rows.npy", "--dims", LADDER, "--output", folder / "index")
    assert built.returncode == 0, built.stderr
    (folder / "rows.npy").unlink()
    return folder / "index"


def check(anonymous, account, allowance):
    assert account * 0.9 <= anonymous <= account * 1.1 + allowance, (anonymous, account)


def check_served(index, tmp_path, empty_bytes, funnel, *flags):
    server = IndexServer(index, tmp_path / "data", *flags)
    with mrl.Client(server.address) as client:
        for query in made_rows(20):
            assert len(client.search("made", query, funnel=funnel).hits) == 10
    anonymous, account = settled(server.process, server.http)
    assert server.stop() == 0
    check(anonymous - empty_bytes, account, ALLOWANCE)
    return account


def test_scan_with_levels_in_memory_and_on_disk(made, tmp_path, empty_bytes):
    funnel = "16:200,64:50,256:10"
    held = check_served(made, tmp_path, empty_bytes, funnel)
    cold = check_served(made, tmp_path, empty_bytes, funnel, "--hot-dims", 64)
    assert held - cold == ROWS * (DIM - 64) * 4  # f32


@pytest.mark.parametrize("kind, flags, funnel", [
    ("ivf_scan", [], "ivf_scan/256b1:200,256:10"),
    ("graph", ["--degree", 16], "graph/256b1:200,256:10"),
    ("faiss", ["--dims", 32, "--faiss-factory", "HNSW12"], "faiss/32:200,256:10"),
])  # fmt: skip
def test_an_index_beside_the_scan(made, tmp_path, empty_bytes, kind, flags, funnel):
    """Levels above 16 are on disk, so that the index is much of what is held."""
    added = run_index("index", "add", kind, "--index", made, *flags)
    assert added.returncode == 0, added.stderr
    try:
        check_served(made, tmp_path, empty_bytes, funnel, "--hot-dims", 16)
    finally:
        assert run_index("index", "drop", kind, "--index", made).returncode == 0


def test_rows_of_a_tail(tmp_path, empty_bytes):
    rows = made_rows(120_000)
    server = LiveServer(tmp_path / "data", "--seal-rows", 1_000_000)
    with mrl.Client(server.address) as client:
        client.create_collection("made", DIM, ladder=[int(dims) for dims in LADDER.split(",")])

        def write(first, last):
            for at in range(first, last, 500):
                client.upsert("made", range(at, at + 500), rows[at : at + 500])
            return settled(server.process, server.http)

        few = write(0, 30_000)
        all_rows = write(30_000, len(rows))
        assert client.search("made", rows[-1], exact=True).hits[0].id == len(rows) - 1
    assert server.stop() == 0
    check(few[0] - empty_bytes, few[1], WRITE_ALLOWANCE)
    # RocksDB's and gRPC's part is there from the beginning: the rest is what the account says.
    check(all_rows[0] - few[0], all_rows[1] - few[1], ALLOWANCE)

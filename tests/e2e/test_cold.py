"""Long levels on disk: the same answers, less memory, and damage that ends no server."""

import concurrent.futures
import json
import shutil
import subprocess
import threading
import time

import grpc
import mrl
import numpy as np
import pytest
from conftest import BIN, EXAMPLE, run_index, start_server, stop_server
from live_server import LiveServer
from test_live import DIM, refused, vectors

QUERIES = EXAMPLE / "queries.npy"
FUNNEL = "16:200,64:50,512:10"


def evaluated(index, tmp_path, hot_dims):
    found = tmp_path / f"{hot_dims}.npy"
    ran = run_index("eval", "--index", index, "--queries", QUERIES, "--funnel", FUNNEL, "--exact", "--limit", 40,
                    "--hot-dims", hot_dims, "--found", found, "--json")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()], np.load(found)


def test_eval_finds_the_same_and_holds_less(index, tmp_path):
    hot, expected = evaluated(index, tmp_path, 0)
    assert [stage["cold_bytes"] for stage in hot[0]["stages"]] == [0, 0, 0]
    held = [hot[0]["memory_bytes_per_row"]]
    for dims in (256, 100, 64, 16, 1):
        cold, found = evaluated(index, tmp_path, dims)
        assert np.array_equal(found, expected)
        assert [one["recall"] for one in cold] == [one["recall"] for one in hot]
        assert cold[0]["hot_bytes_per_row"] == hot[0]["hot_bytes_per_row"]
        assert cold[0]["stages"][2]["cold_bytes"] > 0
        held.append(cold[0]["memory_bytes_per_row"])
    # 100 holds what 64 holds: a level is held whole or not at all.
    assert held[0] > held[1] > held[2] == held[3] > held[4] > held[5]
    inspected = json.loads(run_index("inspect", "--index", index, "--hot-dims", 64, "--json").stdout)
    assert [level["memory_bytes"] > 0 for level in inspected["levels"]] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("verb", ["search", "eval", "certify", "tune"])
def test_bad_values_are_refused_by_name(index, verb):
    what = {"search": ["--id", "dog.n.01"], "certify": []}.get(verb, ["--queries", QUERIES])
    for value in (-1, 65537, "many"):
        ran = run_index(verb, "--index", index, *what, "--hot-dims", value)
        assert ran.returncode == 2
        assert "--hot-dims" in ran.stderr and str(value) in ran.stderr


def test_server_refuses_bad_values(index):
    command = [BIN / "mrl-server", "--index", f"a={index}", "--hot-dims", "65537"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert "hot-dims is 65537; 0 to 65536 are accepted" in ran.stderr


def test_server_serves_an_index_the_same(index):
    queries = np.load(QUERIES)[:20]
    answers = []
    for flags in ([], ["--hot-dims", 64]):
        server, address = start_server(index, *flags)
        with mrl.Client(address) as client:
            found = [client.search("wordnet", query, k=5, funnel=FUNNEL).hits for query in queries]
            found.append(client.search("wordnet", queries[0], k=5, exact=True, with_vector=True).hits)
            answers.append([[(hit.id, hit.score, None if hit.vector is None else hit.vector.tobytes())
                             for hit in hits] for hits in found])  # fmt: skip
            stages = client.explain("wordnet", queries[0], funnel=FUNNEL).result.stats.stages
            levels = client.stats("wordnet").levels
            client.reload_collection("wordnet")
            again = client.search("wordnet", queries[0], k=5, funnel=FUNNEL).hits
            assert [hit.id for hit in again] == [hit.id for hit in found[0]]
        assert stop_server(server) == 0
    assert answers[0] == answers[1]
    assert stages[1].cold_bytes == 0 and stages[2].cold_bytes == 50 * (512 - 64) * 2  # f16
    assert [size > 0 for size in levels.values()] == [True] * 3 + [False] * 3


def test_written_collections_answer_the_same(tmp_path):
    points = vectors(420)
    servers = [LiveServer(tmp_path / "hot"), LiveServer(tmp_path / "cold", "--hot-dims", 8)]

    def check():
        answers = []
        for server in servers:
            with mrl.Client(server.address) as client:
                answers.append([[(hit.id, hit.score) for hit in client.search("words", point, k=5, exact=exact).hits]
                                for point in points[:9] for exact in (False, True)])  # fmt: skip
        assert answers[0] == answers[1]

    for server in servers:
        with mrl.Client(server.address) as client:
            client.create_collection("words", DIM, ladder=[8, 16, DIM])
            client.upsert("words", range(420), points)
    check()
    for server in servers:
        with mrl.Client(server.address) as client:
            client.wait_operation(client.compact_collection("words").name)
    check()
    with mrl.Client(servers[1].address) as client:
        assert [size > 0 for size in client.stats("words").levels.values()] == [True, False, False]
        assert {one.key: one.value for one in client.config()}["hot-dims"] == "8"
    servers[1].kill()
    servers[1].start()
    check()
    for server in servers:
        assert server.stop() == 0


def test_a_file_that_is_cut_short_is_lost_alone(index, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(index, copy)
    server, address = start_server(index, "--index", f"cut={copy}", "--hot-dims", 64, "--warm-up-queries", 0)
    query = np.load(QUERIES)[0]
    with mrl.Client(address) as client:
        expected = client.search("cut", query, k=5, exact=True).hits  # every page is read once
        victim = max(copy.rglob("*.seg"), key=lambda path: path.stat().st_size)
        with victim.open("r+b") as file:
            file.truncate(1 << 20)
        for _ in range(3):
            refused(lambda: client.search("cut", query, k=5, exact=True), grpc.StatusCode.DATA_LOSS, victim.name)
        assert client.search("wordnet", query, k=5, exact=True).hits == expected
        assert client.search("cut", query, k=5, funnel="16:200,64:5", with_payload=False).hits
    assert stop_server(server) == 0


def test_searches_that_run_while_a_file_is_cut_short_answer_or_say_so(index, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(index, copy)
    server, address = start_server(index, "--index", f"cut={copy}", "--hot-dims", 64, "--warm-up-queries", 0)
    query = np.load(QUERIES)[1]
    cut, done = threading.Event(), threading.Event()

    def ask(name):
        """The codes of what was refused, and whether every answer was the right one."""
        codes, right = [], True
        with mrl.Client(address) as client:
            while not done.is_set():
                was_cut = cut.is_set()
                try:
                    right &= client.search(name, query, k=5, exact=True, with_payload=False).hits == expected
                    right &= not (name == "cut" and was_cut)
                except mrl.MrlError as error:
                    codes.append(error.code)
        return codes, right

    with mrl.Client(address) as client, concurrent.futures.ThreadPoolExecutor(8) as pool:
        expected = client.search("wordnet", query, k=5, exact=True, with_payload=False).hits
        asked = {name: [pool.submit(ask, name) for _ in range(4)] for name in ("cut", "wordnet")}
        time.sleep(0.3)
        victim = max(copy.rglob("*.seg"), key=lambda path: path.stat().st_size)
        with victim.open("r+b") as file:
            file.truncate(victim.stat().st_size // 2)
        cut.set()
        time.sleep(0.7)
        done.set()
    for codes, right in (one.result() for one in asked["cut"]):
        assert right and set(codes) == {grpc.StatusCode.DATA_LOSS}
    assert [one.result() for one in asked["wordnet"]] == 4 * [([], True)]
    assert stop_server(server) == 0

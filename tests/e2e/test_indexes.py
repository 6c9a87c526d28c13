"""Indexes built while a server runs, and the operations that build them, through real gRPC."""

import time

import mrl
import numpy as np
import pytest
from grpc import StatusCode
from live_server import LiveServer
from test_live import refused

DIM = 64
ROWS = 4000


def vectors(count, seed=1):
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)


def wait(client, operation, limit_s=120):
    end = time.monotonic() + limit_s
    while not operation.done:
        assert time.monotonic() < end, operation
        operation = client.get_operation(operation.name)
    return operation


def wait_for_segments(client, count, limit_s=60):
    """Until so many hold the active index; sealing goes on behind the writes."""
    end = time.monotonic() + limit_s
    while client.list_indexes("words")[0].segments < count:
        assert time.monotonic() < end, client.list_indexes("words")
        time.sleep(0.05)


@pytest.fixture
def server(tmp_path):
    server = LiveServer(tmp_path / "data", "--seal-rows", "1000")
    yield server
    server.stop()


@pytest.fixture
def client(server):
    with mrl.Client(server.address) as client:
        client.create_collection("words", DIM, ladder=[16, 32, 64], codes=["16b8", "64b1"])
        client.upsert("words", range(ROWS), vectors(ROWS))
        wait_for_segments(client, 1)
        yield client


def recall(client, funnel, queries):
    hits = 0
    for query in queries:
        exact = {hit.id for hit in client.search("words", query, k=10, exact=True).hits}
        hits += len(exact & {hit.id for hit in client.search("words", query, funnel=funnel).hits})
    return hits / (10 * len(queries))


def test_a_graph_is_built_and_walked(client):
    operation = wait(client, client.build_index("words", "graph", degree=16))
    assert operation.error_code == 0, operation
    index = operation.index
    assert (index.kind, index.code, index.degree, index.dims) == ("graph", "64b1", 16, 64)
    assert index.memory_bytes >= ROWS // 2 * (16 * 4 + 8)
    queries = vectors(20, seed=2)
    # Random vectors have no near neighbours: a walk that is short misses some of them, and not all.
    assert recall(client, f"graph(efSearch={ROWS})/64b1:400,64", queries) > 0.9
    assert 0.1 < recall(client, "graph(efSearch=10)/64b1:20,64", queries) < 0.9
    refused(
        lambda: client.search("words", queries[0], funnel="graph/32:100,64"),
        StatusCode.INVALID_ARGUMENT,
        "a graph is walked by its code 64b1",
    )
    refused(
        lambda: client.build_index("words", "graph", degree=3), StatusCode.INVALID_ARGUMENT, "3 links a row"
    )
    client.delete_index("words", "graph")


def test_an_index_is_built_used_and_deleted_beside_searches(client):
    operation = wait(client, client.build_index("words", "ivf_scan", dims=32, lists=8))
    assert operation.error_code == 0, operation
    assert (operation.method, operation.collection) == ("BuildIndex", "words")
    assert operation.rows_done == operation.rows > 0
    assert (operation.index.kind, operation.index.dims, operation.index.code) == (
        "ivf_scan", 32, "64b1")  # fmt: skip
    assert [index.kind for index in client.list_indexes("words")] == ["scan", "ivf_scan"]
    queries = vectors(20, seed=2)
    # All lists are a scan; half of them lose some of the neighbours of random vectors, and not all.
    assert recall(client, "ivf_scan(nprobe=8)/64b1:400,64", queries) > 0.9
    assert 0.4 < recall(client, "ivf_scan(nprobe=4)/64b1:400,64", queries) < 1

    assert client.activate_index("words", "ivf_scan").active
    assert client.search("words", queries[0]).stats.plan.startswith("ivf_scan/")
    # Segments to come get it too.
    client.upsert("words", range(ROWS, ROWS + 2000), vectors(2000, seed=3))
    wait_for_segments(client, operation.index.segments + 1)
    refused(lambda: client.delete_index("words", "ivf_scan"), StatusCode.FAILED_PRECONDITION, "is active")
    client.activate_index("words", "scan")
    client.delete_index("words", "ivf_scan")
    assert [index.kind for index in client.list_indexes("words")] == ["scan"]


def test_a_product_quantiser_gets_the_prefix_that_suits_its_bytes(client):
    checked = client.build_index("words", "faiss", faiss_factory="PQ8", validate_only=True)
    assert checked.done and checked.index.dims == 0  # not measured yet
    operation = wait(client, client.build_index("words", "faiss", faiss_factory="PQ8"))
    assert operation.error_code == 0, operation
    # Random vectors: every dimension left out is lost, whatever eight bytes make of the rest.
    assert operation.index.dims == 64
    assert len(client.search("words", vectors(1)[0], funnel="faiss/64:10").hits) == 10
    refused(lambda: client.build_index("words", "faiss", faiss_factory="HNSW8"), StatusCode.INVALID_ARGUMENT,
            "0 dims are not on the ladder 16,32,64")  # fmt: skip


def test_a_build_says_before_what_it_takes(client):
    checked = client.build_index("words", "ivf_scan", validate_only=True)
    assert checked.done and not checked.name
    assert (checked.index.dims, checked.index.code) == (64, "64b1")
    assert 8 * ROWS < checked.index.memory_bytes < 40 * ROWS
    assert client.list_operations() == ([], "")


def test_what_cannot_be_built_is_refused(client):
    refused(lambda: client.build_index("words", "ivf", dims=16), StatusCode.INVALID_ARGUMENT,
            "the coarse kind `ivf` cannot be built, these can: faiss, ivf_scan")  # fmt: skip
    refused(lambda: client.build_index("words", "ivf_scan", dims=17), StatusCode.INVALID_ARGUMENT,
            "17 dims are not on the ladder 16,32,64")  # fmt: skip
    refused(lambda: client.build_index("words", "ivf_scan", code="64b4"), StatusCode.INVALID_ARGUMENT,
            "the code 64b4 is not stored, these are: 16b8,64b1")  # fmt: skip
    refused(lambda: client.build_index("none", "ivf_scan"), StatusCode.NOT_FOUND, "'none'")
    refused(lambda: client.activate_index("words", "faiss"), StatusCode.NOT_FOUND, "these are: scan")
    refused(lambda: client.get_operation("nope"), StatusCode.INVALID_ARGUMENT, "operations/ID is needed")
    refused(lambda: client.get_operation("operations/0"), StatusCode.NOT_FOUND, "operations/0")
    operation = wait(client, client.build_index("words", "faiss", dims=16, faiss_factory="What7"))
    assert operation.error_code == 3 and "What7" in operation.error_message
    assert [index.kind for index in client.list_indexes("words")] == ["scan"]


def test_operations_are_listed_cancelled_forgotten_and_survive_a_restart(server, client):
    first = wait(client, client.build_index("words", "faiss", dims=16, faiss_factory="Flat"))
    assert first.error_code == 0, first
    client.cancel_operation(first.name)  # has ended: nothing changes
    listed, token = client.list_operations()
    assert [operation.name for operation in listed] == [first.name] and token == ""
    client.build_index("words", "ivf_scan", lists=4)
    server.kill()
    server.start()
    with mrl.Client(server.address) as again:
        names = [operation.name for operation in again.list_operations()[0]]
        assert first.name in names and len(names) == 2
        for name in names:
            operation = wait(again, again.get_operation(name))
            assert operation.error_code == 0, operation
        kinds = {index.kind for index in again.list_indexes("words")}
        assert kinds == {"scan", "faiss", "ivf_scan"}
        again.delete_operation(first.name)
        refused(lambda: again.get_operation(first.name), StatusCode.NOT_FOUND, first.name)

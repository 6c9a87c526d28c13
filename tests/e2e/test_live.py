"""Collections that take writes, through the Python client and a real server."""

import asyncio
import subprocess

import grpc
import mrl
import numpy as np
import pytest
from conftest import BIN
from live_server import LiveServer

DIM = 32


def vectors(count, seed=1):
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)


@pytest.fixture
def server(tmp_path):
    server = LiveServer(tmp_path / "data", "--seal-rows", "100")
    yield server
    server.stop()


@pytest.fixture
def client(server):
    with mrl.Client(server.address) as client:
        yield client


def refused(call, code, words):
    with pytest.raises(mrl.MrlError) as caught:
        call()
    assert caught.value.code == code, caught.value
    assert words in caught.value.message


def test_a_point_is_found_as_soon_as_it_is_written(client):
    made = client.create_collection("words", DIM, ladder=[8, 16, 32])
    assert (made.rows, made.ladder, made.read_only, made.state) == (0, [8, 16, 32], False, "serving")
    points = vectors(250)
    written = client.upsert("words", range(250), points, [{"n": i} for i in range(250)])
    assert (written.sequence, written.points) == (250, 250)
    result = client.search("words", points[7], k=3, min_sequence=written.sequence)
    assert (result.hits[0].id, result.hits[0].payload) == (7, {"n": 7})
    assert result.stats.sequence == 250
    # Through the tail and through segments alike.
    client.upsert("words", [7], points[8:9])
    ids = [hit.id for hit in client.search("words", points[8], k=2, exact=True).hits]
    assert sorted(ids) == [7, 8]


def test_f32_vectors_come_back_to_the_bit(client):
    client.create_collection("words", DIM)
    points = vectors(120)
    client.upsert("words", [f"p{i}" for i in range(120)], points)
    got = client.get("words", ["p3", "none", "p119"])
    assert [point.id for point in got] == ["p3", "p119"]
    assert got[0].vector.tobytes() == points[3].tobytes()
    assert [point.sequence for point in got] == [4, 120]


def test_deletes_counts_and_pages(client):
    client.create_collection("words", DIM)
    client.upsert("words", range(300), vectors(300))
    assert client.delete("words", [1, 2, 999], validate_only=True).points == 2
    assert client.count("words") == 300
    assert client.delete("words", [1, 2, 999]).points == 2
    assert client.count("words") == 298
    seen, token = [], ""
    while True:
        page, token = client.list_points("words", page_size=77, page_token=token)
        seen += [point.id for point in page]
        if not token:
            break
    assert seen == [0, *range(3, 300)]


@pytest.mark.parametrize("storage", ["f16", "bf16", "int8"])
def test_payloads_change_and_vectors_stay(client, storage):
    client.create_collection("words", DIM, storage=storage)
    points = vectors(3)
    client.upsert("words", [0, 1, 2], points, [{"n": 0}, None, {"n": 2}])
    before = client.get("words", [1])[0]
    client.update_payloads("words", {1: {"new": True}})
    after = client.get("words", [1])[0]
    assert after.payload == {"new": True}
    assert after.vector.tobytes() == before.vector.tobytes()
    refused(lambda: client.update_payloads("words", {9: {}}), grpc.StatusCode.NOT_FOUND, "'9'")


def test_conditions(client):
    client.create_collection("words", DIM)
    client.upsert("words", [1], vectors(1))
    refused(
        lambda: client.upsert("words", [1], vectors(1), if_absent=True),
        grpc.StatusCode.ALREADY_EXISTS,
        "point '1' exists already",
    )
    refused(
        lambda: client.upsert("words", [1], vectors(1), if_sequences=[7]),
        grpc.StatusCode.ABORTED,
        "point '1' has sequence 1; 7 was expected",
    )
    client.upsert("words", [1], vectors(1), if_sequences=[1])


def test_bad_requests_are_refused_and_change_nothing(client):
    client.create_collection("words", DIM)
    bad = vectors(2)
    bad[1, 3] = np.nan
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    refused(lambda: client.upsert("words", [0, 1], bad), invalid, "NaN")
    refused(lambda: client.upsert("words", [0], vectors(1)[:, :31]), invalid, "31 dimensions")
    refused(lambda: client.upsert("words", [], vectors(0)), invalid, "points has 0 entries")
    refused(lambda: client.upsert("words", [""], vectors(1)), invalid, "empty string")
    refused(lambda: client.create_collection("Words", DIM), invalid, "a-z, 0-9")
    refused(lambda: client.create_collection("../x", DIM), invalid, "a-z, 0-9")
    refused(lambda: client.create_collection("x", 0), invalid, "dim is 0")
    refused(
        lambda: client.create_collection("words", DIM), grpc.StatusCode.ALREADY_EXISTS, "'words'"
    )
    refused(
        lambda: client.search("words", vectors(1)[0], min_sequence=5),
        grpc.StatusCode.FAILED_PRECONDITION,
        "has come to sequence 0; 5 was asked for",
    )
    assert client.count("words") == 0


def test_aliases_are_swapped_in_one_step(client):
    for name in ("old", "new"):
        client.create_collection(name, DIM)
    client.upsert("new", [1], vectors(1))
    assert client.update_aliases({"live": "old"}) == {"live": "old"}
    assert client.count("live") == 0
    client.update_aliases({"live": "new", "before": "old"})
    assert client.count("live") == 1
    assert client.get_collection("new").aliases == ["live"]
    refused(
        lambda: client.delete_collection("live"), grpc.StatusCode.FAILED_PRECONDITION, "an alias"
    )
    client.delete_collection("new")
    assert client.aliases() == {"before": "old"}
    refused(lambda: client.count("live"), grpc.StatusCode.NOT_FOUND, "'live' does not exist")


def test_everything_is_there_after_a_restart(server):
    points = vectors(333)
    with mrl.Client(server.address) as client:
        client.create_collection("words", DIM, metric="l2")
        client.update_aliases({"live": "words"})
        client.upsert("words", range(333), points, durable=False)
        client.delete("words", [5])
        before = client.search("live", points[9], k=20)
    assert server.stop() == 0
    server.start()
    with mrl.Client(server.address) as client:
        assert client.count("live") == 332
        after = client.search("live", points[9], k=20)
        assert after.hits == before.hits
        assert after.stats.sequence == 334


def test_two_servers_do_not_share_a_folder(server):
    second = subprocess.run(
        [BIN / "mrl-server", "--data-dir", server.folder, "--grpc-port", "0", "--http-port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    assert "is in use by another server" in second.stderr


def test_a_built_index_takes_no_writes(address):
    with mrl.Client(address) as client:
        assert client.get_collection("wordnet").read_only
        refused(
            lambda: client.delete("wordnet", ["dog.n.01"]),
            grpc.StatusCode.FAILED_PRECONDITION,
            "served with --index and takes no writes",
        )
        refused(
            lambda: client.create_collection("words", DIM),
            grpc.StatusCode.FAILED_PRECONDITION,
            "--data-dir",
        )
        assert client.count("wordnet") == client.get_collection("wordnet").rows


def test_stream_reports_each_item(server):
    from mrl._proto.mrl.v1 import point_pb2, point_pb2_grpc
    from mrl.live import point_writes

    with mrl.Client(server.address) as client:
        client.create_collection("words", DIM)
        good = point_writes(range(10), vectors(10), [{"n": i} for i in range(10)])
        good[3].payload_json = "[1]"
        good[6].if_sequence = 99
        with grpc.insecure_channel(server.address) as channel:
            stub = point_pb2_grpc.PointServiceStub(channel)
            requests = [
                point_pb2.WritePointsRequest(collection="words", upserts=good),
                point_pb2.WritePointsRequest(deletes=[good[0].id, good[3].id]),
            ]
            first, second = stub.WritePoints(iter(requests))
        assert [(f.index, f.code) for f in first.failures] == [(3, 3), (6, 10)]
        assert (first.points, second.deleted, second.sequence) == (8, 1, 9)
        assert client.count("words") == 7


def test_asyncio_client_writes_too(server):
    async def run():
        async with mrl.AsyncClient(server.address) as client:
            await client.create_collection("words", DIM)
            await asyncio.gather(
                *(client.upsert("words", [i], vectors(1, seed=i)) for i in range(20))
            )
            return await client.count("words")

    assert asyncio.run(run()) == 20


def test_points_are_refused_before_the_disk_is_full(tmp_path):
    server = LiveServer(tmp_path / "data")
    with mrl.Client(server.address) as client:
        client.create_collection("words", DIM)
        client.upsert("words", [1, 2], vectors(2))
    assert server.stop() == 0
    server.flags = ["--disk-reserve-bytes", str(1 << 60)]
    server.start()
    try:
        with mrl.Client(server.address) as client:
            refused(
                lambda: client.upsert("words", [3], vectors(1)),
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"the reserve is {1 << 60}; reading and deleting go on",
            )
            assert client.delete("words", [1]).points == 1
            assert [hit.id for hit in client.search("words", vectors(1)[0]).hits] == [2]
    finally:
        server.stop()


def test_another_program_does_not_write_to_a_served_collection(server, client, tmp_path):
    client.create_collection("words", DIM)
    client.upsert("words", range(10), vectors(10))
    (collection,) = (server.folder / "collections").iterdir()
    np.save(tmp_path / "more.npy", vectors(3))
    (tmp_path / "ids.txt").write_text("100\n101\n102\n")
    command = [BIN / "mrl-index", "append", "--index", collection, "--input", tmp_path / "more.npy",
               "--ids", tmp_path / "ids.txt"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0 and "is open for writing already" in done.stderr
    assert client.count("words") == 10

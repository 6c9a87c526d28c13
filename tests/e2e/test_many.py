"""Many collections in one server: opened when they are used, closed when others are."""

import pathlib
import urllib.request

import grpc
import mrl
import pytest
from live_server import LiveServer
from test_live import DIM, refused, vectors

COUNT = 20
OPEN = 3


def name(number):
    return f"c{number:03}"


@pytest.fixture
def server(tmp_path):
    server = LiveServer(tmp_path / "data", "--open-collections", OPEN)
    with mrl.Client(server.address) as client:
        for number in range(COUNT):
            client.create_collection(name(number), DIM)
            client.upsert(name(number), range(number + 1), vectors(number + 1))
    yield server
    server.stop()


def states(client):
    return {collection.name: collection.state for collection in client.list_collections()}


def descriptors(server):
    return len(list(pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir()))


def test_they_are_opened_when_they_are_used(server):
    with mrl.Client(server.address) as client:
        assert list(states(client).values()).count("serving") <= OPEN
    assert server.stop() == 0
    server.start()
    with mrl.Client(server.address) as client:
        assert set(states(client).values()) == {"idle"} and len(states(client)) == COUNT
        before = descriptors(server)
        for number in range(COUNT):
            assert client.count(name(number)) == number + 1
            assert states(client)[name(number)] == "serving"
            assert list(states(client).values()).count("serving") <= OPEN
        # The last ones are those that are open; what was closed gave its files back.
        assert [key for key, state in states(client).items() if state == "serving"] == [
            name(number) for number in range(COUNT - OPEN, COUNT)
        ]
        assert descriptors(server) < before + 20 * (OPEN + 1)
        for number in reversed(range(COUNT)):
            client.upsert(name(number), [1000], vectors(1, seed=100 + number))
            assert client.search(name(number), vectors(1, seed=100 + number)[0], k=1).hits[0].id == 1000
        client.delete_collection(name(5))  # idle
        refused(lambda: client.count(name(5)), grpc.StatusCode.NOT_FOUND, "does not exist")
    server.kill()
    server.start()
    with mrl.Client(server.address) as client:
        assert len(states(client)) == COUNT - 1
        assert [client.count(name(n)) for n in range(COUNT) if n != 5] == [
            n + 2 for n in range(COUNT) if n != 5
        ]


def test_readiness_and_damage_are_told(server):
    assert server.stop() == 0
    damaged = sorted((server.folder / "collections").iterdir())[0]
    (damaged / "db" / "CURRENT").write_text("nonsense\n")
    server.start()
    page = urllib.request.urlopen(f"http://{server.http}/readyz", timeout=10).read().decode()
    assert page == f"ready: 0 collections are served\n{COUNT} collections are opened when they are used\n"
    with mrl.Client(server.address) as client:
        refusals = []
        for number in range(COUNT):
            try:
                client.count(name(number))
            except mrl.MrlError as error:
                refusals.append((name(number), error))
        assert len(refusals) == 1
        bad, error = refusals[0]
        assert error.code == grpc.StatusCode.DATA_LOSS and bad in error.message
        assert states(client)[bad] == "damaged"
    page = urllib.request.urlopen(f"http://{server.http}/readyz", timeout=10).read().decode()
    assert f"collection '{bad}' is not served" in page
    metrics = urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10).read().decode()
    assert f"mrl_collections_idle {COUNT - OPEN - 1}\n" in metrics
    assert "mrl_collections_damaged 1\n" in metrics
    assert f'mrl_collection_serving{{collection="{bad}"}} 0\n' in metrics

"""Snapshots, from each program and client to real servers."""

import asyncio
import json
import subprocess

import grpc
import mrl
import pytest
from conftest import BIN
from live_server import LiveServer
from test_indexes import wait
from test_live import DIM, refused, vectors


@pytest.fixture
def server(tmp_path):
    server = LiveServer(tmp_path / "data", "--seal-rows", "100")
    yield server
    server.stop()


@pytest.fixture
def client(server):
    with mrl.Client(server.address) as client:
        yield client


def everything(client, name):
    points, token = [], ""
    while True:
        page, token = client.list_points(name, page_token=token, with_vector=True)
        points += [(p.id, p.sequence, p.payload, p.vector.tobytes()) for p in page]
        if not token:
            return points


def fill(client, name="words"):
    client.create_collection(name, DIM, fields={"n": "int"})
    client.upsert(name, range(250), vectors(250), [{"n": i} for i in range(250)])
    client.delete(name, [3, 4])


def test_a_restored_collection_is_what_it_was(server, client):
    fill(client)
    before = everything(client, "words")
    made = client.create_snapshot("words", "first")
    assert (made.collection, made.name, made.sequence, made.rows) == ("words", "first", 252, 248)
    client.upsert("words", range(50), vectors(50, seed=2))
    assert client.list_snapshots("words") == [made] == [client.get_snapshot("words", "first")]
    client.delete_collection("words")
    assert server.stop() == 0
    server.start()
    with mrl.Client(server.address) as client:
        restored = wait(client, client.restore_snapshot("words", "first", "again"))
        assert (restored.method, restored.collection) == ("RestoreSnapshot", "again")
        assert restored.rows_done == restored.rows == made.bytes
        back = restored.result
        assert (back.name, back.rows, back.sequence, back.read_only) == ("again", 248, 252, False)
        assert everything(client, "again") == before
        assert client.count("again", filter="n < 10") == 8
        query = vectors(1, seed=5)[0]
        assert len(client.search("again", query).hits) == 10
        assert client.upsert("again", [3], vectors(1)).sequence == 253
        wait(client, client.restore_snapshot("words", "first", "words"))
        client.delete_snapshot("words", "first")
        assert client.list_snapshots("words") == []
        assert everything(client, "words") == before


def test_a_snapshot_goes_to_another_server(client, tmp_path):
    fill(client)
    before = everything(client, "words")
    made = client.create_snapshot("words", "s")
    client.download_snapshot("words", "s", tmp_path / "s.mrlsnap")
    other = LiveServer(tmp_path / "other")
    try:
        with mrl.Client(other.address) as there:
            came = there.upload_snapshot("copied", "s", tmp_path / "s.mrlsnap")
            assert (came.collection, came.sequence, came.bytes) == ("copied", 252, made.bytes)
            wait(there, there.restore_snapshot("copied", "s", "words"))
            assert everything(there, "words") == before

        async def asynchronously():
            async with mrl.AsyncClient(other.address) as there:
                await there.download_snapshot("copied", "s", tmp_path / "t.mrlsnap")
                await there.upload_snapshot("copied", "t", tmp_path / "t.mrlsnap")
                return [s.name for s in await there.list_snapshots("copied")]

        assert asyncio.run(asynchronously()) == ["s", "t"]
        first = (tmp_path / "s.mrlsnap").read_bytes()
        assert first == (tmp_path / "t.mrlsnap").read_bytes()
    finally:
        other.stop()


def test_what_is_wrong_is_said_and_leaves_nothing(server, client, tmp_path):
    fill(client)
    client.create_snapshot("words", "s")
    code = grpc.StatusCode
    refused(lambda: client.create_snapshot("words", "s"), code.ALREADY_EXISTS, "has a snapshot 's'")
    refused(lambda: client.create_snapshot("none", "s"), code.NOT_FOUND, "'none' does not exist")
    for name in ("", "../x", "A", "a" * 64, "x/y", ".hidden"):
        refused(lambda: client.create_snapshot("words", name), code.INVALID_ARGUMENT, "a-z, 0-9")
        refused(lambda: client.get_snapshot("words", name), code.INVALID_ARGUMENT, "a-z, 0-9")
        refused(lambda: client.list_snapshots(name), code.INVALID_ARGUMENT, "a-z, 0-9")
        refused(
            lambda: client.restore_snapshot("words", "s", name), code.INVALID_ARGUMENT, "a-z, 0-9"
        )
    refused(lambda: client.get_snapshot("words", "t"), code.NOT_FOUND, "has no snapshot 't'")
    refused(lambda: client.delete_snapshot("words", "t"), code.NOT_FOUND, "has no snapshot 't'")
    refused(
        lambda: client.restore_snapshot("words", "s", "words"), code.ALREADY_EXISTS, "is taken"
    )
    file = tmp_path / "s.mrlsnap"
    refused(
        lambda: client.download_snapshot("words", "t", file), code.NOT_FOUND, "has no snapshot 't'"
    )
    assert list(tmp_path.glob("*.mrlsnap*")) == []
    client.download_snapshot("words", "s", file)
    archive = file.read_bytes()
    bad = tmp_path / "bad"
    damaged = bytearray(archive)
    damaged[len(damaged) // 2] ^= 4
    for data, words in (
        (b"not an archive, but something else", "do not begin as one"),
        (archive + b"!", "1 bytes come behind its end"),
        (bytes(damaged), "the checksum is not the list's"),
    ):
        bad.write_bytes(data)
        refused(lambda: client.upload_snapshot("words", "t", bad), code.INVALID_ARGUMENT, words)
    bad.write_bytes(archive[:-1])
    with pytest.raises(ValueError, match="ends before the snapshot does"):
        client.upload_snapshot("words", "t", bad)
    refused(lambda: client.upload_snapshot("words", "s", file), code.ALREADY_EXISTS, "snapshot 's'")
    assert [s.name for s in client.list_snapshots("words")] == ["s"]
    folder = server.folder / "snapshots" / "words"
    client.delete_snapshot("words", "s")
    assert server.stop() == 0
    server.start()
    assert list(folder.iterdir()) == []


def test_a_built_index_has_no_snapshots(address):
    with mrl.Client(address) as client:
        refused(
            lambda: client.create_snapshot("wordnet", "s"),
            grpc.StatusCode.FAILED_PRECONDITION,
            "served with --index",
        )
        refused(
            lambda: client.list_snapshots("wordnet"),
            grpc.StatusCode.FAILED_PRECONDITION,
            "--data-dir",
        )


def test_command_line(server, client, tmp_path):
    fill(client)

    def run(*arguments, code=0):
        command = [BIN / "mrl", "--server", server.address, "snapshots", *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    run("create", "words", "s")
    listed = json.loads(run("list", "words", "--json"))
    assert [(s["name"], s["sequence"]) for s in listed] == [("s", 252)]
    assert json.loads(run("get", "words", "s", "--json")) == listed[0]
    run("download", "words", "s", "--output", tmp_path / "s.file")
    assert "exists" in run("download", "words", "s", "--output", tmp_path / "s.file", code=74)
    run("upload", "words", "t", "--input", tmp_path / "s.file")
    assert run("restore", "words", "t", "--to", "again") == "again: 248 rows\n"
    run("delete", "words", "t")
    assert [s["name"] for s in json.loads(run("list", "words", "--json"))] == ["s"]
    (tmp_path / "bad").write_bytes(b"x" * 100)
    assert "do not begin" in run("upload", "words", "u", "--input", tmp_path / "bad", code=65)
    run("upload", "words", "u", "--input", tmp_path / "none", code=74)

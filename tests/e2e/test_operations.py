"""Long work on collections through real gRPC: other fields, compaction, restoring; every client."""

import asyncio
import json
import os
import subprocess
from pathlib import Path

import grpc
import mrl
import mrl._proto.mrl.v1.collection_pb2
import pytest
from conftest import BIN
from live_server import LiveServer
from test_indexes import wait
from test_live import DIM, refused, vectors
from test_snapshots import everything

ROWS = 450


@pytest.fixture
def server(tmp_path):
    server = LiveServer(tmp_path / "data", "--seal-rows", "100")
    yield server
    server.stop()


@pytest.fixture
def client(server):
    with mrl.Client(server.address) as client:
        client.create_collection("words", DIM, fields={"n": "int"})
        payloads = [{"n": i, "word": f"w{i % 10}"} for i in range(ROWS)]
        client.upsert("words", range(ROWS), vectors(ROWS), payloads)
        client.delete("words", range(100, 150))
        yield client


def test_fields_change_while_the_collection_serves(server, client):
    refused(lambda: client.count("words", filter="word = w3"), grpc.StatusCode.INVALID_ARGUMENT, "word")
    checked = client.update_collection("words", fields={"word": "keyword"}, validate_only=True)
    assert checked.done and checked.result.fields == {"word": "keyword"}
    assert client.get_collection("words").fields == {"n": "int"}
    ended = wait(client, client.update_collection("words", fields={"n": "int", "word": "keyword"}))
    assert (ended.error_code, ended.method) == (0, "UpdateCollection")
    assert ended.result.fields == {"n": "int", "word": "keyword"}
    assert client.count("words", filter="word = w3 AND n >= 150") == 30
    client.upsert("words", [1000], vectors(1), [{"word": "w3"}])
    assert server.stop() == 0
    server.start()
    with mrl.Client(server.address) as again:
        assert again.count("words", filter="word = w3") == 41
        assert wait(again, again.update_collection("words", fields={})).result.fields == {}


def test_what_cannot_change_is_refused(client):
    code = grpc.StatusCode
    client.upsert("words", [7], vectors(1), [{"word": 7}])
    ended = wait(client, client.update_collection("words", fields={"word": "keyword"}))
    assert ended.error_code == code.FAILED_PRECONDITION.value[0] and "point '7'" in ended.error_message
    assert client.get_collection("words").fields == {"n": "int"}
    client.update_aliases({"other": "words"})
    refused(lambda: client.update_collection("other", fields={}), code.FAILED_PRECONDITION, "is an alias")
    refused(lambda: client.update_collection("none", fields={}), code.NOT_FOUND, "'none'")
    refused(
        lambda: client.update_collection("words", fields={"a b": "int"}), code.INVALID_ARGUMENT, "'a b'"
    )
    stub, request = client._stubs.collections, mrl._proto.mrl.v1.collection_pb2
    for paths, words in (([], "is empty"), (["dim"], "names 'dim'"), (["fields", "name"], "names 'name'")):
        message = request.UpdateCollectionRequest()
        message.collection.name = "words"
        message.update_mask.paths.extend(paths)
        with pytest.raises(grpc.RpcError) as caught:
            stub.UpdateCollection(message)
        assert caught.value.code() == code.INVALID_ARGUMENT and words in caught.value.details()
    refused(lambda: client.compact_collection("none"), code.NOT_FOUND, "'none'")


def test_compaction_leaves_one_segment_and_the_same_points(client):
    before = sorted(everything(client, "words"))
    ended = wait(client, client.compact_collection("words"))
    assert ended.error_code == 0, ended
    assert (ended.result.segments, ended.result.rows) == (1, ROWS - 50)
    assert client.stats("words").segments == 1
    assert sorted(everything(client, "words")) == before
    again = wait(client, client.compact_collection("words"))
    assert again.result == mrl.Compaction(segments=1, rows=ROWS - 50, rows_written=0)
    client.delete("words", range(150, 160))
    hollow = wait(client, client.compact_collection("words"))
    assert hollow.result == mrl.Compaction(segments=1, rows=ROWS - 60, rows_written=ROWS - 60)
    assert hollow.rows_done == hollow.rows == ROWS - 60


def test_work_survives_a_kill(server, client):
    client.create_snapshot("words", "s")
    names = [
        client.restore_snapshot("words", "s", "again").name,
        client.compact_collection("words").name,
        client.update_collection("words", fields={"word": "keyword"}).name,
    ]
    server.kill()
    server.start()
    with mrl.Client(server.address) as again:
        for name in names:
            ended = wait(again, again.get_operation(name))
            assert ended.error_code == 0, ended
        assert again.count("words", filter="word = w3") == 40
        assert everything(again, "again") == everything(again, "words") or len(
            everything(again, "again")
        ) == ROWS - 50
        # The name is taken by what was restored, and by nothing else.
        refused(
            lambda: again.restore_snapshot("words", "s", "again"), grpc.StatusCode.ALREADY_EXISTS, "is taken"
        )


def test_threads_of_grpc_push_no_search_off_its_core(server, client):
    assert client.get_collection("words").rows == ROWS - 50  # a call was brought in
    threads = {}
    for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
        name = (thread / "comm").read_text().strip()
        threads.setdefault(name, set()).add(os.sched_getscheduler(int(thread.name)))
    bringing = {policy for name, policies in threads.items() if name.startswith("nexting") for policy in policies}
    assert bringing == {os.SCHED_BATCH}, threads
    assert os.sched_getscheduler(server.process.pid) == os.SCHED_OTHER


def test_asyncio(server, client):
    async def work():
        async with mrl.AsyncClient(server.address) as there:
            ended = await there.wait_operation((await there.compact_collection("words")).name)
            batches = [([900, 901], vectors(2), None), ([902], vectors(1) * float("nan"), None)]
            answers = [answer async for answer in there.write("words", batches)]
            return ended.result.segments, answers

    segments, answers = asyncio.run(work())
    assert segments == 1
    assert [answer.points for answer in answers] == [2, 0]
    assert list(answers[1].failures) == [0]
    blocking = list(client.write("words", [([903], vectors(1), [{"n": 1}])], durable=False))
    assert [(answer.points, answer.failures) for answer in blocking] == [(1, {})]
    assert client.get("words", [903])[0].payload == {"n": 1}


def test_command_line(server, tmp_path):
    def run(*arguments, code=0):
        command = [BIN / "mrl", "--server", server.address, *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def ask(*arguments):
        return json.loads(run(*arguments, "--json"))

    made = ask("collections", "create", "words", "--dim", "4", "--ladder", "2,4", "--metric", "ip",
               "--storage", "bf16", "--codes", "2b8", "--field", "n:int")  # fmt: skip
    assert (made["dim"], made["metric"], made["storage"], made["fields"]) == (4, "ip", "bf16", ["n:int"])
    assert "is taken" in run("collections", "create", "words", "--dim", "4", code=1)
    assert "ladder" in run("collections", "create", "x", "--dim", "4", "--ladder", "2,9", code=65)
    lines = tmp_path / "points.jsonl"
    points = [{"id": i, "vector": [1, 2, i, 4], "payload": {"n": i, "w": "a"}} for i in range(20)]
    lines.write_text("".join(json.dumps(point) + "\n" for point in points))
    assert run("points", "upsert", "words", "--input", lines, "--batch", "7") == "20 points written\n"
    bad = tmp_path / "bad.jsonl"
    bad.write_text(lines.read_text() + '{"id": "x", "vector": [1]}\n')
    assert "dimensions" in run("points", "upsert", "words", "--input", bad, code=65)
    skipped = ask("points", "upsert", "words", "--input", bad, "--skip-invalid", "--async")
    assert skipped["points"] == 20 and [f["index"] for f in skipped["failures"]] == [20]
    bad.write_text("nonsense\n")
    assert "line 1" in run("points", "upsert", "words", "--input", bad, code=65)
    run("points", "upsert", "words", "--input", tmp_path / "none", code=74)
    assert "exists" in run("points", "upsert", "words", "--input", lines, "--if-absent", code=1)
    lines.write_text('{"id": 3, "payload": {"n": 33, "w": "b"}}\n')
    assert ask("points", "payload", "words", "--input", lines)["points"] == 1
    got = ask("points", "get", "words", "--id", "3", "--id", "99", "--with-vector")
    assert [(p["id"], p["vector"], p["payload"]["n"]) for p in got] == [(3, [1, 2, 3, 4], 33)]

    assert ask("aliases", "set", "a=words", "b=words") == {"a": "words", "b": "words"}
    assert ask("aliases", "remove", "b") == ask("aliases", "list") == {"a": "words"}
    run("aliases", "set", "a", code=65)

    changed = ask("collections", "update", "words", "--field", "n:int", "--field", "w:keyword")
    assert changed["done"] and changed["response"]["fields"][1]["name"] == "w"
    assert run("points", "count", "words", "--filter", "w = b") == "1\n"
    assert ask("collections", "compact", "words")["response"]["segments"] == 1
    assert ask("collections", "stats", "words")["segments"] == 1
    built = ask("indexes", "build", "words", "faiss", "--dims", "2", "--faiss-factory", "Flat")
    assert built["response"]["spec"]["kind"] == "faiss"
    assert ask("indexes", "use", "words", "faiss")["active"]
    assert [i["kind"] for i in ask("indexes", "list", "words")] == ["faiss", "scan"]
    run("indexes", "use", "words", "scan")
    run("indexes", "delete", "words", "faiss")
    assert "What7" in run("indexes", "build", "words", "faiss", "--dims", "2", "--faiss-factory",
                          "What7", code=65)  # fmt: skip
    name = run("collections", "compact", "words", "--no-wait").strip()
    assert json.loads(run("operations", "wait", name, "--json"))["state"] == "done"
    assert ask("operations", "get", name)["method"] == "CompactCollection"
    run("operations", "cancel", name)
    run("operations", "delete", name)
    assert name not in [one["name"] for one in ask("operations", "list")]
    run("snapshots", "create", "words", "s")
    name = run("snapshots", "restore", "words", "s", "--to", "again", "--no-wait").strip()
    assert "again" in run("operations", "wait", name)
    run("collections", "delete", "again")
    assert [c["name"] for c in ask("collections", "list")] == ["words"]

"""Profiles over gRPC, through the Python client, the programs and /metrics."""

import asyncio
import json
import re
import subprocess
import urllib.request

import mrl
import numpy as np
import pytest
from conftest import BIN, run_index, start_server, stop_server
from grpc import StatusCode
from live_server import LiveServer
from test_live import DIM, refused, vectors


@pytest.fixture
def server(tmp_path):
    server = LiveServer(tmp_path / "data")
    yield server
    server.stop()


@pytest.fixture
def client(server):
    with mrl.Client(server.address) as client:
        client.create_collection("words", DIM, ladder=[8, 16, 32])
        client.upsert("words", range(500), vectors(500))
        yield client


def test_profiles_are_saved_served_rolled_back_and_survive(client, server):
    made = client.create_profile("words", "fast", "8:40,32:10", note="first", make_default=True)
    assert (made.serving_version, made.is_default, made.versions[0].note) == (1, True, "first")
    query = vectors(1, 2)[0]
    stats = client.search("words", query).stats
    assert (stats.profile, stats.profile_version, stats.plan) == ("fast", 1, "scan/8:40,32:10")
    assert client.search("words", query, k=20).stats.plan == "scan/8:80,32:20"
    client.update_profile("words", "fast", funnel="8:60,32:10", k=10)
    assert client.search("words", query, profile="fast").stats.profile_version == 2
    ids, _ = client.batch_search("words", vectors(3, 3), profile="fast")
    assert len(ids) == 3
    back = client.update_profile("words", "fast", roll_back_to=0)
    assert (back.serving_version, [v.version for v in back.versions]) == (1, [1, 2])
    client.create_profile("words", "other", "16:50,32:10")
    assert [p.name for p in client.list_profiles("words")] == ["fast", "other"]
    server.kill()
    server.start()
    with mrl.Client(server.address) as again:
        assert again.search("words", query).stats.profile_version == 1
        assert again.get_profile("words", "fast").versions == back.versions
        again.update_profile("words", "fast", is_default=False)
        assert again.search("words", query).stats.profile == ""
        again.delete_profile("words", "fast")
        assert [p.name for p in again.list_profiles("words")] == ["other"]


def test_what_cannot_be_is_refused(client):
    create = client.create_profile
    refused(lambda: create("words", "Fast", "32"), StatusCode.INVALID_ARGUMENT, "'Fast' is no name")
    refused(lambda: create("words", "fast", "9:50,32"), StatusCode.INVALID_ARGUMENT, "9 dims are not on")
    refused(lambda: create("words", "fast", "32:"), StatusCode.INVALID_ARGUMENT, "funnel `32:`")
    refused(lambda: create("none", "fast", "32"), StatusCode.NOT_FOUND, "collection 'none'")
    refused(lambda: create("words", "fast", "32", k=20000), StatusCode.INVALID_ARGUMENT, "k is 20000")
    refused(lambda: client.get_profile("words", "fast"), StatusCode.NOT_FOUND, "the collection has none")
    client.create_profile("words", "fast", "32", validate_only=True)
    assert client.list_profiles("words") == []
    client.create_profile("words", "fast", "32", make_default=True)
    refused(lambda: create("words", "fast", "32"), StatusCode.ALREADY_EXISTS, "'fast' exists already")
    refused(lambda: client.delete_profile("words", "fast"), StatusCode.FAILED_PRECONDITION, "is the default")
    update = client.update_profile
    refused(lambda: update("words", "fast", roll_back_to=7), StatusCode.NOT_FOUND, "has no version 7; it has 1")
    refused(lambda: update("words", "fast", shadow_share=2), StatusCode.INVALID_ARGUMENT, "share is 2; 0 to 1")
    # All or nothing: the version before the bad share was not saved.
    refused(lambda: update("words", "fast", funnel="16:20,32", shadow_share=-1), StatusCode.INVALID_ARGUMENT, "-1")
    assert len(client.get_profile("words", "fast").versions) == 1
    refused(lambda: client.search("words", vectors(1)[0], profile="slow"), StatusCode.NOT_FOUND, "these do: 'fast'")
    with pytest.raises(ValueError, match="profile and exact"):
        client.search("words", vectors(1)[0], profile="fast", exact=True)


def test_profiles_of_an_index_change_its_directory_and_are_served_at_once(tmp_path):
    index = tmp_path / "wordnet"
    np.save(tmp_path / "points.npy", vectors(300))
    build = ["build", "--input", tmp_path / "points.npy", "--dims", "8,32", "--output", index]
    built = run_index(*build)
    assert built.returncode == 0, built.stderr
    process, address = start_server(index)
    try:
        with mrl.Client(address) as client:
            query = vectors(1)[0]
            client.create_profile("wordnet", "fast", "8:30,32:10", make_default=True)
            assert client.search("wordnet", query).stats.profile == "fast"
            listed = json.loads(run_index("profile", "list", "--index", index, "--json").stdout)
            assert [profile["name"] for profile in listed] == ["fast"]
            # What another program saves is seen after a reload.
            words = ["profile", "save", "--index", index, "fast", "--funnel", "8:40,32:10"]
            saved = run_index(*words)
            assert saved.returncode == 0, saved.stderr
            assert client.search("wordnet", query).stats.profile_version == 1
            mrl_program(address, "collections", "reload", "wordnet")
            assert client.search("wordnet", query).stats.profile_version == 2
            # Another collection lies there now: its profiles are not touched.
            assert run_index(*build, "--replace").returncode == 0
            change = lambda: client.update_profile("wordnet", "fast", roll_back_to=1)
            refused(change, StatusCode.FAILED_PRECONDITION, "holds another version than is open")
            assert client.search("wordnet", query).stats.profile_version == 2
            mrl_program(address, "collections", "reload", "wordnet")
            assert client.list_profiles("wordnet") == []
    finally:
        stop_server(process)


def mrl_program(address, *words):
    command = [BIN / "mrl", "--server", address, "--json", *map(str, words)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout) if ran.stdout else None


def test_the_program_mrl_changes_profiles(client, server):
    def run(*words):
        return mrl_program(server.address, "profiles", *words)

    run("create", "words", "fast", "--funnel", "8:40,32:10", "--note", "first", "--default")
    run("update", "words", "fast", "--funnel", "8:50,32:10", "-k", 5)
    run("shadow", "words", "fast", 0.25)
    fast = run("get", "words", "fast")
    assert (fast["serving_version"], fast["default"], fast["shadow_share"]) == (2, True, 0.25)
    assert [v["k"] for v in fast["versions"]] == [10, 5]
    assert run("rollback", "words", "fast")["serving_version"] == 1
    assert run("rollback", "words", "fast", "--to", 2)["serving_version"] == 2
    found = mrl_program(server.address, "search", "words", "--id", 3, "--profile", "fast")
    assert (found["profile"], found["profile_version"]) == ("fast", 2)
    assert run("set-default", "words", "fast", "--off")["default"] is False
    run("delete", "words", "fast")
    assert run("list", "words") == []


def shadow_metrics(server):
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10) as page:
        text = page.read().decode()
    return {m[1]: float(m[2]) for m in re.finditer(r"^(mrl_shadow\S+) (\S+)$", text, re.MULTILINE)}


def test_a_shadow_is_compared_on_its_share_of_the_searches(client, server):
    client.create_profile("words", "good", "8:500,32:10", make_default=True)
    client.create_profile("words", "poor", "8:10,32:10")
    client.update_profile("words", "poor", shadow_share=0.5)
    found = []
    for query in vectors(20, 5):
        found.append(client.search("words", query).stats.profile)
    assert set(found) == {"good"}
    labels = 'collection="words",profile="poor",version="1"'
    for _ in range(1000):  # The comparing goes on behind the answers.
        seen = shadow_metrics(server)
        counted = [seen.get(f'mrl_shadow_searches_total{{{labels},result="{r}"}}', 0) for r in ("compared", "dropped")]
        if sum(counted) == 10:
            break
    assert sum(counted) == 10
    answer = seen[f'mrl_shadow_recall{{{labels},which="answer"}}']
    shadow = seen[f'mrl_shadow_recall{{{labels},which="shadow"}}']
    assert answer == 1 and 0 < shadow < 0.9
    assert seen[f"mrl_shadow_recall_difference{{{labels}}}"] == pytest.approx(shadow - answer)
    client.delete_collection("words")
    assert shadow_metrics(server) == {}


def test_the_asyncio_client_has_them_too(client, server):
    async def run():
        async with mrl.AsyncClient(server.address) as client:
            await client.create_profile("words", "fast", "8:40,32:10")
            return await client.list_profiles("words")

    assert [p.name for p in asyncio.run(run())] == ["fast"]

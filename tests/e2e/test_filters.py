"""Filters, from each program and client to a real server."""

import asyncio
import json
import subprocess

import grpc
import mrl
import numpy as np
import pytest
from conftest import BIN
from live_server import LiveServer
from test_live import DIM, refused, vectors

FIELDS = {"lang": "keyword", "year": "int", "score": "float", "open": "bool", "at": "datetime"}
COUNT = 400


def payload(i):
    return {
        "lang": ["en", "de", "fr"][i % 3],
        "year": 1900 + i,
        "score": i / 8,
        "open": i % 2 == 0,
        "at": f"2024-01-{1 + i % 28:02}T00:00:00Z",
        "other": i,
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = LiveServer(tmp_path_factory.mktemp("filters") / "data", "--seal-rows", "100")
    with mrl.Client(server.address) as client:
        client.create_collection("words", DIM, fields=FIELDS)
        client.upsert("words", range(COUNT), vectors(COUNT), [payload(i) for i in range(COUNT)])
    yield server
    server.stop()


@pytest.fixture
def client(server):
    with mrl.Client(server.address) as client:
        yield client


CASES = {
    'lang = "en"': lambda p: p["lang"] == "en",
    "year >= 2000 AND year < 2100": lambda p: 2000 <= p["year"] < 2100,
    "score > 10.5 OR open = false": lambda p: p["score"] > 10.5 or not p["open"],
    "at <= 2024-01-03T00:00:00Z AND NOT in(lang, de, fr)": lambda p: p["at"] <= "2024-01-03T00:00:00Z"
    and p["lang"] == "en",
    "year = 1903": lambda p: p["year"] == 1903,
    "year > 9999": lambda p: False,
}


@pytest.mark.parametrize("text", CASES)
def test_searches_counts_and_lists_agree_with_python(client, text):
    matching = [i for i in range(COUNT) if CASES[text](payload(i))]
    assert client.count("words", filter=text) == len(matching)
    listed, token = [], ""
    while True:
        page, token = client.list_points("words", page_size=50, page_token=token, filter=text)
        listed += [point.id for point in page]
        if not token:
            break
    assert listed == matching
    points = vectors(COUNT)
    query = vectors(1, seed=9)[0]
    cosines = points[matching] @ query / np.linalg.norm(points[matching], axis=1)
    nearest = [matching[i] for i in np.argsort(-cosines)[:10]]
    for options in ({}, {"exact": True}, {"funnel": "16:400,32:10"}):
        result = client.search("words", query, filter=text, **options)
        assert [hit.id for hit in result.hits] == nearest, options
        assert result.stats.rows_matched == len(matching)
    ids, _ = client.batch_search("words", np.stack([query] * 20), filter=text)
    assert ids == [nearest] * 20
    explained = client.explain("words", query, filter=text, why_not=[0])
    assert explained.why_not[0].found == (0 in matching)


def test_search_by_id_leaves_itself_out(client):
    result = client.search("words", id=3, k=2, filter="in(year, 1903, 1904)")
    assert [hit.id for hit in result.hits] == [4]
    result = client.search("words", id=5, k=2, filter="in(year, 1903, 1904)")
    assert {hit.id for hit in result.hits} == {3, 4}


def test_deleting_by_filter(client):
    client.create_collection("gone", DIM, fields={"n": "int"})
    client.upsert("gone", range(250), vectors(250), [{"n": i} for i in range(250)])
    asked = client.delete("gone", filter="n >= 200", validate_only=True)
    assert (asked.points, asked.sample) == (50, list(range(200, 210)))
    assert client.count("gone") == 250
    done = client.delete("gone", filter="n >= 200")
    assert (done.points, done.sequence) == (50, 300)
    assert client.count("gone") == 200
    assert client.delete("gone", filter="n >= 200").points == 0
    # A point that changed matches by what it has now.
    client.update_payloads("gone", {1: {"n": 500}, 2: None})
    assert client.count("gone", filter="n = 500") == 1
    assert client.count("gone", filter="NOT n:*") == 1
    refused(
        lambda: client.delete("gone", [1], filter="n = 500"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "ids and a filter were both given",
    )


def test_what_is_wrong_is_said(client):
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    query = vectors(1)[0]
    refused(lambda: client.search("words", query, filter="color = red"), invalid, "'color' is not")
    refused(lambda: client.count("words", filter="year = 'x'"), invalid, "is int; 'x' is not")
    refused(lambda: client.count("words", filter="year ="), invalid, "at byte 6 a value is needed")
    refused(lambda: client.count("words", filter="(" * 50), invalid, "nested deeper than 10")
    refused(
        lambda: client.upsert("words", [9999], vectors(1), [{"year": "late"}]),
        invalid,
        "payload field 'year' is \"late\"; a whole number of 64 bits is needed",
    )
    refused(
        lambda: client.create_collection("bad", DIM, fields={"a b": "int"}), invalid, "field 'a b'"
    )
    with pytest.raises(ValueError, match="one of keyword"):
        client.create_collection("bad", DIM, fields={"a": "text"})
    assert client.get_collection("words").fields == FIELDS


def test_a_tree_is_a_filter_too(server):
    from mrl._proto.mrl.v1 import common_pb2, filter_pb2, point_pb2, point_pb2_grpc

    value = filter_pb2.FilterValue
    tree = filter_pb2.Filter(
        all=filter_pb2.Filter.List(
            filters=[
                filter_pb2.Filter(
                    range=filter_pb2.Filter.Range(
                        field="year", at_least=value(integer=1910), below=value(integer=1920)
                    )
                ),
                filter_pb2.Filter(
                    none=filter_pb2.Filter.List(
                        filters=[
                            filter_pb2.Filter(
                                **{
                                    "in": filter_pb2.Filter.In(
                                        field="open", values=[value(flag=True)]
                                    )
                                }
                            ),
                            filter_pb2.Filter(
                                ids=filter_pb2.Filter.Ids(ids=[common_pb2.PointId(number=11)])
                            ),
                        ]
                    )
                ),
            ]
        )
    )
    with grpc.insecure_channel(server.address) as channel:
        stub = point_pb2_grpc.PointServiceStub(channel)

        def count(tree):
            request = point_pb2.CountPointsRequest(collection="words", filter_tree=tree)
            return stub.CountPoints(request).points

        assert count(tree) == 4  # 13, 15, 17, 19
        for _ in range(31):
            tree = filter_pb2.Filter(none=filter_pb2.Filter.List(filters=[tree]))
        with pytest.raises(grpc.RpcError) as caught:
            count(tree)
        assert "more levels than 32" in caught.value.details()
        with pytest.raises(grpc.RpcError) as caught:
            count(filter_pb2.Filter())
        assert "a condition of the filter is empty" in caught.value.details()


def test_asyncio_client_filters_too(server):
    async def run():
        async with mrl.AsyncClient(server.address) as client:
            return await client.count("words", filter='lang = "en"')

    assert asyncio.run(run()) == len(range(0, COUNT, 3))


def run(*arguments, code=0):
    done = subprocess.run(
        [str(argument) for argument in arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_command_line(server, client):
    base = [BIN / "mrl", "--server", server.address]
    assert run(*base, "points", "count", "words", "--filter", "year < 1910") == "10\n"
    found = json.loads(run(*base, "--json", "search", "words", "--id", 7, "--filter", "year < 1905"))
    assert {hit["id"] for hit in found["hits"]} == {0, 1, 2, 3, 4}
    listed = json.loads(
        run(*base, "--json", "points", "list", "words", "--filter", "open = true", "--limit", 3)
    )
    assert [point["id"] for point in listed] == [0, 2, 4]
    client.create_collection("cli", DIM, fields={"n": "int"})
    client.upsert("cli", range(30), vectors(30), [{"n": i} for i in range(30)])
    dry = run(*base, "points", "delete", "cli", "--filter", "n < 20", "--dry-run")
    assert dry.splitlines() == ["20 points would be deleted", *map(str, range(10))]
    assert run(*base, "points", "delete", "cli", "--filter", "n < 20") == "20 points deleted\n"
    assert run(*base, "points", "delete", "cli", "--id", 20, "--id", 999) == "1 points deleted\n"
    assert run(*base, "points", "count", "cli") == "9\n"
    run(*base, "points", "delete", "cli", code=2)
    assert "at byte 0" in run(*base, "points", "count", "cli", "--filter", "=", code=65)


def test_a_built_index_filters_and_is_appended_to(tmp_path):
    np.save(tmp_path / "base.npy", vectors(COUNT))
    with open(tmp_path / "rows.jsonl", "w") as rows:
        for i in range(COUNT):
            rows.write(json.dumps({"id": i, **payload(i)}) + "\n")
    index = tmp_path / "index"
    fields = [flag for name, kind in FIELDS.items() for flag in ("--field", f"{name}:{kind}")]
    build = [BIN / "mrl-index", "build", "--input", tmp_path / "base.npy", "--payloads"]
    run(*build, tmp_path / "rows.jsonl", "--id-field", "id", *fields, "--output", index)
    search = [BIN / "mrl-index", "search", "--index", index, "--id", 3, "-k", 5, "--json", "--filter"]
    found = json.loads(run(*search, "year < 1903"))
    assert sorted(hit["id"] for hit in found["hits"]) == [0, 1, 2]
    assert found["plan"] == "exact"
    inspected = json.loads(run(BIN / "mrl-index", "inspect", "--index", index, "--json"))
    assert inspected["fields"] == ",".join(f"{name}:{kind}" for name, kind in FIELDS.items())
    run(BIN / "mrl-index", "append", "--index", index, "--input", tmp_path / "base.npy",
        "--payloads", tmp_path / "rows.jsonl", "--id-field", "id")
    found = json.loads(run(*search, "year < 1903 OR year > 2297"))
    assert sorted(hit["id"] for hit in found["hits"]) == [0, 1, 2, 398, 399]
    run(BIN / "mrl-index", "verify", "--index", index)
    bad = (tmp_path / "rows.jsonl").read_text().replace('"year": 1907', '"year": "soon"')
    (tmp_path / "bad.jsonl").write_text(bad)
    refusal = run(*build, tmp_path / "bad.jsonl", "--id-field", "id", *fields,
                  "--output", tmp_path / "bad", code=65)
    assert "row 7: payload field 'year' is \"soon\"; a whole number of 64 bits" in refusal


def test_offset_goes_on_where_a_page_ended(client):
    query = vectors(1, seed=4)[0]
    first = [hit.id for hit in client.search("words", query, k=30, exact=True).hits]
    page = client.search("words", query, k=10, offset=15, exact=True)
    assert [hit.id for hit in page.hits] == first[15:25]
    assert client.search("words", query, k=5, offset=500, exact=True).hits == []
    refused(
        lambda: client.search("words", query, k=10, offset=9991),
        grpc.StatusCode.INVALID_ARGUMENT,
        "k + offset is 10001; the limit is 10000",
    )


@pytest.mark.parametrize("field", FIELDS)
def test_groups_hold_the_nearest_of_each_value(client, field):
    query = vectors(1, seed=6)[0]
    every = [hit for hit in client.search("words", query, k=COUNT, exact=True).hits]
    expected = {}
    for hit in every:
        expected.setdefault(hit.payload[field], []).append(hit.id)
    wanted = [id for ids in list(expected.values())[:5] for id in ids[:3]]
    for options in ({}, {"exact": True}, {"funnel": f"16:{COUNT},32:{COUNT}"}):
        found = client.search("words", query, k=5, group_by=field, group_size=3, **options)
        assert [hit.id for hit in found.hits] == wanted, options
        for hit in found.hits:
            group = hit.group if field != "at" else hit.group.strftime("%Y-%m-%dT%H:%M:%SZ")
            assert group == hit.payload[field]


def test_groups_that_make_no_sense_are_refused(client):
    query = vectors(1)[0]
    invalid = grpc.StatusCode.INVALID_ARGUMENT

    def search(**options):
        return lambda: client.search("words", query, **options)

    refused(search(group_by="other"), invalid, "field 'other' is not indexed")
    refused(search(group_size=2), invalid, "group_size was given without group_by")
    refused(search(group_by="lang", offset=1), invalid, "offset and group_by were both given")
    refused(search(group_by="lang", group_size=101), invalid, "group_size is 101; the limit is 100")
    refused(search(group_by="lang", k=200, group_size=100), invalid, "k x group_size is 20000")
    refused(lambda: client.explain("words", query, group_by="lang"), invalid, "for Search only")
    only = client.search("words", query, k=2, group_by="lang", filter='lang = "de"')
    assert [hit.group for hit in only.hits] == ["de"]

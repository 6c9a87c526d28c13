"""The Python clients against a real server."""

import asyncio

import grpc
import mrl
import numpy as np
import pytest
from conftest import EXAMPLE
from truth import example, top

FUNNEL = "16:200,512:10"


@pytest.fixture(scope="module")
def data():
    return example(EXAMPLE)


@pytest.fixture
def client(address):
    with mrl.Client(address) as client:
        yield client


def ids_of(result):
    return [hit.id for hit in result.hits]


def test_exact_search_finds_true_neighbours(client, data):
    points, queries, ids = data
    truth = top(points, queries[:20], 512, 10)
    for query, rows in zip(queries, truth):
        assert set(ids_of(client.search("wordnet", query, exact=True))) == {ids[r] for r in rows}


def test_hit_carries_score_payload_and_stored_vector(client, data):
    points, queries, ids = data
    hit = client.search("wordnet", queries[0], k=1, exact=True, with_vector=True).hits[0]
    stored = points[ids.index(hit.id)]
    np.testing.assert_allclose(hit.vector, stored, rtol=1e-3, atol=1e-6)
    cosine = stored @ queries[0] / np.linalg.norm(stored) / np.linalg.norm(queries[0])
    assert hit.score == pytest.approx(cosine, abs=1e-4)
    assert hit.payload["text"]


def test_half_and_single_precision_queries_agree(client, data):
    query = data[1][0]  # Was float16 on disk, so both types hold it exactly.
    half = client.search("wordnet", query.astype(np.float16), funnel=FUNNEL)
    single = client.search("wordnet", query.astype(np.float32), funnel=FUNNEL)
    assert half.hits == single.hits


def test_search_by_id_leaves_itself_out_unless_asked(client, data):
    id = data[2][0]
    assert id not in ids_of(client.search("wordnet", id=id, exact=True))
    assert ids_of(client.search("wordnet", id=id, exact=True, include_self=True))[0] == id


def test_threshold_cuts_the_hits(client, data):
    hits = client.search("wordnet", data[1][0], exact=True).hits
    cut = client.search("wordnet", data[1][0], exact=True, score_threshold=hits[4].score).hits
    assert [h.id for h in cut] == [h.id for h in hits if h.score >= hits[4].score]
    assert len(cut) < len(hits)


def test_batch_equals_single_searches(client, data):
    queries = data[1][:50]
    ids, scores = client.batch_search("wordnet", queries, k=10, funnel=FUNNEL)
    assert scores.shape == (50, 10)
    for row, query in enumerate(queries):
        single = client.search("wordnet", query, funnel=FUNNEL)
        assert ids[row] == ids_of(single)
        np.testing.assert_array_equal(scores[row], np.float32([h.score for h in single.hits]))


def test_batch_joins_rows_that_span_chunks(client, data):
    ids, scores = client.batch_search("wordnet", data[1][:8], k=9000, exact=True)
    assert [len(row) for row in ids] == [len(set(row)) for row in ids] == [9000] * 8
    assert (np.diff(scores, axis=1) <= 0).all()


def test_stats_name_the_plan_and_its_stages(client, data):
    stats = client.search("wordnet", data[1][0], funnel=FUNNEL).stats
    assert [(s.dims, s.candidates_out) for s in stats.stages] == [(16, 200), (512, 10)]
    assert stats.stages[0].candidates_in == stats.rows_scanned == 10_000


def test_explain_tells_where_a_point_was_lost(client, data):
    points, queries, ids = data
    last = ids[top(-points, queries[:1], 16, 1)[0, 0]]
    best = client.search("wordnet", queries[0], funnel=FUNNEL).hits[0].id
    found = client.explain(
        "wordnet", queries[0], funnel=FUNNEL, why_not=[last, best, "no.such.01"]
    )
    assert [w.lost_at for w in found.why_not] == [0, None, None]
    assert [w.found for w in found.why_not] == [True, True, False]
    assert found.why_not[1].ranks[-1] == 0
    assert ids_of(found.result)[0] == best


def test_collection_server_and_health(client):
    wordnet = client.get_collection("wordnet")
    assert (wordnet.rows, wordnet.dim, wordnet.metric) == (10_000, 512, "cosine")
    assert (wordnet.state, wordnet.ladder) == ("serving", [16, 32, 64, 128, 256, 512])
    assert client.list_collections() == [wordnet]
    stats = client.stats("wordnet")
    assert stats.rows == 10_000
    assert stats.disk_bytes == sum(stats.files.values()) > 0
    assert client.server_info().limits["k"] == 10_000
    assert client.health() is True


@pytest.mark.parametrize(
    ("collection", "options", "code", "words"),
    [
        ("nowhere", {}, grpc.StatusCode.NOT_FOUND, "nowhere"),
        ("wordnet", {"k": 10_001}, grpc.StatusCode.INVALID_ARGUMENT, "10000"),
        ("wordnet", {"funnel": "17:10"}, grpc.StatusCode.INVALID_ARGUMENT, "17"),
    ],
)
def test_refused_search_raises_code_and_words(client, data, collection, options, code, words):
    with pytest.raises(mrl.MrlError) as raised:
        client.search(collection, data[1][0], **options)
    assert raised.value.code == code
    assert words in raised.value.message


def test_batch_refusal_raises_like_search(client, data):
    with pytest.raises(mrl.MrlError) as raised:
        client.batch_search("wordnet", data[1][:2, :17])
    assert raised.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert "17" in raised.value.message


def test_search_needs_exactly_one_query(client):
    with pytest.raises(ValueError, match="either a vector or an id"):
        client.search("wordnet")


def test_matrix_is_no_vector(client, data):
    with pytest.raises(ValueError, match="vector has 2 axes; a search takes 1"):
        client.search("wordnet", data[1][:2, :256])  # as many values as one vector has


def test_async_client_answers_like_the_blocking_one(address, client, data):
    query, matrix = data[1][0], data[1][:5]

    async def ask():
        async with mrl.AsyncClient(address) as remote:
            return await asyncio.gather(
                remote.search("wordnet", query, funnel=FUNNEL),
                remote.batch_search("wordnet", matrix),
                remote.explain("wordnet", query, funnel=FUNNEL),
                remote.list_collections(),
                remote.get_collection("wordnet"),
                remote.stats("wordnet"),
                remote.server_info(),
                remote.config(),
                remote.health(),
            )

    single, batch, explained, listed, one, stats, info, config, healthy = asyncio.run(ask())
    assert single.hits == client.search("wordnet", query, funnel=FUNNEL).hits
    ids, scores = client.batch_search("wordnet", matrix)
    assert batch[0] == ids
    np.testing.assert_array_equal(batch[1], scores)
    assert explained.result.hits == single.hits
    assert listed == [one] == client.list_collections()
    assert stats == client.stats("wordnet")
    assert info == client.server_info()
    assert config == client.config()
    assert healthy is True


def test_async_client_raises_the_same_error(address, data):
    async def ask():
        async with mrl.AsyncClient(address) as remote:
            await remote.search("nowhere", data[1][0])

    with pytest.raises(mrl.MrlError) as raised:
        asyncio.run(ask())
    assert raised.value.code == grpc.StatusCode.NOT_FOUND

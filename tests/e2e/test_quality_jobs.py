"""MeasureRecall, TuneFunnel and AnalyzeDimensions, through the Python client and the programs."""

import asyncio
import time
import urllib.request

import mrl
import numpy as np
import pytest
from conftest import EXAMPLE
from grpc import StatusCode
from live_server import LiveServer
from test_live import DIM, refused, vectors


@pytest.fixture
def server(tmp_path):
    server = LiveServer(tmp_path / "data", "--seal-rows", "200")
    yield server
    server.stop()


@pytest.fixture
def client(server):
    with mrl.Client(server.address) as client:
        client.create_collection("words", DIM, ladder=[8, 16, 32])
        client.upsert("words", range(600), vectors(600))
        client.create_profile("words", "fast", "8:30,32:10", make_default=True)
        yield client


def measure(client, collection, **how):
    return client.wait_operation(client.measure_recall(collection, **how).name).result


def tune(client, collection, **how):
    return client.wait_operation(client.tune_funnel(collection, **how).name).result


def analyze(client, collection, **how):
    return client.wait_operation(client.analyze_dimensions(collection, **how).name).result


def recall_by_hand(client, queries, k, funnel):
    """Each query by exact search and by the funnel, as a caller sees them."""
    found, _ = client.batch_search("words", queries, k, funnel=funnel)
    truth, _ = client.batch_search("words", queries, k, exact=True)
    return np.mean([len(set(f) & set(t)) / len(t) for f, t in zip(found, truth)])


def test_a_certificate_is_what_callers_see_and_stays_with_the_profile(client, server):
    client.delete("words", range(100, 200))  # Tombstones, in segments and in the tail.
    queries = vectors(150, 9)
    told = []
    begun = client.measure_recall("words", queries=queries)
    assert (begun.method, begun.collection) == ("MeasureRecall", "words")
    ended = client.wait_operation(begun.name, progress=lambda *at: told.append(at))
    made = ended.result
    assert made.recall == pytest.approx(recall_by_hand(client, queries, 10, "8:30,32:10"), abs=1e-9)
    assert made.low < made.recall < made.high
    assert sum(made.lost) + made.recall == pytest.approx(1, abs=1e-9)
    assert (made.profile, made.profile_version, made.own_points) == ("fast", 1, False)
    assert (made.rows, made.queries, made.k, made.expired) == (500, 150, 10, False)
    assert told[-1] == (ended.rows_done, ended.rows) and ended.rows_done == ended.rows > 0
    server.kill()
    server.start()
    with mrl.Client(server.address) as again:
        kept = again.get_profile("words", "fast").versions[0].certificate
        assert (kept.recall, kept.low, kept.sequence) == (made.recall, made.low, made.sequence)
        metrics = urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10).read().decode()
        labels = 'collection="words",profile="fast",version="1"'
        assert f'mrl_certificate_recall{{{labels},bound="mean"}}' in metrics
        assert f"mrl_certificate_expired{{{labels}}} 0" in metrics
        again.upsert("words", range(1000, 1051), vectors(51, 4))  # More than a tenth of 500.
        kept = again.get_profile("words", "fast").versions[0].certificate
        assert kept.expired and kept.changed_share == pytest.approx(0.102)
        metrics = urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10).read().decode()
        assert f"mrl_certificate_expired{{{labels}}} 1" in metrics


def test_a_sample_of_points_leaves_each_out_of_its_own_result(client):
    exact = measure(client, "words", funnel="32:10", sample=50)
    assert (exact.recall, exact.own_points, exact.queries, exact.profile) == (1, True, 50, "")
    again = measure(client, "words", funnel="8:30,32:10", sample=50)
    same = measure(client, "words", funnel="8:30,32:10", sample=50)
    assert (same.recall, same.low, same.lost) == (again.recall, again.low, again.lost)
    other = measure(client, "words", funnel="8:30,32:10", sample=50, seed=2)
    assert other.recall != again.recall or other.low != again.low


def test_a_certificate_of_searches_with_a_filter(client):
    client.create_collection("dated", DIM, ladder=[8, 16, 32], fields={"year": "int"})
    client.upsert("dated", range(600), vectors(600), [{"year": 2000 + i % 20} for i in range(600)])
    client.create_profile("dated", "fast", "8:30,32:10", make_default=True)
    queries = vectors(80, 9)
    for text, matches in (("year >= 2010", lambda i: i % 20 >= 10), ("year = 2003", lambda i: i % 20 == 3)):
        made = measure(client, "dated", queries=queries, filter=text)
        found, _ = client.batch_search("dated", queries, 10, filter=text)
        truth, _ = client.batch_search("dated", queries, 10, filter=text, exact=True)
        assert all(map(matches, np.ravel(truth)))
        by_hand = np.mean([len(set(f) & set(t)) / 10 for f, t in zip(found, truth)])
        assert made.recall == pytest.approx(by_hand, abs=1e-9)
        assert (made.filter, made.profile, made.profile_version) == (text, "", 0)
        assert sum(made.lost) + made.recall == pytest.approx(1, abs=1e-9)
    assert made.funnel == "exact" and made.recall == 1  # 30 points: all are compared.
    assert client.get_profile("dated", "fast").versions[0].certificate is None
    bad = StatusCode.INVALID_ARGUMENT
    refused(lambda: client.measure_recall("dated", filter="size = 3"), bad, "size")
    begun = client.measure_recall("dated", filter="year = 1")
    with pytest.raises(mrl.MrlError, match="no point matches the filter 'year = 1'"):
        client.wait_operation(begun.name)


@pytest.mark.parametrize("k", [1, 1000])
def test_small_collections_duplicates_and_any_k(client, k):
    client.create_collection("few", DIM, ladder=[8, 32])
    client.upsert("few", range(4), vectors(4))
    for collection, funnel in (("few", f"8:{k},32:{k}"), ("words", f"8:600,32:{k}")):
        if k > 600 and collection == "words":
            funnel = f"8:1000,32:{k}"
        made = measure(client, collection, funnel=funnel, k=k, queries=vectors(1, 6))
        assert made.queries == 1 and made.k == k
        if k == 1000:
            assert made.recall == 1  # Every point is kept.
    client.upsert("few", range(10, 40), np.repeat(vectors(3, 8), 10, axis=0))
    same = measure(client, "few", funnel="8:34,32:10", k=10)
    assert same.recall == 1  # Ties with the k-th are as good.


def metrics(server, prefix):
    """What begins so: {'name{labels}': value}."""
    text = urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10).read().decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(prefix)]
    return {name: float(value) for name, value in lines}


def test_exits_are_checked_behind_their_answers_and_forgotten_with_the_collection(client, server):
    funnel, kept = "8:100,16:50,32:10", {}
    for query in vectors(81, 5):
        found = client.search("words", query, funnel=funnel, early_exit=0.01)
        after = found.stats.early_exit_stages
        if after == 0:
            continue
        whole = {hit.id for hit in client.search("words", query, funnel=funnel).hits}
        same = len(whole & {hit.id for hit in found.hits}) / len(whole)
        kept.setdefault(after, []).append(same)
    assert kept
    expected = {  # Of those that left after the same stage, the first, the 21st, …
        f'{{collection="words",stages="{after}"}}': np.mean(shares[::20])
        for after, shares in kept.items()
    }
    checked = {at: -(-len(kept[int(at.split('"')[3])]) // 20) for at in expected}
    for _ in range(100):
        seen = metrics(server, "mrl_early_exit")
        if all(seen.get(f"mrl_early_exit_checked_total{at}") == n for at, n in checked.items()):
            break
        time.sleep(0.05)
    for at, share in expected.items():
        assert seen[f"mrl_early_exit_checked_total{at}"] == checked[at]
        assert seen[f"mrl_early_exit_realised_recall{at}"] == pytest.approx(share)
    client.delete_collection("words")
    assert not metrics(server, "mrl_early_exit")


def test_adaptive_keeps_are_counted_checked_and_forgotten_with_the_collection(client, server):
    funnel, kept, left_out = "8:100,16:50,32:10", [], 0
    for query in vectors(41, 5):
        found = client.search("words", query, funnel=funnel, adaptive_keep=0.8)
        whole = {hit.id for hit in client.search("words", query, funnel=funnel).hits}
        kept.append(len(whole & {hit.id for hit in found.hits}) / len(whole))
        left_out += sum(stage.left_out for stage in found.stats.stages)
    at = '{collection="words"}'
    for _ in range(100):
        seen = metrics(server, "mrl_adaptive_keep")
        if seen.get(f"mrl_adaptive_keep_checked_total{at}") == 3:
            break
        time.sleep(0.05)
    assert seen[f"mrl_adaptive_keep_searches_total{at}"] == 41
    assert seen[f"mrl_adaptive_keep_left_out_total{at}"] == left_out > 0
    recall = found.stats.adaptive_keep_recall
    assert seen[f"mrl_adaptive_keep_recall{at}"] == pytest.approx(recall)
    # Of the first, the 21st and the 41st.
    assert seen[f"mrl_adaptive_keep_realised_recall{at}"] == pytest.approx(np.mean(kept[::20]))
    client.delete_collection("words")
    assert not metrics(server, "mrl_adaptive_keep")


def test_adaptive_keep_leaves_nothing_out_where_there_is_little_to_learn_from(client):
    client.create_collection("few", DIM, ladder=[8, 32])
    query = vectors(1, 6)[0]
    for rows in (0, 1, 30):
        client.upsert("few", range(rows), vectors(rows)) if rows else None
        found = client.search("few", query, k=1, funnel="8:20,32:1", adaptive_keep=0.5)
        assert len(found.hits) == min(rows, 1) and found.stats.adaptive_keep_recall is None
        assert all(stage.left_out == 0 for stage in found.stats.stages)


def test_wrong_requests_are_refused(client):
    client.create_collection("empty", DIM)
    bad = StatusCode.INVALID_ARGUMENT

    def no(call, words, code=bad):
        refused(call, code, words)

    ask = client.measure_recall
    no(lambda: ask("none"), "collection 'none'", StatusCode.NOT_FOUND)
    no(lambda: ask("words", profile="slow"), "profile 'slow'", StatusCode.NOT_FOUND)
    no(lambda: ask("empty"), "'empty' has no points", StatusCode.FAILED_PRECONDITION)
    no(lambda: ask("words", sample=20000), "sample is 20000; 0 to 10000")
    no(lambda: ask("words", k=20000), "k is 20000")
    no(lambda: ask("words", max_changed_share=2), "above 0 to 1")
    no(lambda: ask("words", queries=np.zeros((1, 9))), "has 9 dimensions")
    no(lambda: ask("words", queries=np.zeros((10001, DIM))), "rows is 10001; 1 to 10000")
    no(lambda: ask("words", funnel="8:30,33"), "33 dims are not on the ladder")
    ask = client.tune_funnel
    no(lambda: ask("words", recall=1.5), "target recall is 1.5")
    no(lambda: ask("words", p99_ms=-1), "p99_ms is -1; it is above 0")
    no(lambda: ask("words", save_as="A B"), "'A B' is no name")
    with pytest.raises(ValueError, match="recall and p99_ms"):
        ask("words", recall=0.9, p99_ms=1)
    no(lambda: client.analyze_dimensions("words", sample=2), "sample is 2; 3 to 100000")
    empty = lambda: client.analyze_dimensions("empty")
    no(empty, "'empty' has no points", StatusCode.FAILED_PRECONDITION)
    assert client.list_operations() == ([], "")
    # What only running finds.
    with_nan = vectors(2)
    with_nan[1, 3] = np.nan
    no(lambda: measure(client, "words", queries=with_nan), "dimension 3 is nan")
    no(lambda: tune(client, "words", queries=vectors(1)), "2 at least")
    no(
        lambda: measure(client, "empty", queries=vectors(1)),
        "0 points can be found; query 0",
        StatusCode.FAILED_PRECONDITION,
    )


def test_tuning_saves_what_reached_the_target(client):
    client.delete("words", range(0, 50))
    tuned = tune(client, "words", recall=0.8, sample=120, save_as="tuned", make_default=True)
    assert tuned.reached and tuned.tuning.low >= 0.8
    assert (tuned.tuning_queries, tuned.held_out_queries) == (60, 60)
    assert [p.recall for p in tuned.front] == sorted(p.recall for p in tuned.front)
    assert (tuned.profile, tuned.profile_version) == ("tuned", 1)
    kept = client.get_profile("words", "tuned").versions[0].certificate
    assert (kept.recall, kept.queries, kept.own_points) == (tuned.held_out.recall, 60, True)
    stats = client.search("words", vectors(1, 3)[0]).stats
    assert (stats.profile, stats.plan) == ("tuned", tuned.held_out.funnel)
    cheap = tune(client, "words", max_bytes=tuned.tuning.mean_bytes * 1.01, sample=120)
    assert cheap.reached and cheap.tuning.mean_bytes <= tuned.tuning.mean_bytes * 1.01
    assert cheap.tuning.recall >= 0.5
    none = tune(client, "words", max_bytes=1, sample=40, save_as="none")
    assert not none.reached and none.profile == ""


def test_a_cancelled_operation_stops_and_searches_go_on_beside_it(client):
    points = np.load(EXAMPLE / "embeddings.npy").astype(np.float32)
    client.create_collection("large", points.shape[1], ladder=[16, 64, points.shape[1]])
    client.upsert("large", range(len(points)), points)
    begun = [client.tune_funnel("large", sample=5000, k=100) for _ in range(3)]
    while client.get_operation(begun[0].name).rows == 0:
        assert len(client.search("words", vectors(1)[0]).hits) == 10
    for operation in begun:
        client.cancel_operation(operation.name)
    for operation in begun:
        refused(lambda: client.wait_operation(operation.name), StatusCode.CANCELLED, "")
    assert measure(client, "words", sample=10).queries == 10
    with pytest.raises(TimeoutError, match="within 0 s"):
        client.wait_operation(client.tune_funnel("words", sample=100).name, timeout_s=0)


def test_the_asyncio_client_waits_too(client, server):
    async def run():
        async with mrl.AsyncClient(server.address) as other:
            begun = await other.measure_recall("words", sample=20)
            return (await other.wait_operation(begun.name)).result

    assert asyncio.run(run()).queries == 20


def test_dimensions_are_judged(client):
    random = analyze(client, "words", query_sample=50)
    assert random.verdict == "not_useful" and random.advice
    points = np.load(EXAMPLE / "embeddings.npy").astype(np.float32)
    client.create_collection("real", points.shape[1], ladder=[16, 64, points.shape[1]])
    client.upsert("real", range(2000), points[:2000])
    real = analyze(client, "real", query_sample=50, queries=None)
    assert real.verdict == "useful"
    assert [p.dims for p in real.prefixes] == [16, 64, points.shape[1]]
    assert all(p.search_ms > 0 and p.scan_ns_per_row > 0 for p in real.prefixes)
    assert real.prefixes[-1].norm_mean == pytest.approx(np.linalg.norm(points[:2000], axis=1).mean(), rel=0.05)
    assert real.prefixes[-1].recall == 1 and real.prefixes[0].recall < real.prefixes[1].recall
    given = analyze(client, "real", queries=np.load(EXAMPLE / "queries.npy")[:50])
    assert given.queries == 50 and given.verdict == "useful"

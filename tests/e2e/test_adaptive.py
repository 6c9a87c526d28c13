"""Searches that end early: progressive, anytime, and classification by neighbours' votes."""

import asyncio
import json

import mrl
import numpy as np
import pytest
from conftest import EXAMPLE
from grpc import StatusCode
from test_live import refused

QUERIES = np.load(EXAMPLE / "queries.npy")
FUNNEL = "16:400,64:100,512:10"
LADDER = "16:400,32:200,64:100,128:50,256:25,512:10"


@pytest.fixture(scope="module")
def client(address):
    with mrl.Client(address) as client:
        yield client


def test_progressive_search_shows_each_stage_and_ends_with_the_result(client, address):
    shown = list(client.progressive_search("wordnet", QUERIES[0], funnel=FUNNEL))
    whole = client.search("wordnet", QUERIES[0], funnel=FUNNEL)
    assert [len(result.stats.stages) for result in shown] == [1, 2, 3]
    assert shown[-1].hits == whole.hits
    assert shown[-1].stats.plan == whole.stats.plan
    # The first shows what a search of 16 dims alone finds.
    short = client.search("wordnet", QUERIES[0][:16], funnel="16:10")
    assert [hit.id for hit in shown[0].hits] == [hit.id for hit in short.hits]
    assert shown[0].hits[0].payload is None and shown[-1].hits[0].payload is not None

    async def run():
        async with mrl.AsyncClient(address) as other:
            return [r async for r in other.progressive_search("wordnet", QUERIES[0], funnel=FUNNEL)]

    assert [r.hits for r in asyncio.run(run())] == [r.hits for r in shown]
    refused(lambda: list(client.progressive_search("none", QUERIES[0])), StatusCode.NOT_FOUND, "'none'")
    refused(
        lambda: list(client.progressive_search("wordnet", QUERIES[0][:9])),
        StatusCode.INVALID_ARGUMENT,
        "9 dimensions",
    )


def test_anytime_is_a_search_where_there_is_time(client):
    whole = client.search("wordnet", QUERIES[1], funnel=FUNNEL)
    anytime = client.search("wordnet", QUERIES[1], funnel=FUNNEL, anytime=True, timeout_s=30)
    assert anytime.hits == whole.hits and not anytime.stats.degraded
    endless = client.search("wordnet", QUERIES[1], funnel=FUNNEL, anytime=True)
    assert endless.hits == whole.hits


def test_anytime_gives_the_last_stage_that_ended_before_the_deadline(client):
    # Every stage compares all points, so that most of the time is behind the first one.
    funnel = "16:10000,32:10000,64:10000,128:10000,256:10000,512:10"
    how = {"funnel": funnel, "with_payload": False}
    took_s = client.search("wordnet", QUERIES[2], **how).stats.total_micros / 1e6
    seen = []
    # The least is what the server leaves for the reply; what comes on top depends on the machine.
    for timeout_s in np.tile(0.002 + np.linspace(0, 2 * took_s + 0.004, 41), 10):
        try:
            result = client.search(
                "wordnet", QUERIES[2], anytime=True, timeout_s=float(timeout_s), **how
            )
        except mrl.MrlError as error:
            assert error.code == StatusCode.DEADLINE_EXCEEDED
            continue
        if result.stats.degraded:
            seen = [stage.dims for stage in result.stats.stages]
            break
    assert seen and seen == [16, 32, 64, 128, 256, 512][: len(seen)] and len(seen) < 6
    short = client.search("wordnet", QUERIES[2][: seen[-1]], exact=True)
    assert [hit.id for hit in result.hits] == [hit.id for hit in short.hits]
    assert result.hits[0].score == pytest.approx(short.hits[0].score, abs=1e-5)


def test_labels_are_voted_on(client, index):
    points = [json.loads(line) for line in (EXAMPLE / "points.jsonl").open()]
    field = "class"
    known = {point["id"]: point[field] for point in points}
    ids = [point["id"] for point in points[::97]]
    right, dims = 0, []
    for id in ids:
        found = client.classify("wordnet", id=id, field=field, confidence=0.8)
        right += found.label == str(known[id])
        dims.append(found.dims)
        assert 0 <= found.confidence <= 1 and 0 < found.vote_share <= 1
        assert found.stats.stages[-1].dims == found.dims
    counts = np.unique(list(known.values()), return_counts=True)[1]
    assert right / len(ids) > 1.3 * counts.max() / counts.sum()  # Better than the commonest.
    sure = [client.classify("wordnet", id=id, field=field, confidence=1).dims for id in ids[:30]]
    assert np.mean(sure) > np.mean(dims[:30])
    given = client.classify("wordnet", QUERIES[0], field=field)
    assert given.label in {str(label) for label in known.values()}
    refused(lambda: client.classify("wordnet", QUERIES[0], field=""), StatusCode.INVALID_ARGUMENT, "0 bytes")
    refused(
        lambda: client.classify("wordnet", QUERIES[0], field="nothing"),
        StatusCode.INVALID_ARGUMENT,
        "none of 300 sampled points has the label",
    )
    refused(
        lambda: client.classify("wordnet", QUERIES[0], field=field, confidence=2),
        StatusCode.INVALID_ARGUMENT,
        "confidence is 2; above 0 to 1",
    )
    refused(lambda: client.classify("wordnet", id="nobody", field=field), StatusCode.NOT_FOUND, "nobody")


def test_early_exit_keeps_what_it_promises_and_says_what_it_left_out(client):
    promised, kept, exits, stages = 0.8, [], 0, 0
    for query in QUERIES[:200]:
        whole = client.search("wordnet", query, funnel=LADDER)
        early = client.search("wordnet", query, funnel=LADDER, early_exit=promised)
        found = {hit.id for hit in early.hits}
        kept.append(len(found & {hit.id for hit in whole.hits}) / len(whole.hits))
        stats = early.stats
        exits += stats.early_exit_stages > 0
        assert (stats.early_exit_recall is not None) == (stats.early_exit_stages > 0)
        if stats.early_exit_stages:
            assert len(stats.stages) == stats.early_exit_stages + 1
            # The last stage scores the result, whatever was left out before it.
            assert stats.stages[-1].dims == 512 and stats.stages[-1].candidates_in == 10
        else:
            assert early.hits == whole.hits and len(stats.stages) == 6
        stages += len(stats.stages)
    assert exits > 0 and stages < 200 * 6
    assert np.mean(kept) > promised - 0.05
    # Nothing but certainty: what leaves is what stays.
    for query in QUERIES[:50]:
        sure = client.search("wordnet", query, funnel=LADDER, early_exit=1)
        whole = client.search("wordnet", query, funnel=LADDER)
        assert sure.stats.early_exit_stages or sure.hits == whole.hits
    bad = StatusCode.INVALID_ARGUMENT
    search = lambda **how: client.search("wordnet", QUERIES[0], **how)
    refused(lambda: search(early_exit=0), bad, "early_exit is 0; above 0 to 1")
    refused(lambda: search(early_exit=0.9, anytime=True), bad, "does not go with anytime")
    refused(lambda: search(early_exit=0.9, exact=True), bad, "does not go with exact search")


def left_out(result):
    return sum(stage.left_out for stage in result.stats.stages)


def test_adaptive_keep_keeps_what_it_promises_and_says_what_it_left_out(client):
    promised, keeps, kept, all_left_out = 0.9, [400, 200, 100, 50, 25, 10], [], []
    for query in QUERIES[:200]:
        whole = client.search("wordnet", query, funnel=LADDER)
        fewer = client.search("wordnet", query, funnel=LADDER, adaptive_keep=promised)
        found = {hit.id for hit in fewer.hits}
        kept.append(len(found & {hit.id for hit in whole.hits}) / len(whole.hits))
        stages = fewer.stats.stages
        for keep, stage, after in zip(keeps, stages, stages[1:] + [None]):
            assert stage.candidates_out + stage.left_out == min(keep, stage.candidates_in)
            assert stage.candidates_out >= 10
            assert after is None or after.candidates_in == stage.candidates_out
        assert stages[-1].left_out == left_out(whole) == 0
        assert fewer.stats.plan == whole.stats.plan and fewer.stats.adaptive_keep_recall > 0.85
        assert whole.stats.adaptive_keep_recall is None
        all_left_out.append(left_out(fewer))
    assert np.mean(kept) > promised - 0.03
    # Not the same for every query: that is the point of it.
    assert np.mean(all_left_out) > 50 and np.std(all_left_out) > 10
    # All of the result, of the queries that chose: more goes on.
    sure = [client.search("wordnet", q, funnel=LADDER, adaptive_keep=1) for q in QUERIES[:50]]
    assert np.mean([left_out(one) for one in sure]) < np.mean(all_left_out[:50])


def test_adaptive_keep_goes_with_every_funnel_and_with_waiting_searches(client, address):
    how = {"funnel": FUNNEL, "adaptive_keep": 0.9, "with_payload": False}
    alone = [client.search("wordnet", query, **how) for query in QUERIES[:64]]

    async def together():
        async with mrl.AsyncClient(address) as other:
            return await asyncio.gather(*(other.search("wordnet", q, **how) for q in QUERIES[:64]))

    for one, joined in zip(alone, asyncio.run(together())):
        assert joined.hits == one.hits and left_out(joined) == left_out(one)
        assert joined.stats.adaptive_keep_recall == one.stats.adaptive_keep_recall
    assert any(left_out(one) > 0 for one in alone)
    # One stage has nothing to leave out; neither has a shorter query's funnel that is as wide as k.
    single = client.search("wordnet", QUERIES[0], funnel="512:10", adaptive_keep=0.5)
    assert left_out(single) == 0 and single.stats.adaptive_keep_recall is None
    short = client.search("wordnet", QUERIES[0][:64], funnel="16:400,64:10", adaptive_keep=0.5)
    assert left_out(short) > 0 and short.stats.stages[-1].dims == 64


def test_adaptive_keep_refuses_what_it_does_not_go_with(client):
    bad = StatusCode.INVALID_ARGUMENT
    search = lambda **how: client.search("wordnet", QUERIES[0], **how)
    above = "; above 0 to 1 is accepted"
    refused(lambda: search(adaptive_keep=0), bad, "adaptive_keep is 0" + above)
    refused(lambda: search(adaptive_keep=1.5), bad, "adaptive_keep is 1.5" + above)
    refused(lambda: search(adaptive_keep=float("nan")), bad, "adaptive_keep is nan" + above)
    for other, words in (
        ({"anytime": True}, "adaptive_keep does not go with anytime"),
        ({"exact": True}, "adaptive_keep does not go with exact search"),
        ({"filter": "class = 1"}, "adaptive_keep does not go with a filter"),
        ({"early_exit": 0.9}, "early_exit does not go with adaptive_keep"),
        ({"group_by": "class"}, "group_by does not go with anytime, early_exit or adaptive_keep"),
    ):
        refused(lambda: search(adaptive_keep=0.9, **other), bad, words)
    plain = "adaptive_keep is set; only Search takes it"
    refused(lambda: client.explain("wordnet", QUERIES[0], adaptive_keep=0.9), bad, plain)
    refused(
        lambda: list(client.progressive_search("wordnet", QUERIES[0], adaptive_keep=0.9)), bad, plain
    )

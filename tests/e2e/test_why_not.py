"""Explain and why-not for every coarse kind, through a server: held against numpy."""

import mrl
import numpy as np
import pytest
from live_server import LiveServer
from test_indexes import DIM, ROWS, vectors, wait, wait_for_segments

POINTS = vectors(ROWS)
KINDS = {
    "scan": ("scan/16:100,32:50,64:10", {}),
    "ivf_scan": ("ivf_scan(nprobe=2)/64b1:100,32:50,64:10", {"dims": 32, "lists": 16}),
    "graph": ("graph(efSearch=20)/64b1:100,32:50,64:10", {"degree": 8}),
    "faiss IVF": ("faiss(nprobe=2)/32:100,64:10", {"dims": 32, "faiss_factory": "IVF16,Flat"}),
    "faiss HNSW": ("faiss(efSearch=16)/32:100,64:10", {"dims": 32, "faiss_factory": "HNSW8"}),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    server = LiveServer(tmp_path_factory.mktemp("why") / "data", "--seal-rows", "1000")
    with mrl.Client(server.address) as client:
        client.create_collection("words", DIM, ladder=[16, 32, 64], codes=["16b8", "64b1"])
        client.upsert("words", range(ROWS), POINTS)
        wait_for_segments(client, 1)
        yield client
    server.stop()


def cosines(query, dims):
    points = POINTS[:, :dims].astype(np.float64)
    return points @ query[:dims] / np.linalg.norm(points, axis=1) / np.linalg.norm(query[:dims])


@pytest.mark.parametrize("name", KINDS)
def test_each_stage_says_where_a_point_stood(client, name):
    funnel, spec = KINDS[name]
    kind = name.split()[0]
    if spec:
        ended = wait(client, client.build_index("words", kind, **spec))
        assert ended.error_code == 0, ended
    lost_by_index = 0
    for query in vectors(10, seed=7):
        near = np.argsort(-cosines(query, DIM))[:30]
        explained = client.explain("words", query, funnel=funnel, why_not=[*map(int, near), 10**9])
        stages = explained.result.stats.stages
        hits = [hit.id for hit in explained.result.hits]
        assert [stage.kind for stage in stages] == [kind] + ["rerank"] * (len(stages) - 1)
        assert not explained.why_not[-1].found
        for point in explained.why_not[:-1]:
            assert point.found and len(point.scores) == len(stages)
            kept = [rank is not None for rank in point.ranks]
            first_lost = kept.index(False) if False in kept else None
            assert point.lost_at == first_lost
            assert (point.id in hits) == (first_lost is None)
            if first_lost is None:
                assert hits[point.ranks[-1]] == point.id
            else:
                assert not any(kept[first_lost:])
            for stage, score in zip(stages, point.scores):
                if stage.bits == 0:
                    expected = cosines(query, stage.dims)[point.id]
                    assert score == pytest.approx(expected, abs=2e-3)
            # A score that the cut would have let pass: the index did not come by.
            lost_by_index += first_lost == 0 and point.scores[0] > stages[0].score_cut + 1e-3
    assert (lost_by_index == 0) == (kind == "scan")
    if spec:
        client.delete_index("words", kind)


@pytest.mark.parametrize("text", [None, "NOT ids(1, 2, 3)"])
def test_exact_comparison_follows_what_the_funnel_did_not_find(client, text):
    how = {} if text is None else {"filter": text}
    missed = 0
    for query in vectors(10, seed=8):
        truth = [hit.id for hit in client.search("words", query, exact=True, **how).hits]
        explained = client.explain(
            "words", query, funnel="16:40,64:10", why_not=[truth[0]], compare_exact=True, **how
        )
        hits = [hit.id for hit in explained.result.hits]
        followed = [point.id for point in explained.why_not]
        assert followed == [truth[0]] + [i for i in truth if i not in hits and i != truth[0]]
        assert all(point.lost_at is not None for point in explained.why_not[1:])
        assert explained.recall == pytest.approx(len(set(hits) & set(truth)) / 10)
        missed += len(set(truth) - set(hits))
    assert missed > 0
    whole = client.explain("words", vectors(1)[0], exact=True, compare_exact=True, **how)
    assert (whole.recall, whole.why_not) == (1, [])
    assert client.explain("words", vectors(1)[0], **how).recall is None
    nothing = client.explain("words", vectors(1)[0], filter="ids(1000000)", compare_exact=True)
    assert (nothing.recall, nothing.why_not) == (None, [])
    many = client.explain("words", vectors(1)[0], k=500, funnel="16:500,64:500", compare_exact=True)
    assert len(many.why_not) == 100 and many.recall < 0.8  # Ids that are followed have a limit.

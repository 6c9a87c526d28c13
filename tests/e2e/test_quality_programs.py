"""The verbs of mrl that are about quality: certify, tune, report, classify, and early ends."""

import json
import subprocess

import mrl
import pytest
from conftest import BIN
from live_server import LiveServer
from test_profiles import mrl_program, vectors

FUNNEL = "16:400,64:100,512:10"


@pytest.fixture
def server(tmp_path):
    server = LiveServer(tmp_path / "data")
    with mrl.Client(server.address) as client:
        client.create_collection("words", 32, ladder=[8, 16, 32])
        client.upsert("words", range(600), vectors(600))
        client.create_profile("words", "fast", "8:30,32:10", make_default=True)
    yield server
    server.stop()


def lines(address, *words):
    command = [BIN / "mrl", "--server", address, "--json", *map(str, words)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def text(address, *words):
    command = [BIN / "mrl", "--server", address, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_certify_tune_and_report(server):
    made = mrl_program(server.address, "certify", "words", "--sample", 60)
    assert (made["profile"], made["queries"], made["own_points"]) == ("fast", 60, True)
    tuned = mrl_program(
        server.address, "tune", "words", "--target-recall", 0.7, "--sample", 60, "--save", "t"
    )
    assert tuned["reached"] and tuned["profile"] == "t" and tuned["front"]
    assert mrl_program(server.address, "profiles", "get", "words", "t")["versions"][0]["note"]
    report = mrl_program(server.address, "report", "words", "--sample", 40)
    assert report["verdict"] == "not_useful" and len(report["prefixes"]) == 3
    assert "verdict: not_useful" in text(server.address, "report", "words").stdout
    assert "95 % interval" in text(server.address, "certify", "words", "--sample", 30).stdout
    few = text(server.address, "certify", "words", "--filter", "ids(1, 2, 3)", "--sample", 30).stdout
    assert "recall@10 1.0000" in few and "among ids(1, 2, 3)" in few and "kept" not in few
    explain = ["explain", "words", "--id", 1, "--funnel", "8:12,32:10", "--compare-exact"]
    compared = mrl_program(server.address, *explain)
    assert 0 < compared["recall"] < 1 and all(w["lost_at"] is not None for w in compared["why_not"])
    assert "recall of this search against exact search: 0." in text(server.address, *explain).stdout
    assert "held out" in text(server.address, "tune", "words", "--sample", 40).stdout


def test_wrong_use_is_refused(server):
    refused = text(server.address, "certify", "words", "--funnel", "8:30,33")
    assert refused.returncode == 65 and "33 dims are not on the ladder" in refused.stderr
    both = text(server.address, "certify", "words", "--funnel", "32", "--profile", "fast")
    assert both.returncode == 2
    none = text(server.address, "profiles", "get", "words", "slow")
    assert none.returncode == 1 and "profile 'slow'" in none.stderr


def test_searches_that_end_early(address):
    by_id = ["search", "wordnet", "--id", "dog.n.01", "--funnel", FUNNEL]
    whole = mrl_program(address, *by_id)
    shown = lines(address, *by_id, "--progressive")
    assert [len(one["stages"]) for one in shown] == [1, 2, 3]
    assert shown[-1]["hits"] == whole["hits"]
    anytime = mrl_program(address, *by_id, "--anytime")
    assert anytime["hits"] == whole["hits"] and anytime["degraded"] is False
    early = mrl_program(address, *by_id, "--early-exit", 0.01)
    assert early["early_exit_stages"] >= 1 and len(early["stages"]) == early["early_exit_stages"] + 1
    fewer = mrl_program(address, *by_id, "--adaptive-keep", 0.5)
    assert fewer["plan"] == whole["plan"] and fewer["adaptive_keep_recall"] > 0.5
    assert whole["adaptive_keep_recall"] is None and whole["stages"][0]["left_out"] == 0
    assert fewer["stages"][0]["left_out"] + fewer["stages"][0]["out"] == 400
    assert sum(stage["left_out"] for stage in fewer["stages"]) > 0
    assert " candidates left out" in text(address, *by_id, "--adaptive-keep", 0.5).stdout
    found = mrl_program(address, "classify", "wordnet", "--id", "dog.n.01", "--field", "class")
    assert found["label"] and found["dims"] in (16, 32, 64, 128, 256, 512)
    refused = text(address, "classify", "wordnet", "--id", "dog.n.01", "--field", "nothing")
    assert refused.returncode == 65 and "has the label" in refused.stderr

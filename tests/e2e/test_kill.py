"""kill -9 of the server at random moments under mixed load.

MRL_KILLS sets how many (100 by default; thousands by tests/long.py), MRL_SEED where the random numbers
begin. What was acknowledged is there afterwards; what was under way may or may not be; nothing that
was deleted comes back; the server starts every time.
"""

import collections
import os
import random
import threading

import grpc
import mrl
import numpy as np
from live_server import LiveServer

DIM = 16
WRITERS = 3
IDS = 400  # for each writer
KILLS = int(os.environ.get("MRL_KILLS", "100"))
SEED = int(os.environ.get("MRL_SEED", "1"))
GONE = None


class Writer(threading.Thread):
    """Writes to ids of its own until the server is gone, and remembers what was acknowledged."""

    def __init__(self, number, seed, known):
        super().__init__()
        self.random = random.Random(seed)
        self.first = number * IDS
        self.known = known  # id -> value, GONE for none; only of this writer
        self.open = collections.defaultdict(set)  # values that an unanswered call may have set
        self.acknowledged = 0
        self.wrong = None

    def run(self):
        with mrl.Client(self.address) as client:
            try:
                while True:
                    self.step(client)
            except mrl.MrlError as error:
                if error.code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    self.wrong = error

    def step(self, client):
        count = self.random.choice([1, 1, 1, 5, 40])
        ids = [self.first + self.random.randrange(IDS) for _ in range(count)]
        durable = self.random.random() < 0.5
        if self.random.random() < 0.25:
            change = dict.fromkeys(ids, GONE)
            call = lambda: client.delete("words", ids, durable=durable)
        else:
            change = {id: self.random.randrange(1, 1 << 20) for id in ids}
            matrix = np.array([vector(change[id]) for id in change])
            payloads = [{"v": value} for value in change.values()]
            call = lambda: client.upsert("words", list(change), matrix, payloads, durable=durable)
        for id, value in change.items():
            self.open[id].add(value)
        call()
        for id, value in change.items():
            self.known[id] = value
            self.open.pop(id, None)
        self.acknowledged += 1


def vector(value):
    return [value % (7 + i) + 1 for i in range(DIM)]


def check(client, writer):
    ids = list(range(writer.first, writer.first + IDS))
    found = {point.id: point for point in client.get("words", ids)}
    for id in ids:
        point = found.get(id)
        value = point.payload["v"] if point else GONE
        allowed = {writer.known.get(id, GONE)} | writer.open[id]
        assert value in allowed, f"point {id} is {value}; one of {allowed} was expected"
        if point:
            assert point.vector.tolist() == vector(value), f"point {id} has another's vector"
        writer.known[id] = value
    return found


def check_search(client, found, rng):
    """Exact search sees the points that are there, each once."""
    if not found:
        return
    hits = client.search("words", vector(rng.randrange(1 << 20)), k=1000, exact=True).hits
    ids = [hit.id for hit in hits]
    assert len(ids) == len(set(ids)) == min(1000, len(found))
    assert set(ids) <= set(found)


def test_acknowledged_writes_survive_kills(tmp_path):
    rng = random.Random(SEED)
    server = LiveServer(tmp_path / "data", "--seal-rows", "150")
    with mrl.Client(server.address) as client:
        client.create_collection("words", DIM)
    known = [{} for _ in range(WRITERS)]
    acknowledged = 0
    for kill in range(KILLS):
        writers = [Writer(i, rng.random(), known[i]) for i in range(WRITERS)]
        for writer in writers:
            writer.address = server.address
            writer.start()
        threading.Event().wait(rng.uniform(0.02, 0.4))
        server.kill()
        for writer in writers:
            writer.join()
            assert writer.wrong is None, writer.wrong
            acknowledged += writer.acknowledged
        server.start()
        with mrl.Client(server.address) as client:
            found = {}
            for writer in writers:
                found |= check(client, writer)
            assert client.count("words") == len(found), f"kill {kill}, MRL_SEED={SEED}"
            check_search(client, found, rng)
    assert acknowledged > KILLS
    assert server.stop() == 0
    print(f"{KILLS} kills, {acknowledged} acknowledged calls, none lost")

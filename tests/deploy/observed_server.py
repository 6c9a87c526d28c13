"""A server on which everything that has metrics has happened, for what reads /metrics."""

import contextlib
import http.server
import json
import os
import threading
import time
import urllib.request

import numpy as np
from conftest import BUILD, checked
from server_process import EXAMPLE, serving

DIM = 64
POINTS = 2000
SEAL_ROWS = 500
LADDER = "16:200,32:50,64:10"
# What comes behind its answer: recall of shadows, and searches run whole for what they left out.
AWAITED = (
    "mrl_shadow_recall_difference", "mrl_early_exit_realised_recall",
    "mrl_adaptive_keep_realised_recall",
)  # fmt: skip


@contextlib.contextmanager
def _collector():
    """Takes spans; its endpoint."""

    class Takes(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Takes)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _write_points(file):
    vectors = np.load(EXAMPLE / "embeddings.npy")[:POINTS, :DIM].astype(float)
    with file.open("w") as out:
        for id, vector in enumerate(vectors):
            print(json.dumps({"id": id, "vector": vector.round(4).tolist()}), file=out)


def _make_certificate(folder):
    checked("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
            folder / "key.pem", "-out", folder / "cert.pem")  # fmt: skip


def page(folder):
    """/metrics of a server with TLS and traces, a collection that was written, sealed, merged and
    certified, a shadow, and searches that leave out stages and candidates."""
    _write_points(folder / "points.jsonl")
    _make_certificate(folder)
    with _collector() as endpoint, serving(
        "--data-dir", folder / "data", "--seal-rows", SEAL_ROWS, "--http-port", 0, "--tls-cert",
        folder / "cert.pem", "--tls-key", folder / "key.pem", "--otlp-endpoint", endpoint,
        "--trace-per-million", 1000000,
    ) as at:  # fmt: skip
        _use(at["grpc"], folder)
        deadline = time.monotonic() + 60
        while True:
            with urllib.request.urlopen(f"http://{at['http']}/metrics", timeout=30) as reply:
                text = reply.read().decode()
            if all(f"\n{name}{{" in text for name in AWAITED) or time.monotonic() > deadline:
                return text
            _search(at["grpc"], folder)


def _mrl(address, folder, *words):
    return checked(BUILD / "bin/mrl", "--server", address, "--tls-ca", folder / "cert.pem", *words,
                   env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip


def _use(address, folder):
    def mrl(*words):
        _mrl(address, folder, *words)

    mrl("collections", "create", "words", "--dim", DIM, "--ladder", "16,32,64")
    mrl("points", "upsert", "words", "--input", folder / "points.jsonl")
    mrl("collections", "compact", "words")
    mrl("profiles", "create", "words", "served", "--funnel", LADDER, "--default")
    mrl("profiles", "create", "words", "other", "--funnel", "16:20,64:10")
    mrl("certify", "words", "--profile", "served", "--sample", 50)
    mrl("profiles", "shadow", "words", "other", 1)


def _search(address, folder):
    for id in range(20):
        for how in ((), ("--funnel", LADDER, "--early-exit", "0.3"),
                    ("--funnel", LADDER, "--adaptive-keep", "0.8")):  # fmt: skip
            _mrl(address, folder, "search", "words", "--id", id, *how)

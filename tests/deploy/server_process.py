"""A server of the example collection, as a process, for what only a running one can tell."""

import re
import signal
import subprocess
import tempfile
import urllib.request

from conftest import BUILD, SOURCE, checked

EXAMPLE = SOURCE / "examples" / "wordnet"


def metrics_of_a_server():
    """The text of /metrics of a server that answered a search; None where there is no HTTP port."""
    if "--http-port" not in checked(BUILD / "bin/mrl-server", "--help"):
        return None
    with tempfile.TemporaryDirectory(prefix="mrl-deploy-") as folder:
        index = f"{folder}/wordnet"
        checked(
            BUILD / "bin/mrl-index", "build", "--input", EXAMPLE / "embeddings.npy", "--payloads",
            EXAMPLE / "points.jsonl", "--id-field", "id", "--dims", "16,512", "--output", index,
        )  # fmt: skip
        server = subprocess.Popen(
            [BUILD / "bin/mrl-server", "--index", f"wordnet={index}", "--grpc-port", "0",
             "--http-port", "0"], stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            return _ask(server)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)


def _ask(server):
    for line in server.stdout:
        if found := re.match(r"serving grpc=(\S+) http=(\S+)", line):
            checked(BUILD / "bin/mrl", "--server", found[1], "search", "wordnet", "--id", "dog.n.01")
            with urllib.request.urlopen(f"http://{found[2]}/metrics", timeout=30) as reply:
                return reply.read().decode()
    raise RuntimeError(f"mrl-server ended with {server.wait()} before it served")

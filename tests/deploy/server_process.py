"""A server of the example collection, as a process, for what only a running one can tell."""

import contextlib
import re
import signal
import subprocess
import tempfile

from conftest import BUILD, SOURCE, checked

EXAMPLE = SOURCE / "examples" / "wordnet"


@contextlib.contextmanager
def serving(*flags):
    """The addresses of a server with these flags, by port: {"grpc": …, "http": …}."""
    server = subprocess.Popen(
        [BUILD / "bin/mrl-server", "--grpc-port", "0", *map(str, flags)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield _addresses(server)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)
        server.stdout.close()


@contextlib.contextmanager
def served(*flags):
    """As serving, with the example."""
    with tempfile.TemporaryDirectory(prefix="mrl-deploy-") as folder:
        index = f"{folder}/wordnet"
        checked(
            BUILD / "bin/mrl-index", "build", "--input", EXAMPLE / "embeddings.npy", "--payloads",
            EXAMPLE / "points.jsonl", "--id-field", "id", "--dims", "16,512", "--output", index,
        )  # fmt: skip
        with serving("--index", f"wordnet={index}", *flags) as at:
            yield at


def _addresses(server):
    for line in server.stdout:
        if line.startswith("serving "):
            return dict(re.findall(r"(\w+)=(\S+)", line))
    raise RuntimeError(f"mrl-server ended with {server.wait()} before it served")


def knows(flag):
    return flag in checked(BUILD / "bin/mrl-server", "--help")


def any_port():
    """Flags that keep a test off the usual HTTP port."""
    return ["--http-port", "0"] if knows("--http-port") else []

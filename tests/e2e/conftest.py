"""The example index, one server of it, and the Python client with fresh stubs."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

SOURCE = pathlib.Path(os.environ.get("MRL_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
BIN = pathlib.Path(os.environ.get("MRL_BIN_DIR", SOURCE / "build" / "release" / "bin"))
EXAMPLE = SOURCE / "examples" / "wordnet"


def _import_client(folder):
    """The checkout's own client, not one that happens to be installed."""
    shutil.copytree(SOURCE / "client/python/mrl", folder / "mrl")
    sys.path.insert(0, str(SOURCE / "client" / "python"))
    from generate import generate

    generate(folder / "mrl")
    sys.path.insert(0, str(folder))


# Programs keep what they found in a cache; that of the user is not the tests'.
_cache = tempfile.TemporaryDirectory(prefix="mrl-cache-")
os.environ["XDG_CACHE_HOME"] = _cache.name

# Test modules import mrl while pytest collects them, before any fixture runs.
_client_folder = tempfile.TemporaryDirectory(prefix="mrl-client-")
_import_client(pathlib.Path(_client_folder.name))


def run_index(*args):
    """Runs mrl-index to its end, whatever its exit code."""
    command = [BIN / "mrl-index", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def start_server(index, *flags):
    """Returns the process and the address that it serves."""
    server = subprocess.Popen(
        [BIN / "mrl-server", "--index", f"wordnet={index}", "--grpc-port", "0", "--http-port", "0",
         *map(str, flags)],
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in server.stdout:
        if found := re.match(r"serving grpc=(\S+)", line):
            return server, found[1]
    raise RuntimeError(f"mrl-server ended with {server.wait()} before it served")


def stop_server(server):
    server.send_signal(signal.SIGTERM)
    try:
        return server.wait(timeout=30)
    finally:
        server.kill()
        server.stdout.close()


@pytest.fixture(scope="session")
def index(tmp_path_factory):
    output = tmp_path_factory.mktemp("index") / "wordnet"
    built = run_index(
        "build", "--input", EXAMPLE / "embeddings.npy", "--payloads", EXAMPLE / "points.jsonl",
        "--id-field", "id", "--dims", "16,32,64,128,256,512", "--output", output,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return output


@pytest.fixture(scope="session")
def address(index):
    server, address = start_server(index)
    yield address
    stop_server(server)

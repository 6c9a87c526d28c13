"""TLS and keys, from every client."""

import asyncio
import json
import os
import secrets
import subprocess

import grpc
import mrl
import numpy as np
import pytest
from conftest import BIN, EXAMPLE, start_server, stop_server
from live_server import LiveServer

ID = "dog.n.01"


def run_client(address, *args, **environment):
    return subprocess.run(
        [BIN / "mrl", "--server", address, *map(str, args)],
        capture_output=True, text=True, timeout=60, env=os.environ | environment,
    )  # fmt: skip


def hash_of(key):
    return subprocess.run(
        [BIN / "mrl-server", "--hash-key"], input=key, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture(scope="module")
def key():
    return secrets.token_hex(32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, key):
    folder = tmp_path_factory.mktemp("security")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", folder / "tls.key", "-out", folder / "tls.crt", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "keys.yaml").write_text(
        f"keys:\n- {{id: app, role: read, collections: [wordnet], hash: '{hash_of(key)}'}}\n"
    )
    (folder / "key").write_text(key + "\n")
    return folder


@pytest.fixture(scope="module")
def guarded(index, folder):
    server, address = start_server(
        index, "--tls-cert", folder / "tls.crt", "--tls-key", folder / "tls.key",
        "--api-keys", folder / "keys.yaml",
    )  # fmt: skip
    yield address
    assert stop_server(server) == 0


def test_python_client_with_key_and_roots_is_answered(guarded, folder, key):
    with mrl.Client(guarded, api_key=key, tls=mrl.Tls(ca=folder / "tls.crt")) as client:
        assert client.search("wordnet", id=ID, k=3).hits
        ids, _ = client.batch_search("wordnet", client.search(
            "wordnet", id=ID, k=2, with_vector=True).hits[0].vector[None, :], k=3)
        assert len(ids[0]) == 3


def test_async_client_with_key_and_roots_is_answered(guarded, folder, key):
    async def ask():
        tls = mrl.Tls(ca=folder / "tls.crt")
        async with mrl.AsyncClient(guarded, api_key=key, tls=tls) as client:
            return await client.search("wordnet", id=ID, k=3)

    assert len(asyncio.run(ask()).hits) == 3


@pytest.mark.parametrize("wrong", [None, "x" * 64])
def test_python_client_without_the_key_is_refused(guarded, folder, wrong):
    with mrl.Client(guarded, api_key=wrong, tls=mrl.Tls(ca=folder / "tls.crt")) as client:
        with pytest.raises(mrl.MrlError) as raised:
            client.search("wordnet", id=ID)
    assert raised.value.code == grpc.StatusCode.UNAUTHENTICATED
    assert "xxx" not in str(raised.value)


def test_health_needs_no_key(guarded, folder):
    with mrl.Client(guarded, tls=mrl.Tls(ca=folder / "tls.crt")) as client:
        assert client.health() is True


def test_a_client_in_clear_is_not_answered(guarded, key):
    with mrl.Client(guarded, api_key=key) as client:
        with pytest.raises(mrl.MrlError) as raised:
            client.search("wordnet", id=ID, timeout_s=20)
    assert raised.value.code == grpc.StatusCode.UNAVAILABLE


def test_a_certificate_needs_its_key(folder):
    with pytest.raises(ValueError, match="cert and key are needed together"):
        mrl.Client("127.0.0.1:1", tls=mrl.Tls(cert=folder / "tls.crt"))


def test_command_line_client_takes_key_from_file_and_environment(guarded, folder, key):
    roots = ("--tls-ca", folder / "tls.crt")
    search = ("--json", "search", "wordnet", "--id", ID, "-k", "3")
    by_file = run_client(guarded, *roots, "--api-key-file", folder / "key", *search)
    assert by_file.returncode == 0, by_file.stderr
    by_variable = run_client(guarded, *roots, *search, MRL_API_KEY=key)
    assert by_variable.returncode == 0, by_variable.stderr
    hits = json.loads(by_file.stdout)["hits"]
    assert len(hits) == 3
    assert json.loads(by_variable.stdout)["hits"] == hits
    refused = run_client(guarded, *roots, "status")
    assert refused.returncode == 1
    assert "a key is needed" in refused.stderr


def test_command_line_client_names_a_missing_file(guarded, folder):
    ran = run_client(guarded, "--tls-ca", folder / "none.pem", "status")
    assert ran.returncode == 2
    assert "none.pem" in ran.stderr


@pytest.fixture(scope="module")
def mutual(index, folder):
    """A server that asks for certificates; the one there is signed itself."""
    server, address = start_server(
        index, "--tls-cert", folder / "tls.crt", "--tls-key", folder / "tls.key",
        "--tls-client-ca", folder / "tls.crt",
    )  # fmt: skip
    yield address
    assert stop_server(server) == 0


def test_clients_show_their_certificate(mutual, folder):
    roots = ("--tls-ca", folder / "tls.crt")
    own = ("--tls-cert", folder / "tls.crt", "--tls-key", folder / "tls.key")
    shown = run_client(mutual, *roots, *own, "status")
    assert shown.returncode == 0, shown.stderr
    by_variable = run_client(mutual, "status", MRL_TLS_CA=str(folder / "tls.crt"),
                             MRL_TLS_CERT=str(folder / "tls.crt"), MRL_TLS_KEY=str(folder / "tls.key"))  # fmt: skip
    assert by_variable.returncode == 0, by_variable.stderr
    assert run_client(mutual, *roots, "--timeout", "5", "status").returncode == 69
    alone = run_client(mutual, *roots, "--tls-cert", folder / "tls.crt", "status")
    assert alone.returncode == 2
    assert "--tls-cert and --tls-key are needed together" in alone.stderr
    tls = mrl.Tls(ca=folder / "tls.crt", cert=folder / "tls.crt", key=folder / "tls.key")
    with mrl.Client(mutual, tls=tls) as client:
        assert client.search("wordnet", id=ID, k=3).hits
    with mrl.Client(mutual, tls=mrl.Tls(ca=folder / "tls.crt")) as client:
        with pytest.raises(mrl.MrlError) as raised:
            client.search("wordnet", id=ID, timeout_s=5)
    assert raised.value.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def test_every_setting_is_shown_with_its_source(mutual, folder):
    tls = mrl.Tls(ca=folder / "tls.crt", cert=folder / "tls.crt", key=folder / "tls.key")
    with mrl.Client(mutual, tls=tls) as client:
        settings = {one.key: one for one in client.config()}
    assert settings["tls-cert"].source == "flag --tls-cert"
    assert settings["queue-max"].source == "default"
    own = ("--tls-ca", folder / "tls.crt", "--tls-cert", folder / "tls.crt",
           "--tls-key", folder / "tls.key")  # fmt: skip
    shown = run_client(mutual, *own, "--json", "status", "--config")
    assert shown.returncode == 0, shown.stderr
    assert {one["key"] for one in json.loads(shown.stdout)["settings"]} == set(settings)


def test_the_configuration_is_for_admins(guarded, folder, key):
    with mrl.Client(guarded, api_key=key, tls=mrl.Tls(ca=folder / "tls.crt")) as client:
        with pytest.raises(mrl.MrlError) as raised:
            client.config()
    assert raised.value.code == grpc.StatusCode.PERMISSION_DENIED


def mrl_load(*flags, **environment):
    return subprocess.run([BIN / "mrl-load", *map(str, flags)], capture_output=True, text=True, timeout=120,
                          env=os.environ | environment)


def test_load_generator_searches_and_writes_over_tls_with_a_key(folder, key, tmp_path):
    rng = np.random.default_rng(1)
    np.save(tmp_path / "queries.npy", rng.standard_normal((50, 32)).astype(np.float32))
    (tmp_path / "keys.yaml").write_text(f"keys:\n- {{id: load, role: admin, hash: '{hash_of(key)}'}}\n")
    server = LiveServer(tmp_path / "data", "--tls-cert", folder / "tls.crt", "--tls-key", folder / "tls.key",
                        "--api-keys", tmp_path / "keys.yaml")
    with mrl.Client(server.address, api_key=key, tls=mrl.Tls(ca=folder / "tls.crt")) as client:
        client.create_collection("notes", 32)
        flags = ["--server", server.address, "--tls-ca", folder / "tls.crt", "--collection", "notes", "--queries",
                 tmp_path / "queries.npy", "--rates", 200, "--seconds", 1, "--warmup", 0, "--json"]
        ran = mrl_load(*flags, "--writes", 0.5, "--write-ids", 40, MRL_API_KEY=key)
        assert ran.returncode == 0, ran.stderr
        line = json.loads(ran.stdout)
        searched, written = line["ended"].pop("OK"), line["writes"]["ended"].pop("OK")
        assert not line["ended"] and not line["writes"]["ended"] and line["unsent"] == 0
        assert searched + written == line["due"] and searched > 50 and written > 50
        assert 20 < client.count("notes") <= 40
        assert set(json.loads(mrl_load(*flags).stdout)["ended"]) == {"UNAUTHENTICATED"}
    assert server.stop() == 0


def test_load_generator_names_what_it_cannot_use(tmp_path):
    ran = mrl_load("--collection", "x", "--queries", "x.npy", "--rates", 0)
    assert ran.returncode != 0 and "--rates" in ran.stderr + ran.stdout
    missing = tmp_path / "roots.pem"
    ran = mrl_load("--collection", "x", "--queries", EXAMPLE / "queries.npy", "--tls-ca", missing)
    assert ran.returncode == 1 and str(missing) in ran.stderr

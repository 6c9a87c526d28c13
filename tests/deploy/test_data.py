"""The shipped configuration takes writes and keeps them, and the guide's way to back up and restore works."""

import json

from conftest import BUILD, checked, run
from server_process import serving

SHIPPED = BUILD / "manual" / "mrl-server.yaml"
STATE = "/var/lib/mrl"


def points(file, ids):
    lines = (json.dumps({"id": id, "vector": [1, id], "payload": {"n": id}}) for id in ids)
    file.write_text("\n".join(lines) + "\n")
    return file


def shipped(folder):
    """A server of the configuration that packages bring, with its state below folder."""
    folder.mkdir(exist_ok=True)
    config = folder / "mrl-server.yaml"
    config.write_text(SHIPPED.read_text().replace(STATE, str(folder)))
    return serving("--config", config, "--http-port", 0)


def mrl(at, *words):
    return checked(BUILD / "bin/mrl", "--server", at["grpc"], *words)


def count(at, collection):
    return int(mrl(at, "points", "count", collection))


def test_a_fresh_server_is_healthy_and_keeps_what_is_written(tmp_path):
    with shipped(tmp_path / "state") as at:
        mrl(at, "status", "--health")
        mrl(at, "collections", "create", "words", "--dim", 2)
        mrl(at, "points", "upsert", "words", "--input", points(tmp_path / "a", range(10)))
        assert count(at, "words") == 10
    with shipped(tmp_path / "state") as at:
        assert count(at, "words") == 10
        assert json.loads(mrl(at, "points", "get", "words", "--id", 7))["payload"] == {"n": 7}


def test_one_server_owns_a_data_folder(tmp_path):
    with shipped(tmp_path / "state"):
        config = tmp_path / "state" / "mrl-server.yaml"
        second = run(BUILD / "bin/mrl-server", "--config", config, "--grpc-port", 0, "--http-port", 0)
        assert second.returncode == 1
        assert "state/data is in use by another server" in second.stderr


def test_a_backup_is_restored_on_another_server(tmp_path):
    with shipped(tmp_path / "old") as at:
        mrl(at, "collections", "create", "words", "--dim", 2)
        mrl(at, "points", "upsert", "words", "--input", points(tmp_path / "a", range(10)))
        mrl(at, "profiles", "create", "words", "fast", "--funnel", "2:10")
        mrl(at, "snapshots", "create", "words", "monday")
        mrl(at, "points", "upsert", "words", "--input", points(tmp_path / "b", range(10, 15)))
        mrl(at, "snapshots", "download", "words", "monday", "--output", tmp_path / "words.snapshot")
        assert count(at, "words") == 15
    with shipped(tmp_path / "new") as at:
        mrl(at, "snapshots", "upload", "words", "monday", "--input", tmp_path / "words.snapshot")
        mrl(at, "snapshots", "restore", "words", "monday", "--to", "words-monday")
        mrl(at, "aliases", "set", "words=words-monday")
        assert "fast" in mrl(at, "profiles", "list", "words")
        assert count(at, "words") == 10
        assert json.loads(mrl(at, "points", "get", "words", "--id", 7))["payload"] == {"n": 7}

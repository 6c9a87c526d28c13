"""The compose file."""

import json
import pathlib
import re
import sys

import pytest
import yaml
from conftest import BUILD, DEPLOY, checked, run

COMPOSE = DEPLOY / "compose" / "compose.yaml"


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(COMPOSE.read_text())


def composed(file, **environment):
    """The file as Compose itself reads it, with the services of every profile; needs no daemon."""
    program = pathlib.Path(sys.executable).with_name("docker-compose")
    return run(program, "--file", file, "--profile", "*", "config", "--format", "json", env=environment)


@pytest.mark.parametrize(
    "environment",
    [{}, {"MRL_INDEXES": "/srv/indexes", "MRL_INDEX": "a=/indexes/a", "MRL_GPU_COUNT": "2"}],
)
def test_compose_reads_the_file(compose, environment):
    ran = composed(COMPOSE, **environment)
    assert (ran.returncode, ran.stderr) == (0, "")
    services = json.loads(ran.stdout)["services"]
    assert set(services) == set(compose["services"])
    indexes = next(v for v in services["mrl"]["volumes"] if v["target"] == "/indexes")
    assert (indexes["source"], indexes["read_only"]) == (environment.get("MRL_INDEXES", "indexes"), True)


def test_compose_names_a_key_that_is_none(tmp_path):
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("stop_grace_period:", "stop_grace:", 1))
    ran = composed(wrong)
    assert ran.returncode == 1
    assert "services.mrl" in ran.stderr and "stop_grace" in ran.stderr


def test_every_service_is_hardened(compose):
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "mem_limit" in service and "pids_limit" in service, name


def test_ports_are_published_on_loopback_only(compose):
    ports = [port for service in compose["services"].values() for port in service["ports"]]
    assert "127.0.0.1:7600:7600" in ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_images_of_others_are_pinned_by_digest(compose):
    for name, service in compose["services"].items():
        if "build" not in service:
            assert re.search(r":v?\d[^@]*@sha256:[0-9a-f]{64}$", service["image"]), name


def test_observability_is_a_profile_of_its_own(compose):
    profiles = {name: service.get("profiles") for name, service in compose["services"].items()}
    assert profiles == {
        "mrl": None, "mrl-gpu": ["gpu"], "prometheus": ["observability"], "grafana": ["observability"]}  # fmt: skip


def test_gpu_service_asks_for_a_device(compose):
    service = compose["services"]["mrl-gpu"]
    devices = service["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [
        {"driver": "nvidia", "count": "${MRL_GPU_COUNT:-1}", "capabilities": ["gpu"]}
    ]
    assert service["environment"]["MRL_GPU"] == "${MRL_GPU:-auto}"
    assert service["ulimits"] == {"memlock": -1}


def test_no_build_argument_is_passed_empty(compose):
    """An empty string would take the place of the Dockerfile's default."""
    for service in compose["services"].values():
        for value in service.get("build", {}).get("args", {}).values():
            assert value and not value.endswith(":-}")


def test_mounted_files_and_volumes_exist(compose):
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", volume).split(":")[0]
            if source.startswith("."):
                assert (COMPOSE.parent / source).exists(), volume
            else:
                assert source in compose["volumes"], volume
    context = COMPOSE.parent / compose["services"]["mrl"]["build"]["context"]
    assert (context / compose["services"]["mrl"]["build"]["dockerfile"]).samefile(
        DEPLOY / "docker/Dockerfile"
    )


def test_collections_that_take_writes_are_on_a_volume(compose):
    for name in ("mrl", "mrl-gpu"):
        service = compose["services"][name]
        mounts = dict(volume.rsplit(":", 1)[::-1] for volume in service["volumes"] if "/var/" in volume)
        folder, slash, below = service["environment"]["MRL_DATA_DIR"].rpartition("/")
        assert slash and below
        assert mounts[folder] in compose["volumes"]


def test_grace_is_longer_than_the_drain(compose):
    printed = checked(BUILD / "bin/mrl-server", "--print-config", env={})
    drain_ms = int(re.search(r"^drain-timeout-ms: (\d+)", printed, re.MULTILINE)[1])
    assert int(compose["services"]["mrl"]["stop_grace_period"].removesuffix("s")) * 1000 > drain_ms

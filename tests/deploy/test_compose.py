"""The compose file, Prometheus' configuration and the dashboard."""

import json
import pathlib
import re
import sys
import urllib.request

import pytest
import yaml
from conftest import BUILD, DEPLOY, checked, need, run
from server_process import any_port, knows, served

COMPOSE = DEPLOY / "compose" / "compose.yaml"
PROMETHEUS = DEPLOY / "compose" / "prometheus"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "mrl.json"


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(COMPOSE.read_text())


@pytest.fixture(scope="module")
def panels():
    return json.loads(DASHBOARD.read_text())["panels"]


def expressions(panels):
    rules = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"]
    yield from (target["expr"] for panel in panels for target in panel.get("targets", []))
    yield from (rule["expr"] for group in rules for rule in group["rules"])


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


def test_grace_is_longer_than_the_drain(compose):
    printed = checked(BUILD / "bin/mrl-server", "--print-config", env={})
    drain_ms = int(re.search(r"^drain-timeout-ms: (\d+)", printed, re.MULTILINE)[1])
    assert int(compose["services"]["mrl"]["stop_grace_period"].removesuffix("s")) * 1000 > drain_ms


def test_rules_and_configuration_pass_promtool(tmp_path):
    need("promtool")
    text = (PROMETHEUS / "prometheus.yaml").read_text()
    local = tmp_path / "prometheus.yaml"
    local.write_text(text.replace("/etc/prometheus", str(PROMETHEUS)))
    assert "10 rules found" in checked("promtool", "check", "config", local)


def test_dashboard_expressions_parse(panels, tmp_path):
    need("promtool")
    rules = [
        {"record": f"panel:{i}", "expr": re.sub(r"\$__rate_interval", "5m", expression)}
        for i, expression in enumerate(expressions(panels))
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked("promtool", "check", "rules", file)


def test_dashboard_panels_do_not_overlap(panels):
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}  # fmt: skip
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in panels]
    assert len(ids) == len(set(ids))


def test_dashboard_and_rules_use_metrics_that_the_server_has(panels):
    """A name that moved would leave a panel empty and an alert silent."""
    if not knows("--http-port"):
        pytest.skip("this server has no --http-port yet")
    with served(*any_port()) as at:
        checked(BUILD / "bin/mrl", "--server", at["grpc"], "search", "wordnet", "--id", "dog.n.01")
        with urllib.request.urlopen(f"http://{at['http']}/metrics", timeout=30) as reply:
            shown = reply.read().decode()
    has = set(re.findall(r"^(mrl_\w+)", shown, re.MULTILINE))
    has |= set(re.findall(r"^# TYPE (mrl_\w+)", shown, re.MULTILINE))
    used = set(re.findall(r"\bmrl_\w+", " ".join(expressions(panels))))
    assert used
    assert used <= has

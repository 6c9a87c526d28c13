"""The service under a systemd of its own: installed from the package, started, reloaded, stopped."""

import os

import pytest
from conftest import (
    BUILD, PACKAGES, PODMAN, PODMAN_RUN, SOURCE, build_image, checked, remove_image, run, slow,
)  # fmt: skip

pytestmark = slow
IMAGE = "localhost/mrl-test:systemd"
NAME = f"mrl-test-systemd-{os.getpid()}"
EXAMPLE = SOURCE / "examples" / "wordnet"
DOCKERFILE = """\
ARG BASE
FROM ${BASE}
COPY *.deb /packages/
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update && apt-get install -y --no-install-recommends dbus systemd systemd-sysv
RUN apt-get install -y --no-install-recommends /packages/mrl-server_*.deb /packages/mrl-tools_*.deb
"""


@pytest.fixture(scope="module")
def machine(packages, bare_image, tmp_path_factory):
    """A container with systemd as process 1; returns how to run a shell line in it."""
    folder = tmp_path_factory.mktemp("systemd")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    build_image(IMAGE, PACKAGES, "--build-arg", f"BASE={bare_image}", "-f", folder / "Dockerfile")
    checked(BUILD / "bin/mrl-index", "build", "--input", EXAMPLE / "embeddings.npy", "--payloads",
            EXAMPLE / "points.jsonl", "--id-field", "id", "--dims", "16,512", "--output",
            folder / "wordnet")  # fmt: skip
    # Its own network, so that the port is free.
    checked(*PODMAN_RUN, "--network", "none", "--privileged", "--systemd=always", "--detach",
            "--name", NAME, "--volume", f"{folder}/wordnet:/srv/wordnet:ro", IMAGE,
            "/sbin/init")  # fmt: skip
    try:
        yield lambda line: checked(*PODMAN, "exec", NAME, "sh", "-euc", line)
    finally:
        run(*PODMAN, "rm", "--force", "--time", "1", NAME)
        remove_image(IMAGE)


def test_service_lives_as_its_unit_says(machine):
    """One life, since each step needs the one before."""
    machine("until systemctl is-system-running --wait >/dev/null 2>&1; do :; done")
    assert machine("systemctl is-enabled mrl-server").strip() == "enabled"
    assert "serving" in machine("until mrl status; do systemctl is-active mrl-server; done")

    machine("printf 'index:\\n  wordnet: /srv/wordnet\\n' >>/etc/mrl/mrl-server.yaml")
    machine("systemctl restart mrl-server")
    machine("until mrl status; do systemctl is-active mrl-server; done")
    assert "wild_dog.n.01" in machine("mrl search wordnet --id dog.n.01 -k 1")

    before = machine("systemctl show -P MainPID mrl-server")
    machine("systemctl reload mrl-server")
    machine("until journalctl -u mrl-server | grep -q 'SIGHUP'; do :; done")
    assert machine("systemctl show -P MainPID mrl-server") == before

    status = machine("cat /proc/$(systemctl show -P MainPID mrl-server)/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split()[0] == machine("id -u mrl").strip()
    assert int(fields["CapBnd"], 16) == int(fields["CapEff"], 16) == 0
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")

    # Threads of gRPC have the class SCHED_BATCH (3), those in the background a nice value of 10.
    stats = machine("cat /proc/$(systemctl show -P MainPID mrl-server)/task/*/stat").splitlines()
    # Fields behind the name, which may have spaces: the state is the third of all.
    fields = [line.rpartition(") ")[2].split() for line in stats]
    assert {int(field[16]) for field in fields} == {0, 10}
    assert {int(field[38]) for field in fields} == {0, 3}
    assert "not permitted" not in machine("journalctl -u mrl-server")

    machine("systemctl stop mrl-server")
    shown = machine("systemctl show -p ExecMainStatus -p Result mrl-server").split()
    assert set(shown) == {"ExecMainStatus=0", "Result=success"}


def test_wrong_configuration_is_not_retried(machine):
    machine("echo 'no-such-key: 1' >>/etc/mrl/mrl-server.yaml")
    machine("systemctl restart mrl-server || true")
    machine("until systemctl is-failed mrl-server; do :; done")
    shown = machine("systemctl show -p ExecMainStatus -p NRestarts mrl-server").split()
    assert set(shown) == {"ExecMainStatus=2", "NRestarts=0"}
    assert "no-such-key" in machine("journalctl -u mrl-server")

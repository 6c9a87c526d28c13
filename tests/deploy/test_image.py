"""The image, built from a bare base and run as an operator would.

Its programs are those of the packages; with MRL_DEPLOY_COMPILE=1 its own first stage compiles them.
"""

import json
import os
import re
import shutil
import socket
import time

import pytest
from conftest import PODMAN, PODMAN_RUN, SOURCE, build_image, checked, need, remove_image, run, slow

pytestmark = slow
IMAGE = "localhost/mrl-test:example"
NAME = f"mrl-test-{os.getpid()}"
RUN = (*PODMAN_RUN, "--network", "host")
HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "all", "--security-opt",
            "no-new-privileges")  # fmt: skip
HEALTHY_WITHIN_S = 10


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# In the place of the stage that compiles: the packages of this build, and what later stages take from it.
COMPILED = """\
FROM ${{BASE}} AS build
WORKDIR /src
COPY . .
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    python3 {static} ./build/package/packages/mrl-tools_*.deb
RUN mkdir -p build/package/bin && ln -s /usr/bin/mrl-index build/package/bin/

"""


def with_packages(packages, folder):
    """A Dockerfile and its context that need no compiler: (file, folder)."""
    text = (SOURCE / "deploy/docker/Dockerfile").read_text()
    begin, end = text.index("FROM ${BASE} AS build\n"), text.index("FROM ${BASE} AS root\n")
    compiled = COMPILED.format(static=re.search(r'--static "(.+)"', text)[1])
    (folder / "Dockerfile").write_text(text[:begin] + compiled + text[end:])
    for name in ("deploy/docker", "examples/wordnet"):
        shutil.copytree(SOURCE / name, folder / name)
    (folder / "build/package/packages").mkdir(parents=True)
    for name in ("mrl-server", "mrl-tools"):
        shutil.copy(packages[name], folder / "build/package/packages")
    return folder / "Dockerfile", folder


@pytest.fixture(scope="session")
def image(request, tmp_path_factory):
    need("podman", "runc")
    if given := os.environ.get("MRL_DEPLOY_IMAGE"):
        yield given
        return
    base = request.getfixturevalue("bare_image")
    flags = ["--target", "example", "--build-arg", f"BASE={base}"]
    if os.environ.get("MRL_DEPLOY_COMPILE") == "1":
        file, context = SOURCE / "deploy/docker/Dockerfile", SOURCE
        if authority := os.environ.get("SSL_CERT_FILE"):
            flags += ["--secret", f"id=ca,src={authority}"]
    else:
        packages = request.getfixturevalue("packages")
        file, context = with_packages(packages, tmp_path_factory.mktemp("context"))
    build_image(IMAGE, context, *flags, "-f", file)
    yield IMAGE
    remove_image(IMAGE)


def start(image):
    port = free_port()
    environment = [f"MRL_GRPC_PORT={port}", "MRL_HTTP_PORT=0", f"MRL_SERVER=127.0.0.1:{port}"]
    flags = [word for value in environment for word in ("--env", value)]
    checked(*RUN, *HARDENED, "--detach", "--name", NAME, *flags, image)


def await_health():
    """Seconds until the image's own check says healthy."""
    began = time.monotonic()
    while run(*PODMAN, "healthcheck", "run", NAME).returncode != 0:
        if time.monotonic() - began > HEALTHY_WITHIN_S:
            log = run(*PODMAN, "logs", NAME)
            pytest.fail(f"not healthy within {HEALTHY_WITHIN_S} s\n{log.stdout}\n{log.stderr}")
    return time.monotonic() - began


@pytest.fixture(scope="module")
def container(image):
    start(image)
    try:
        await_health()
        yield NAME
    finally:
        run(*PODMAN, "rm", "--force", "--time", "5", NAME)


def inside(container, *command):
    return run(*PODMAN, "exec", container, *command)


def test_container_answers_the_example_query(container):
    ran = inside(container, "mrl", "--json", "search", "wordnet", "--id", "dog.n.01", "-k", "5")
    assert ran.returncode == 0, ran.stderr
    hits = json.loads(ran.stdout)["hits"]
    assert len(hits) == 5
    assert hits[0]["id"] == "wild_dog.n.01"


def test_container_has_no_privileges(container):
    status = inside(container, "cat", "/proc/1/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split() == ["10001"] * 4
    assert fields["Gid"].split() == ["10001"] * 4
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[kind], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_root_is_read_only(container):
    ran = inside(container, "touch", "/usr/share/mrl/x")
    assert ran.returncode != 0
    assert "Read-only file system" in ran.stderr


def test_container_ends_with_0_on_sigterm(image):
    run(*PODMAN, "rm", "--force", "--time", "5", NAME)
    start(image)
    try:
        await_health()
        checked(*PODMAN, "stop", "--time", "30", NAME)
        ended = checked(*PODMAN, "inspect", "--format", "{{.State.ExitCode}}", NAME)
        assert ended.strip() == "0"
    finally:
        run(*PODMAN, "rm", "--force", NAME)


def test_image_says_what_it_is(image):
    config = json.loads(checked(*PODMAN, "image", "inspect", image))[0]
    labels = config["Labels"]
    for key in ("title", "description", "licenses", "version", "revision", "base.name"):
        assert labels[f"org.opencontainers.image.{key}"]
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][:2] == ["CMD", "mrl"]


def in_new(image, program, *arguments):
    """What a program of the image prints, in a container of its own."""
    return checked(*RUN, "--rm", "--entrypoint", program, image, *arguments)


def test_image_carries_its_bill_of_materials(image):
    bill = json.loads(in_new(image, "cat", "/usr/share/doc/mrl-server/sbom.spdx.json"))
    names = {package["name"] for package in bill["packages"]}
    assert {"mrl-server", "mrl-tools", "libc6", "libgrpc++1.51", "libfaiss-dev"} <= names
    installed = in_new(image, "dpkg-query", "-W", "-f=${Package}\n").split()
    assert set(installed) <= names


def test_image_has_no_compiler_and_no_package_lists(image):
    assert in_new(image, "find", "/var/lib/apt/lists", "-type", "f") == ""
    names = in_new(image, "dpkg-query", "-W", "-f=${Package}\n").split()
    assert not {"gcc", "cmake", "python3", "libgrpc++-dev"} & set(names)


def test_image_uses_the_fast_blas(image):
    names = in_new(image, "dpkg-query", "-W", "-f=${Package}\n").split()
    assert "libopenblas0-pthread" in names
    assert "libblas3" not in names or "openblas" in in_new(
        image, "readlink", "-f", "/usr/lib/x86_64-linux-gnu/libblas.so.3")  # fmt: skip

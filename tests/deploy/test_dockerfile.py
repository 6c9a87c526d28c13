"""What can be said of the images without building them."""

import json
import re

import pytest
import sbom
from conftest import BUILD, DEPLOY, SOURCE, checked, need, run
from server_process import any_port, served

DOCKERFILE = (DEPLOY / "docker" / "Dockerfile").read_text()
GPU = (DEPLOY / "docker" / "Dockerfile.gpu").read_text()
UNAVAILABLE = 69
both = pytest.mark.parametrize("dockerfile", [DOCKERFILE, GPU], ids=["cpu", "gpu"])


@both
def test_base_is_pinned_by_digest(dockerfile):
    default = re.search(r"^ARG BASE=(\S+)$", dockerfile, re.MULTILINE)[1]
    assert re.search(r"/debian:bookworm-\d{8}-slim@sha256:[0-9a-f]{64}$", default)
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", dockerfile, re.MULTILINE))
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) <= stages | {"${BASE}"}


@both
def test_image_builds_with_no_argument(dockerfile):
    """What a stage is made from has a default, and an empty string is none."""
    before_the_first_stage = dockerfile[: dockerfile.index("\nFROM ")]
    defaults = set(re.findall(r"^ARG (\w+)=\S+$", before_the_first_stage, re.MULTILINE))
    named = re.findall(r"^FROM .*?\$\{(\w+)\}", dockerfile, re.MULTILINE)
    assert named
    assert set(named) <= defaults


@both
def test_user_is_a_number_and_not_root(dockerfile):
    users = re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE)
    assert users == ["10001:10001"]


@both
def test_label_has_the_version_of_the_programs(dockerfile):
    project = (SOURCE / "CMakeLists.txt").read_text()
    version = re.search(r"project\(mrl VERSION (\S+)", project)[1]
    assert re.search(r"^ARG VERSION=(\S+)$", dockerfile, re.MULTILINE)[1] == version


@both
def test_image_has_labels_and_papers_and_drains(dockerfile):
    labels = set(re.findall(r"org\.opencontainers\.image\.(\S+)=", dockerfile))
    assert labels == {"title", "description", "licenses", "version", "revision", "base.name"}
    assert "COPY --from=papers /sbom.spdx.json /usr/share/doc/mrl-server/" in dockerfile
    assert "STOPSIGNAL SIGTERM" in dockerfile
    assert dockerfile.count('CMD ["mrl", "--timeout", "4", "status", "--health"]') == 1


def health_check(server):
    """Runs the image's health check with the programs of this build."""
    command = json.loads(re.search(r"^    CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)[1])
    return run(BUILD / "bin" / command[0], *command[1:], env={"MRL_SERVER": server})


def test_health_check_tells_a_serving_server_from_none():
    with served(*any_port()) as at:
        assert health_check(at["grpc"]).returncode == 0
    gone = health_check(at["grpc"])
    assert gone.returncode == UNAVAILABLE
    assert gone.stdout == ""


def test_packages_of_tests_stay_out_of_the_image():
    rule = re.search(r"sed '(.+?)' deploy/packages.txt", DOCKERFILE)[1]
    wanted = checked("sed", rule, DEPLOY / "packages.txt").split()
    assert {"cmake", "libgrpc++-dev", "python3-venv"} <= set(wanted)
    assert not {"clang-tidy", "tests", "#"} & set(wanted)


@pytest.fixture(scope="module")
def bill():
    """Of this machine, with its own compiler in the place of what is linked."""
    need("dpkg-query")
    printed = checked(
        "python3", DEPLOY / "docker/sbom.py", "--admin-dir", "/var/lib/dpkg", "--name", "mrl",
        "--static", "cmake ninja-build", env={"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": "0"},
    )  # fmt: skip
    return json.loads(printed)


def test_bill_names_every_installed_package(bill):
    count = checked("dpkg-query", "-W", "-f=${db:Status-Abbrev}\n").split().count("ii")
    inside = [r for r in bill["relationships"] if r["relationshipType"] == "CONTAINS"]
    assert len(inside) == count > 0
    static = [r for r in bill["relationships"] if r["relationshipType"] == "STATIC_LINK"]
    machine = checked("dpkg", "--print-architecture").strip()
    assert [r["relatedSpdxElement"] for r in static] == [
        f"SPDXRef-static-{name}-{machine}" for name in ("cmake", "ninja-build")]  # fmt: skip


def test_bill_is_sound_spdx(bill):
    assert bill["spdxVersion"] == "SPDX-2.3"
    assert bill["creationInfo"]["created"] == "1970-01-01T00:00:00Z"
    ids = [package["SPDXID"] for package in bill["packages"]]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", name) for name in ids)
    named = {end for r in bill["relationships"] for end in (r["spdxElementId"], r["relatedSpdxElement"])}
    assert named == set(ids) | {"SPDXRef-DOCUMENT"}


def test_bill_of_the_same_packages_has_the_same_name():
    rows = [["a", "1:2+b~c", "amd64", "source"]]
    one, same = (sbom.document("mrl", rows, [], time) for time in ("x", "y"))
    assert one["documentNamespace"] == same["documentNamespace"]
    other = sbom.document("mrl", [], [], "x")
    assert other["documentNamespace"] != one["documentNamespace"]
    url = one["packages"][1]["externalRefs"][0]["referenceLocator"]
    assert url == "pkg:deb/debian/a@1%3A2%2Bb%7Ec?arch=amd64&distro=debian-12"

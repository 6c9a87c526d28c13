"""The systemd unit and the maintainer scripts."""

import configparser
import re

import pytest
from conftest import BUILD, DEPLOY, checked, need

UNIT = DEPLOY / "systemd" / "mrl-server.service"
EXPOSURE_MAX = 2.0  # of 10, by systemd's own measure; below 2 it says OK


@pytest.fixture
def unit(tmp_path):
    """The unit with the program of this build, since an installed one may not be there."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/usr/bin/mrl-server", str(BUILD / "bin/mrl-server")))
    return copy


def test_unit_passes_verify(unit):
    need("systemd-analyze")
    assert checked("systemd-analyze", "verify", "--man=no", unit, stderr=-2, capture_output=False,
                   stdout=-1) == ""  # fmt: skip


def test_unit_is_hardened(unit):
    need("systemd-analyze")
    said = checked("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said)[1])
    assert exposure < EXPOSURE_MAX


def filtered(unit):
    """The system calls that the unit's SystemCallFilter= lines let through, in systemd's order: the first
    line makes a list of what is allowed, later ones take away (~) or add."""
    allowed = set()
    for line in re.findall(r"^SystemCallFilter=(.+)$", unit.read_text(), re.MULTILINE):
        calls = {call for name in line.removeprefix("~").split() for call in expanded(name)}
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


def expanded(name):
    """The system calls of a set such as @resources, which may hold others; a call's own name."""
    if not name.startswith("@"):
        return {name}
    said = checked("systemd-analyze", "syscall-filter", "--no-pager", name)
    members = re.findall(r"^ +([@\w]+)$", said, re.MULTILINE)
    return {call for member in members for call in expanded(member)}


def test_unit_lets_threads_give_way_and_nothing_else():
    """Refused, gRPC's threads push searches off their cores, merges slow them down, and few files can be
    open: the C library's setrlimit is prlimit64."""
    need("systemd-analyze")
    allowed = filtered(UNIT)
    assert {"sched_setscheduler", "setpriority", "prlimit64"} <= allowed
    assert expanded("@resources") & allowed == {"sched_setscheduler", "setpriority"}
    assert not expanded("@privileged") & allowed


def test_unit_waits_longer_than_the_drain():
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(UNIT)
    printed = checked(BUILD / "bin/mrl-server", "--print-config", env={})
    drain_ms = int(re.search(r"^drain-timeout-ms: (\d+)", printed, re.MULTILINE)[1])
    assert int(parser["Service"]["TimeoutStopSec"]) * 1000 >= drain_ms + 5000


@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_maintainer_script_is_clean(name):
    need("shellcheck")
    checked("shellcheck", "--shell=sh", DEPLOY / "debian" / name)

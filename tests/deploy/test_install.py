"""What `cmake --install` puts where, and that a program can be built against it."""

import os

import pytest
from conftest import BUILD, checked, run, slow

CMAKE = """\
cmake_minimum_required(VERSION 3.25)
project(consumer CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(mrl 0.1 REQUIRED)
add_executable(consumer main.cc)
target_link_libraries(consumer PRIVATE mrl::client)
"""
MAIN = """\
#include <cstdio>

#include "client/cpp/client.h"

int main() {
  mrl::client::ConnectionOptions options;
  options.timeout = absl::Milliseconds(200);
  mrl::client::Client client("127.0.0.1:1", options);
  const auto healthy = client.CheckHealth();
  std::printf("%d\\n", static_cast<int>(healthy.status().code()));
}
"""
UNAVAILABLE = "14\n"


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_server_component_has_program_unit_and_papers(installed):
    have = files(installed["server"])
    assert {
        "bin/mrl-server", "lib/systemd/system/mrl-server.service", "share/man/man1/mrl-server.1.gz",
        "share/bash-completion/completions/mrl-server", "share/doc/mrl-server/copyright",
        "share/doc/mrl-server/changelog.Debian.gz", "etc/mrl/mrl-server.yaml",
    } <= have  # fmt: skip


def test_tools_component_has_both_programs_and_their_papers(installed):
    have = files(installed["tools"])
    for program in ("mrl", "mrl-index"):
        assert {
            f"bin/{program}", f"share/man/man1/{program}.1.gz",
            f"share/bash-completion/completions/{program}",
            f"share/fish/vendor_completions.d/{program}.fish",
        } <= have  # fmt: skip
    assert not any("mrl-server" in path for path in have)


def test_dev_component_has_client_and_api(installed):
    have = files(installed["dev"])
    assert {
        "include/mrl/client/cpp/client.h", "include/mrl/mrl/v1/search.pb.h",
        "share/mrl/proto/mrl/v1/search.proto",
    } <= have  # fmt: skip
    assert {path.rsplit("/", 1)[1] for path in have if path.endswith(".a")} >= {
        "libmrl_base.a", "libmrl_client.a", "libmrl_proto.a"}  # fmt: skip
    assert not any(path.startswith("include/mrl/index") for path in have)


def test_exported_targets_name_no_folder_of_the_build(installed):
    for file in installed["dev"].rglob("mrl-targets*.cmake"):
        assert str(BUILD) not in file.read_text()


@pytest.mark.parametrize("component", ["server", "tools"])
def test_installed_programs_run(installed, component):
    for program in (installed[component] / "bin").iterdir():
        assert checked(program, "--version").startswith(program.name + " ")


@slow
def test_program_builds_against_the_client(installed, tmp_path):
    if b"__asan_init" in (BUILD / "bin/mrl").read_bytes():
        pytest.skip("the libraries want a sanitizer, which the consumer does not know of")
    (tmp_path / "CMakeLists.txt").write_text(CMAKE)
    (tmp_path / "main.cc").write_text(MAIN)
    prefix = f"-DCMAKE_PREFIX_PATH={installed['dev']}"
    checked("cmake", "-S", tmp_path, "-B", tmp_path / "build", prefix, timeout=300)
    checked("cmake", "--build", tmp_path / "build", timeout=600, env=dict(os.environ))
    assert run(tmp_path / "build/consumer").stdout == UNAVAILABLE

"""Which FAISS with GPU classes deploy/deps/faiss-gpu.sh takes, by what lies at its prefix."""

import pytest
from conftest import DEPLOY, run

SCRIPT = DEPLOY / "deps" / "faiss-gpu.sh"


def prefix_of(folder, minor, gpu=True, config=True):
    """An installed FAISS, as far as the script looks."""
    include = folder / "include" / "faiss"
    (include / "gpu").mkdir(parents=True)
    (include / "Index.h").write_text(
        f"#define FAISS_VERSION_MAJOR 1\n#define FAISS_VERSION_MINOR {minor}\n"
        "#define FAISS_VERSION_PATCH 3\n"
    )
    if gpu:
        (include / "gpu" / "GpuIndex.h").touch()
    if config:
        share = folder / "lib" / "cmake" / "faiss"
        share.mkdir(parents=True)
        (share / "faiss-config.cmake").touch()
    return folder


@pytest.mark.parametrize("minor", [7, 9, 10, 15])
def test_known_versions_are_taken(tmp_path, minor):
    ran = run(SCRIPT, "--installed", prefix_of(tmp_path, minor))
    assert (ran.returncode, ran.stdout.strip()) == (0, str(tmp_path)), ran.stderr


@pytest.mark.parametrize("minor", [6, 8, 16, 150])
def test_versions_that_nobody_looked_at_are_refused(tmp_path, minor):
    ran = run(SCRIPT, "--installed", prefix_of(tmp_path, minor))
    assert ran.returncode == 1
    assert f"FAISS 1.{minor} at {tmp_path} is not known" in ran.stderr


@pytest.mark.parametrize(
    ("what", "refusal"),
    [({"gpu": False}, "was built without GPU"), ({"config": False}, "holds no faiss-config.cmake")],
)
def test_half_an_installation_is_refused(tmp_path, what, refusal):
    ran = run(SCRIPT, "--installed", prefix_of(tmp_path, 9, **what))
    assert ran.returncode == 1
    assert refusal in ran.stderr


def test_a_folder_without_faiss_is_refused(tmp_path):
    ran = run(SCRIPT, "--installed", tmp_path)
    assert ran.returncode == 1
    assert "holds no include/faiss/Index.h" in ran.stderr

"""The Python package as pip installs it from the tree."""

import shutil
import subprocess
import sys

from conftest import SOURCE

PROGRAM = """
import mrl, mrl._proto.mrl.v1.search_pb2_grpc
print(mrl.__file__)
for client in (mrl.Client, mrl.AsyncClient):
    for method in ("search", "batch_search", "explain", "get_collection", "list_collections",
                   "stats", "server_info", "config", "health"):
        getattr(client, method)
"""


def test_pip_installs_it_with_its_stubs(tmp_path):
    # A copy, because a build leaves files beside its sources.
    shutil.copytree(SOURCE / "client" / "python", tmp_path / "client" / "python")
    shutil.copytree(SOURCE / "proto", tmp_path / "proto")
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-index", "--no-deps", "--no-build-isolation", "--target", site,
         tmp_path / "client" / "python"],
        check=True, timeout=300,
    )  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env={"PYTHONPATH": str(site)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == str(site / "mrl" / "__init__.py")

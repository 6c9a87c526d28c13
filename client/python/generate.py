"""Generates the gRPC stubs of proto/mrl/v1 as the package mrl._proto."""

import pathlib
import re
import shutil
import tempfile

import google.longrunning
import grpc_tools
from grpc_tools import protoc

PROTO_ROOT = pathlib.Path(__file__).resolve().parents[2] / "proto"

# protoc writes imports as if its output folder were on sys.path, where they would meet this
# package's own name.
_IMPORT = re.compile(r"^from mrl\.v1 import", re.MULTILINE)


def generate(package_dir):
    """Writes the stubs below `package_dir`, the folder of the package mrl."""
    output = pathlib.Path(package_dir) / "_proto"
    output.mkdir(parents=True, exist_ok=True)
    protos = sorted(PROTO_ROOT.glob("mrl/v1/*.proto"))
    if not protos:
        raise FileNotFoundError(f"{PROTO_ROOT} holds no mrl/v1/*.proto; build in a full checkout")
    include = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    google_apis = pathlib.Path(next(iter(google.longrunning.__path__))).parents[1]
    with tempfile.TemporaryDirectory() as renamed:
        # The package calls this file by another name than the one by which its code knows it.
        folder = pathlib.Path(renamed) / "google" / "longrunning"
        folder.mkdir(parents=True)
        shutil.copy(
            google_apis / "google" / "longrunning" / "operations_proto.proto",
            folder / "operations.proto",
        )
        status = protoc.main(
            [
                "protoc",
                f"-I{PROTO_ROOT}",
                f"-I{include}",
                f"-I{renamed}",
                f"-I{google_apis}",
                f"--python_out={output}",
                f"--grpc_python_out={output}",
                *map(str, protos),
            ]
        )
    if status != 0:
        raise RuntimeError(f"protoc exited {status}")
    for folder in (output, output / "mrl", output / "mrl" / "v1"):
        (folder / "__init__.py").touch()
    for path in output.glob("mrl/v1/*.py"):
        path.write_text(_IMPORT.sub("from mrl._proto.mrl.v1 import", path.read_text()))

import pathlib
import sys

from setuptools import setup
from setuptools.command.build_py import build_py

# A PEP 517 build does not put this folder on sys.path.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from generate import generate  # noqa: E402


class BuildWithStubs(build_py):
    def run(self):
        super().run()
        in_place = getattr(self, "editable_mode", False)
        root = pathlib.Path(__file__).resolve().parent if in_place else pathlib.Path(self.build_lib)
        generate(root / "mrl")


setup(cmdclass={"build_py": BuildWithStubs})

"""Where things are, and what the slow tests need."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

SOURCE = pathlib.Path(os.environ.get("MRL_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
BUILD = pathlib.Path(os.environ.get("MRL_BUILD_DIR", SOURCE / "build" / "release"))
DEPLOY = SOURCE / "deploy"
PROGRAMS = ("mrl-index", "mrl", "mrl-server")

sys.path += [str(DEPLOY / "manual"), str(DEPLOY / "docker")]

# Without a daemon, and without a cgroup to delegate or a limit to raise.
PODMAN = ("podman", "--cgroup-manager=cgroupfs")
PODMAN_RUN = (*PODMAN, "run", "--runtime", "runc", "--ulimit", "nofile=1024:1024", "--ulimit",
              "nproc=1024:1024")  # fmt: skip
PACKAGES = SOURCE / "build" / "package" / "packages"

slow = pytest.mark.skipif(
    os.environ.get("MRL_DEPLOY_TESTS") != "1",
    reason="makes packages or containers, for minutes: MRL_DEPLOY_TESTS=1 runs it",
)


def need(*tools):
    """Skips, with the reason, where a tool is not installed."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def run(*command, **options):
    """Runs a command to its end, whatever its exit code."""
    options = {"capture_output": True, "text": True, "timeout": 120} | options
    return subprocess.run([str(word) for word in command], **options)


def checked(*command, **options):
    """Runs a command that must succeed; returns what it printed."""
    ran = run(*command, **options)
    assert ran.returncode == 0, f"{command}\n{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}"
    return ran.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """Every component, installed below a prefix: {component: folder}."""
    folder = tmp_path_factory.mktemp("installed")
    for component in ("server", "tools", "dev"):
        checked(
            "cmake", "--install", BUILD, "--component", component, "--prefix", folder / component,
            env={**os.environ, "DESTDIR": ""},
        )  # fmt: skip
    return {component: folder / component for component in ("server", "tools", "dev")}


@pytest.fixture(scope="session")
def bare_image(tmp_path_factory):
    """An image of nothing but Debian 12's base packages, which podman keeps; known to run."""
    need("podman", "runc")
    name = os.environ.get("MRL_DEPLOY_BASE", "localhost/mrl-test-base:12")
    if run(*PODMAN, "image", "exists", name).returncode != 0:
        need("debootstrap")
        root = tmp_path_factory.mktemp("bare") / "root"
        made = run("debootstrap", "--variant=minbase", "bookworm", root, timeout=1200)
        if made.returncode != 0:
            pytest.skip(f"debootstrap cannot make a bare Debian 12 here: {last_line(made)}")
        # As Docker's images of Debian have it: nobody needs what a build installs to outlive a power cut.
        (root / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
        archive = root.with_suffix(".tar")
        checked("tar", "-C", root, "-cf", archive, ".", timeout=300)
        shutil.rmtree(root)
        checked(*PODMAN, "import", archive, name, timeout=300)
        archive.unlink()
    ran = run(*PODMAN_RUN, "--rm", "--network", "host", name, "true")
    if ran.returncode != 0:
        pytest.skip(f"podman cannot run a container here: {last_line(ran)}")
    return name


def last_line(ran):
    return (ran.stderr.strip() or ran.stdout.strip() or "no message").splitlines()[-1]


def build_image(name, folder, *flags):
    """Builds an image of folder, without a daemon and without layers that stay behind."""
    need("buildah")
    checked("buildah", "bud", "--isolation", "chroot", "--format", "docker", *flags, "-t", name, folder,
            timeout=3000)  # fmt: skip


def remove_image(name):
    run(*PODMAN, "image", "rm", "--force", name)


@pytest.fixture(scope="session")
def packages():
    """The .deb packages, freshly made: {name: file}."""
    need("cpack", "dpkg-shlibdeps", "ninja")
    for old in PACKAGES.glob("*.*deb"):
        old.unlink()
    checked("cmake", "--preset", "package", f"-DMRL_PYTHON={sys.executable}", cwd=SOURCE, timeout=300)
    checked("cmake", "--build", "--preset", "package", cwd=SOURCE, timeout=3000)
    checked("cpack", "--preset", "package", cwd=SOURCE, timeout=300)
    return {file.name.split("_")[0]: file for file in PACKAGES.glob("*.*deb")}

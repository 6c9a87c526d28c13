"""The .deb packages: made, then installed, run, changed and removed in a bare Debian 12."""

from conftest import PACKAGES, PODMAN_RUN, checked, need, run, slow

pytestmark = slow


def field(package, name):
    return checked("dpkg-deb", "-f", package, name).strip()


def test_three_packages_and_their_symbols(packages):
    assert set(packages) == {
        "mrl-server", "mrl-server-dbgsym", "mrl-tools", "mrl-tools-dbgsym", "libmrl-dev"}  # fmt: skip


def test_packages_depend_on_what_they_load(packages):
    for name in ("mrl-server", "mrl-tools"):
        depends = field(packages[name], "Depends")
        for library in ("libc6", "libgrpc++1.51", "libprotobuf32", "libopenblas0"):
            assert library in depends
    assert "adduser" in field(packages["mrl-server"], "Depends")
    assert "libgrpc++-dev" in field(packages["libmrl-dev"], "Depends")


def test_configuration_is_a_conffile(packages):
    assert checked("dpkg-deb", "-I", packages["mrl-server"], "conffiles") == "/etc/mrl/mrl-server.yaml\n"


def test_lintian_finds_nothing_new(packages):
    need("lintian")
    # The address of the maintainers is the builder's to set, and there is no bug to close.
    expected = {"bogus-mail-host", "bogus-mail-host-in-debian-changelog",
                "initial-upload-closes-no-bugs"}  # fmt: skip
    debs = [file for name, file in packages.items() if not name.endswith("-dbgsym")]
    said = run("lintian", "--allow-root", *debs, timeout=300).stdout
    found = {line.split()[2] for line in said.splitlines() if line[:2] in ("E:", "W:")}
    assert found <= expected, said


# Each line must succeed; a failing one is the last of the trace.
LIFE = """
set -eux
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends /packages/mrl-server_*.deb /packages/mrl-tools_*.deb >/dev/null

getent passwd mrl | grep -q ':/var/lib/mrl:/usr/sbin/nologin$'
[ "$(stat -c '%U:%G %a' /var/lib/mrl)" = 'mrl:mrl 750' ]
[ "$(readlink /etc/systemd/system/multi-user.target.wants/mrl-server.service)" = /lib/systemd/system/mrl-server.service ]
[ -e /lib/systemd/system/mrl-server.service ]
ldconfig -p | grep -q openblas

# The line of the unit, as the unit's user.
start='setpriv --reuid mrl --regid mrl --clear-groups
       mrl-server --config /etc/mrl/mrl-server.yaml --grpc-port 7699'
$start --check-config
MRL_HTTP_PORT=0 $start >/tmp/ready &
server=$!
until grep -q '^serving grpc=127.0.0.1:7699' /tmp/ready; do kill -0 $server; done
mrl --server 127.0.0.1:7699 status
mrl --server 127.0.0.1:7699 collections create kept --dim 2
kill -TERM $server
wait $server
[ "$(stat -c '%U:%G' /var/lib/mrl/data)" = mrl:mrl ]

# An administrator's change outlives an upgrade; a removal keeps the file, a purge does not.
echo 'log-level: debug' >>/etc/mrl/mrl-server.yaml
echo mine >/var/lib/mrl/kept
dpkg --install --force-confold /packages/mrl-server_*.deb >/dev/null
tail -1 /etc/mrl/mrl-server.yaml | grep -qx 'log-level: debug'
apt-get remove -y -qq mrl-server mrl-tools >/dev/null
[ ! -e /usr/bin/mrl-server ] && [ ! -e /usr/bin/mrl ]
[ -e /etc/mrl/mrl-server.yaml ]
apt-get purge -y -qq mrl-server >/dev/null
[ ! -e /etc/mrl ]
[ ! -e /etc/systemd/system/multi-user.target.wants/mrl-server.service ]
[ "$(cat /var/lib/mrl/kept)" = mine ]
echo life is over
"""


def test_packages_install_run_and_go_on_a_bare_root(packages, bare_image):
    need("podman", "runc")
    ran = run(*PODMAN_RUN, "--rm", "--network", "host", "--volume", f"{PACKAGES}:/packages:ro",
              bare_image, "sh", "-c", LIFE, timeout=900)  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.endswith("life is over\n")

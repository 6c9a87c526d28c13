"""Runs the tests of live collections with each planted bug: without one they pass, with each they fail.

    planted.py BINARY

The counts are small: a bug that takes thousands of cuts to show would not be worth planting.
"""

import os
import subprocess
import sys

BUGS = {
    0: "none",
    1: "log not synced",
    2: "tombstone dropped",
    3: "id kept",
    4: "sequence off by one",
    5: "deletion lost in a merge",
    6: "epoch kept",
    7: "manifest not synced",
    8: "files removed first",
    9: "rename before sync",
    10: "old row found",
}
TESTS = ("LiveModel.*", "Maintenance.*", "LivePower.EveryCut*")


def caught_by(binary, bug):
    """The tests that fail, up to the first."""
    environment = os.environ | {
        "MRL_PLANTED_BUG": str(bug),
        "MRL_MODEL_OPERATIONS": "2500",
        "MRL_CUTS": "400",
    }
    for test in TESTS:
        done = subprocess.run(
            [binary, f"--gtest_filter={test}", "--gtest_brief=1"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        if done.returncode != 0:
            return test, done.stdout.decode(errors="replace")
    return None, ""


def main(binary):
    missed = []
    for bug, name in BUGS.items():
        test, output = caught_by(binary, bug)
        print(f"{bug:2} {name}: {'caught by ' + test if test else 'all tests pass'}", flush=True)
        if (test is None) != (bug == 0):
            missed.append(name)
            print(output)
    if missed:
        sys.exit(f"not as expected: {', '.join(missed)}")


if __name__ == "__main__":
    main(sys.argv[1])

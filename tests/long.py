"""The long tier: the counts that a change to storage, or to what faces the network, is released with.

    tests/long.py BUILD [--seed N] [--share F] [--only NAME ...]

BUILD is a build folder, such as build/release. Every test begins at the seed, and prints the number
that replays it when it fails. --share 0.01 runs a hundredth of each count.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent
# Name: variable of the count, count, command below BUILD or `pytest`.
TIER = {
    "model": ("MRL_MODEL_OPERATIONS", 5_000_000, ["tests/live_test", "--gtest_filter=LiveModel.*"]),
    "power": ("MRL_CUTS", 200_000, ["tests/live_test", "--gtest_filter=LivePower.*"]),
    "rot": ("MRL_FLIPS", 100_000, ["tests/live_test", "--gtest_filter=BitRot.*"]),
    # Times what the normal run sends; ends with a table of what the good client saw meanwhile.
    "abuse": ("MRL_ABUSE", 10, ["tests/production_test", "--gtest_filter=*Abuse.*"]),
    "kill": ("MRL_KILLS", 3_000, ["pytest", "tests/e2e/test_kill.py"]),
}


def run(name, build, seed, share):
    variable, count, command = TIER[name]
    count = max(1, int(count * share))
    environment = os.environ | {
        variable: str(count),
        "MRL_SEED": str(seed),
        "MRL_BIN_DIR": str(build / "bin"),
        "MRL_SERVER_BINARY": str(build / "bin" / "mrl-server"),
        "MRL_SOURCE_DIR": str(SOURCE),
    }
    if command[0] == "pytest":
        line = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *command[1:]]
    else:
        line = [build / command[0], *command[1:]]
    print(f"{name}: {count} from seed {seed}", flush=True)
    begin = time.monotonic()
    code = subprocess.run(line, cwd=SOURCE, env=environment, check=False).returncode
    print(f"{name}: {'passed' if code == 0 else 'FAILED'} in {time.monotonic() - begin:.0f} s", flush=True)
    return code == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--only", nargs="+", choices=TIER, default=list(TIER))
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    failed = [n for n in arguments.only if not run(n, build, arguments.seed, arguments.share)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""clang-tidy over every source that a build compiles; what passed before is not run again.

    clang_tidy.py BUILD_DIR CACHE_DIR [--minutes N] [PATH…]     PATHs: only sources below them

With --minutes no source is begun after so many; those left out are counted, and come first the next
time, since what was looked at is not again: after a change of half the tree, several runs share it.

A verdict is kept under a hash of the source, of all that it includes from the checkout and the build,
of its command line, of .clang-tidy, and of the versions of the packages. Prints findings; exits 1 if
there are any.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def read_headers(build):
    """What each object was compiled from, as ninja recorded it: object -> paths."""
    headers, current = {}, None
    for line in output_of("ninja", "-C", build, "-t", "deps").splitlines():
        if line.startswith("    "):
            current.append((build / line.strip()).resolve())
        elif ": #deps" in line:
            current = headers.setdefault(line.split(":")[0], [])
    return headers


def surroundings(root):
    """What changes every verdict."""
    packages = [line.split("#")[0].strip() for line in open(root / "deploy/packages.txt")]
    versions = output_of("dpkg-query", "-W", *filter(None, packages))
    return (root / ".clang-tidy").read_text() + output_of("clang-tidy", "--version") + versions


class Sources:
    def __init__(self, root, build):
        self.root, self.build = root, build
        self.headers = read_headers(build)
        self.around = surroundings(root)
        self.digests = {}

    def digest(self, path):
        if path not in self.digests:
            self.digests[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self.digests[path]

    def key(self, entry):
        words = entry["command"].split()
        used = self.headers.get(words[words.index("-o") + 1], [])
        ours = sorted(path for path in used if path.is_relative_to(self.root))
        parts = [self.around, entry["command"].replace(str(self.root), "")]
        parts += [f"{path.relative_to(self.root)} {self.digest(path)}" for path in ours]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32] if ours else None

    def entries(self, wanted):
        """Each source once, though several targets may compile it."""
        commands = json.loads((self.build / "compile_commands.json").read_text())
        for entry in {entry["file"]: entry for entry in commands}.values():
            path = pathlib.Path(entry["file"])
            if self.build in path.parents or not path.is_relative_to(self.root):
                continue
            name = str(path.relative_to(self.root))
            if not wanted or name.startswith(tuple(wanted)):
                yield name, entry


def run_one(build, file, end):
    """None when it is too late."""
    if time.monotonic() > end:
        return None
    command = ["clang-tidy", "--quiet", "-p", build, file]
    started = time.monotonic()
    ran = subprocess.run(command, capture_output=True, text=True)
    said = ran.stdout if ran.returncode == 0 else ran.stdout + ran.stderr
    return ran.returncode == 0, said.strip(), time.monotonic() - started


def main():
    build, cache = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
    root = pathlib.Path(__file__).resolve().parents[1]
    cache.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[3:]
    end = float("inf")
    if wanted[:1] == ["--minutes"]:
        end, wanted = time.monotonic() + 60 * float(wanted[1]), wanted[2:]
    sources, jobs, failures, total, late = Sources(root, build), {}, 0, 0, 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, entry in sources.entries(wanted):
            total += 1
            key = sources.key(entry)
            if key is None or not (cache / key).exists():
                jobs[pool.submit(run_one, build, entry["file"], end)] = name, key
        for job in concurrent.futures.as_completed(jobs):
            name, key = jobs[job]
            if job.result() is None:
                late += 1
                continue
            passed, said, seconds = job.result()
            print(f"{name}: {'ok' if passed else 'FAILED'} in {seconds:.0f} s", flush=True)
            if passed and key:
                (cache / key).touch()
            if not passed:
                failures += 1
                print(said, flush=True)
    looked_at = len(jobs) - late
    print(f"clang-tidy: {total} sources, {looked_at} looked at, {failures} with findings")
    if late:
        print(f"clang-tidy: {late} are left for the next run, for lack of time")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

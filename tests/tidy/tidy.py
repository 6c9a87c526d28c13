"""The house style as a test: lengths, allowed edges between folders, banned tokens.

    tidy.py [ROOT]     prints a line per finding; exits 1 if there is any
"""
import os
import re
import subprocess
import sys

LINE_MAX, FILE_MAX, FUNCTION_MAX = 100, 500, 70

BASIC = {"schema", "base"}
EDGES = {
    "base": set(),
    "schema": {"base"},
    "kernels": set(),
    "format": {"schema", "base"},
    "store": {"transform", "format", "schema", "kernels", "base"},
    "filter": {"store", "format", "schema", "base"},
    "transform": {"schema", "kernels", "base"},
    "coarse": {"store", "format", "schema", "kernels", "base"},
    "schedule": {"base"},
    "funnel": {"coarse", "filter", "store", "transform", "schedule", "kernels", "schema", "base"},
    "collection": {"store", "filter", "coarse", "funnel", "transform", "format", "schema", "base"},
    "tune": {"funnel", "transform", "kernels", "schema", "base"},
    "io": {"kernels", "base"},
    "cli": {"collection", "filter", "tune", "io", "funnel", "coarse", "store", "transform", "kernels", "schema",
            "base"},
    "server": {"collection", "filter", "funnel", "tune", "io", "store", "schedule", "kernels", "schema",
               "coarse", "proto", "base"},
    "client": {"proto", "schema", "base"},
}
# Outside packages that one folder alone may include.
OWNED = {"faiss/": "coarse", "rocksdb/": "collection"}

BANNED = {
    r"std::string_view": "speak absl::string_view",
    r"\bTODO\b|\bFIXME\b": "finish it or write an issue",
    r"std::regex": "too slow and too deep; parse by hand",
    r"\brand\(\)": "use a seeded <random> engine",
    r"\bassert\(": "CHECK for programmer errors, Status for input",
    r"\bsleep_for\b|\busleep\(|\bsleep\(": "wait for an event, not for a time",
}
# Libraries speak through Status: printing and ending the process is for programs (main.cc, cli).
BANNED_IN_LIBRARIES = {
    r"\bf?printf\(|\bf?puts\(|std::c(?:out|err)\b": "a library prints nothing",
    r"\bexit\(|\babort\(": "a library never ends the process",
}
MACHINE_PATH = re.compile(r"/(?:work|root|home)/")
BANNED_NAMES = {"utils", "util", "common", "helpers", "manager", "misc"}


def module_of(path):
    parts = path.split("/")
    if parts[0] == "index":
        return parts[1] if len(parts) > 2 else None
    return parts[0] if parts[0] in ("base", "server", "client") else None


def included_module(include):
    if include.startswith("mrl/v1/"):
        return "proto"
    return module_of(include)


def check_edges(path, lines):
    module = module_of(path)
    if module is None:
        return
    for number, line in enumerate(lines, 1):
        match = re.match(r'#include [<"]([^>"]+)[>"]', line)
        if not match:
            continue
        target = included_module(match[1]) if match[0].endswith('"') else None
        if match[1].startswith("mrl/v1/"):
            target = "proto"
        if target and target != module and target not in EDGES[module]:
            yield number, f"{module} may not include {target}"
        for prefix, owner in OWNED.items():
            if match[1].startswith(prefix) and module != owner:
                yield number, f"only {owner} may include {prefix}"


def functions(lines):
    """First and last line of each outermost braced block whose head holds a parameter list."""
    code = re.sub(
        r'R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|//[^\n]*|#[^\n]*',
        lambda match: "\n" * match[0].count("\n"), "\n".join(lines), flags=re.DOTALL)
    open_blocks, head, head_line, line = [], "", 1, 1
    for char in code:
        if char == "\n":
            line += 1
        if char == "{":
            inside = any(is_function for _, is_function in open_blocks)
            is_type = re.match(r"(?:template\b.*)?(?:namespace|class|struct|enum|union|extern)\b",
                               head.strip(), re.DOTALL)
            open_blocks.append((head_line, ")" in head and not inside and not is_type))
        elif char == "}" and open_blocks:
            start, is_function = open_blocks.pop()
            if is_function:
                yield start, line
        if char in "{};":
            head = ""
        else:
            if not head.strip():
                head_line = line
            head += char


def check_lengths(path, lines):
    if len(lines) > FILE_MAX:
        yield len(lines), f"the file has {len(lines)} lines; the limit is {FILE_MAX}"
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_MAX:
            yield number, f"the line has {len(line)} columns; the limit is {LINE_MAX}"
    if path.startswith("index/kernels/") and path.endswith(".cc"):
        return
    for start, end in functions(lines):
        if end - start + 1 > FUNCTION_MAX:
            yield start, f"the function has {end - start + 1} lines; the limit is {FUNCTION_MAX}"


def is_library(path):
    program = path.endswith("main.cc") or "/cli/" in path or path == "base/check.h"
    return path.startswith(("base/", "index/", "server/", "client/")) and not program


def check_tokens(path, lines):
    banned = BANNED | (BANNED_IN_LIBRARIES if is_library(path) else {})
    for number, line in enumerate(lines, 1):
        code = line.split("//")[0] if not re.search(r"TODO|FIXME", line) else line
        for pattern, instead in banned.items():
            if re.search(pattern, code):
                yield number, f"'{pattern}' is banned: {instead}"
        if path.endswith(".h") and re.match(r"\s*using namespace", line):
            yield number, "no `using namespace` in a header"


def check_file(path, text):
    lines = text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")
    stem = os.path.basename(path).split(".")[0]
    # In an API, common.proto is the usual name for the words that its services share.
    named_badly = stem in BANNED_NAMES and not path.endswith(".proto")
    if named_badly or BANNED_NAMES & set(path.split("/")[:-1]):
        yield 1, "the name says nothing"
    for number, line in enumerate(lines, 1):
        if MACHINE_PATH.search(line):
            yield number, "no path of one machine"
    if path.endswith(".md") and not text.startswith("# "):
        yield 1, "a page starts with its title"
    if not path.endswith((".h", ".cc")):
        return
    for check in (check_edges, check_lengths, check_tokens):
        yield from check(path, lines)


def files(root):
    command = ["git", "-C", root, "ls-files"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for path in listed.splitlines():
        data = path.endswith((".npy", ".jsonl", ".bin")) or path.startswith("tests/golden/format-")
        if not data and os.path.isfile(f"{root}/{path}"):
            yield path


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    findings = 0
    for path in files(root):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            for line, what in check_file(path, file.read()):
                print(f"{path}:{line}: {what}")
                findings += 1
    print(f"{findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

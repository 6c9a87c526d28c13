"""Writes manual pages, completions and the server's configuration file from the programs themselves.

    make.py OUTPUT_FOLDER VERSION PROGRAM…
"""

import gzip
import pathlib
import sys

import completions
import config_file
import help_text
import man_page

SUMMARIES = {
    "mrl-server": "serve collections of Matryoshka embeddings",
    "mrl-index": "build, check, search and measure collection directories",
    "mrl": "search a running mrl-server",
}


def make(output, version, program):
    page = help_text.read(program)
    name = page.path[0]
    files = {
        f"man/{name}.1.gz": man_page.render(page, version, SUMMARIES[name]),
        f"bash/{name}": completions.bash(page),
        f"zsh/_{name}": completions.zsh(page),
        f"fish/{name}.fish": completions.fish(page),
    }
    if name == "mrl-server":
        printed = help_text.run_help(program, "--print-config")
        files["mrl-server.yaml"] = config_file.render(page, printed)
    for path, text in files.items():
        target = output / path
        target.parent.mkdir(parents=True, exist_ok=True)
        content = text.encode()
        # Without a time in it, so that the same build gives the same file.
        target.write_bytes(gzip.compress(content, mtime=0) if path.endswith(".gz") else content)


def main():
    output, version, *programs = sys.argv[1:]
    for program in programs:
        make(pathlib.Path(output), version, program)


if __name__ == "__main__":
    main()

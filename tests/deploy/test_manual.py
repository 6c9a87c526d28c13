"""Manual pages, completions and the shipped configuration say what --help says."""

import gzip
import re
import shlex

import help_text
import pytest
import yaml
from conftest import BUILD, DEPLOY, PROGRAMS, SOURCE, checked, need

MANUAL = BUILD / "manual"


def helps(program):
    """(verbs, --help) of a program and of all its verbs; reads the text on its own."""
    todo, found = [()], []
    while todo:
        verbs = todo.pop()
        text = help_text.run_help(BUILD / "bin" / program, *verbs, "--help")
        found.append((verbs, text))
        if "\nSubcommands:\n" in text:
            block = text.split("\nSubcommands:\n")[1].split("\n\n")[0]
            todo += [(*verbs, name) for name in re.findall(r"^  (\S+)", block, re.MULTILINE)]
    return found


def flags_of(text):
    """Flags that open a line: those that are declared, not those that are talked about."""
    heads = re.findall(r"^ {2,4}(-\S+)", text.split("Usage:")[1], re.MULTILINE)
    return {flag for head in heads for flag in head.split(",")}


CASES = [
    pytest.param(program, verbs, text, id=" ".join([program, *verbs]))
    for program in PROGRAMS
    for verbs, text in helps(program)
]


def complete_in_bash(program, *words):
    """What bash offers for the last of the words."""
    function = "_" + program.replace("-", "_")
    line = shlex.join([program, *words])
    script = f"""
        source {MANUAL}/bash/{program}
        COMP_WORDS=({line}) COMP_CWORD={len(words)}
        {function}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return set(checked("bash", "-c", script).split())


@pytest.mark.parametrize(("program", "verbs", "text"), CASES)
def test_manual_page_names_every_flag_and_verb(program, verbs, text):
    page = gzip.decompress((MANUAL / "man" / f"{program}.1.gz").read_bytes()).decode()
    page = page.replace("\\-", "-")
    assert flags_of(text)
    for flag in flags_of(text) - ({"--help", "-h"} if verbs else set()):
        assert f"\\fB{flag}\\fR" in page
    if verbs:
        assert f"\n.SS {' '.join(verbs)}\n" in page


@pytest.mark.parametrize(("program", "verbs", "text"), CASES)
def test_bash_offers_every_flag_and_verb(program, verbs, text):
    offered = complete_in_bash(program, *verbs, "")
    assert flags_of(text) <= offered
    below = {case.values[1][-1] for case in CASES
             if case.values[0] == program and case.values[1] and case.values[1][:-1] == verbs}  # fmt: skip
    assert below == {word for word in offered if not word.startswith("-")}


def test_bash_offers_listed_values():
    assert complete_in_bash("mrl-index", "build", "--metric", "") == {"cosine", "ip", "l2"}
    assert complete_in_bash("mrl-index", "build", "--metric", "c") == {"cosine"}


def test_bash_leaves_other_values_to_file_names():
    assert complete_in_bash("mrl-index", "build", "--input", "") == set()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_valid_for_its_shell(shell, program):
    need(shell)
    name = {"bash": program, "zsh": f"_{program}", "fish": f"{program}.fish"}[shell]
    checked(shell, "-n", MANUAL / shell / name)


def test_fish_offers_flags_of_the_verb():
    need("fish")
    script = f"source {MANUAL}/fish/mrl-index.fish; complete -C 'mrl-index build --me'"
    assert checked("fish", "--no-config", "-c", script).startswith("--metric\t")


@pytest.mark.parametrize("program", PROGRAMS)
def test_manual_page_is_valid(program):
    need("mandoc")
    page = gzip.decompress((MANUAL / "man" / f"{program}.1.gz").read_bytes()).decode()
    assert checked("mandoc", "-Tlint", "-Werror", input=page) == ""


@pytest.mark.parametrize(
    ("program", "source", "pattern"),
    [
        ("mrl", "client/cli/command.h", r"^  k\w+ = (\d+),"),
        ("mrl-index", "index/cli/command.h", r"^  k\w+ = (\d+),"),
        ("mrl-server", "server/main.cc", r"(?:codes:|;) (\d+) \w+"),
    ],
)
def test_manual_page_names_every_exit_code(program, source, pattern):
    page = gzip.decompress((MANUAL / "man" / f"{program}.1.gz").read_bytes()).decode()
    section = page.split("\n.SH EXIT STATUS\n")[1].split("\n.SH ")[0]
    text = (SOURCE / source).read_text()
    if program == "mrl-server":
        text = text.split("\n#include")[0].replace("\n//", "")  # where its codes are said
    codes = re.findall(pattern, text, re.MULTILINE)
    assert len(codes) >= 3
    assert re.findall(r"^\.B (\d+)$", section, re.MULTILINE) == codes


def test_shipped_configuration_is_accepted():
    file = MANUAL / "mrl-server.yaml"
    checked(BUILD / "bin/mrl-server", "--config", file, "--check-config", env={})


def test_shipped_configuration_lists_every_key_with_its_default():
    text = (MANUAL / "mrl-server.yaml").read_text()
    printed = help_text.run_help(BUILD / "bin/mrl-server", "--print-config")
    for line in printed.splitlines():
        key, value = line.rpartition("  # ")[0].split(":", 1)
        if key not in ("index", "data-dir"):
            assert f'\n#{key}: {value.strip() or chr(34) * 2}\n' in text
    assert len(re.findall(r"^#?[a-z0-9-]+: ", text, re.MULTILINE)) == len(printed.splitlines())


def test_shipped_configuration_keeps_collections_in_the_state_folder_of_the_unit():
    config = yaml.safe_load((MANUAL / "mrl-server.yaml").read_text())
    assert config == {"data-dir": "/var/lib/mrl/data"}
    unit = (DEPLOY / "systemd" / "mrl-server.service").read_text()
    assert "\nStateDirectory=mrl\n" in unit


HELP = """\
Does things.
Usage: thing [OPTIONS] file

Positionals:
  file TEXT REQUIRED          The file

Options:
  -h,--help                   Print this help message and exit
  --a-very-long-option-name TEXT:{one,two}=one (Env:THING) Excludes: --b
                              Which one
  --timeout FLOAT:POSITIVE=30 Deadline
[Option Group: Query]
  One of the two
  Options:
    --id TEXT ...               By id

Security:
  --key TEXT                  The key

Examples:
  thing --key k file
"""


def test_help_is_read_whole():
    page = help_text.parse(HELP, ["thing"])
    assert page.description == "Does things."
    assert [entry.names for entry in page.positionals] == [["file"]]
    assert page.positionals[0].required
    assert [entry.names[-1] for entry in page.options] == [
        "--help", "--a-very-long-option-name", "--timeout", "--id", "--key"]  # fmt: skip
    long = page.options[1]
    assert (long.choices, long.default, long.variable) == (["one", "two"], "one", "THING")
    assert [entry.text for entry in page.options[1:]] == ["Which one", "Deadline", "By id", "The key"]
    assert [entry.value for entry in page.options[1:]] == ["TEXT", "FLOAT", "TEXT", "TEXT"]
    assert page.options[3].many
    assert page.footer == "Examples:\n  thing --key k file"

"""The --help text of a program as data. It is the one source of manual pages and completions.

The programs print it with CLI11's formatter: sections under a heading, an entry a line, its text from
column 30 on, or on the lines below where the entry is longer. Whatever follows the last section is
the footer.
"""

import os
import re
import subprocess
from dataclasses import dataclass, field

TEXT_COLUMN = 30  # of an entry that is indented by two
HEADING = re.compile(r"^\s*(?:\[Option Group: (?P<group>.+)\]|(?P<title>\S[^:]*):)$")
ENTRY = re.compile(
    r"^(?P<names>\S+)(?: (?P<value>(?!REQUIRED|Excludes:|Needs:|\()\S+))?(?P<many> \.\.\.)?"
)


@dataclass
class Entry:
    """One option, positional or subcommand."""

    names: list  # ["-k", "--k"]
    value: str = ""  # "TEXT"; empty for a flag
    default: str = ""
    choices: list = field(default_factory=list)  # the values accepted, where they are listed
    variable: str = ""  # the environment variable that sets it
    required: bool = False
    many: bool = False
    text: str = ""

    @property
    def flags(self):
        return [name for name in self.names if name.startswith("-")]


@dataclass
class Section:
    title: str
    entries: list = field(default_factory=list)


@dataclass
class Page:
    """The help of a program, or of one of its verbs."""

    path: list  # ["mrl", "collections", "list"]
    description: str = ""
    usage: str = ""
    sections: list = field(default_factory=list)
    footer: str = ""
    verbs: list = field(default_factory=list)  # pages

    @property
    def options(self):
        return [entry for section in self.sections for entry in section.entries if entry.flags]

    @property
    def positionals(self):
        return [entry for section in self.sections for entry in section.entries if not entry.flags]

    def walk(self):
        yield self
        for verb in self.verbs:
            yield from verb.walk()


def run_help(program, *arguments):
    """What `program arguments…` prints; the caller's environment must not show in it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MRL_")}
    ran = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    return ran.stdout


def read(program, *verbs):
    """The page of a program (a path) or of its verb, with the pages of all verbs below it."""
    page = parse(run_help(program, *verbs, "--help"), [os.path.basename(program), *verbs])
    for section in page.sections:
        if section.title == "Subcommands":
            page.verbs = [read(program, *verbs, entry.names[0]) for entry in section.entries]
    page.sections = [section for section in page.sections if section.title != "Subcommands"]
    return page


def parse(text, path):
    lines = [line.rstrip() for line in text.splitlines()]
    page = Page(path)
    usage = next(i for i, line in enumerate(lines) if line.startswith("Usage: "))
    page.description = " ".join(lines[:usage]).strip()
    page.usage = lines[usage].removeprefix("Usage: ")
    i = usage + 1
    while i < len(lines) and not _starts_footer(lines, i):
        if match := HEADING.match(lines[i]):
            page.sections.append(Section(match["title"] or match["group"]))
        elif _is_entry(lines[i]):
            i = _read_entry(lines, i, page.sections[-1])
            continue
        i += 1
    page.footer = "\n".join(lines[i:]).strip()
    page.sections = [section for section in page.sections if section.entries]
    return page


def _indent(line):
    return len(line) - len(line.lstrip())


def _is_entry(line):
    # An option group has sentences of its own before its options.
    return _indent(line) in (2, 4) and not re.match(r"\s+(?:\[|[A-Z][a-z]+ )", line)


def _starts_footer(lines, i):
    """A line at the margin that is not the heading of entries."""
    if not lines[i] or lines[i][0] == " ":
        return False
    match = HEADING.match(lines[i])
    if match is None:
        return True
    if match["group"] or match["title"] in ("Positionals", "Options", "Subcommands"):
        return False
    return not (i + 1 < len(lines) and lines[i + 1].lstrip().startswith("-"))


def _read_entry(lines, i, section):
    """Reads the entry at line i into the section; returns the line after it."""
    indent = _indent(lines[i])
    column = TEXT_COLUMN + indent - 2
    line = lines[i]
    fits = len(line) > column and line[column - 1] == " " and line[column] != " "
    head, text = (line[:column], [line[column:]]) if fits else (line, [])
    i += 1
    while i < len(lines) and _indent(lines[i]) >= column:
        text.append(lines[i].strip())
        i += 1
    section.entries.append(_entry(head.strip(), " ".join(text)))
    return i


def _entry(head, text):
    match = ENTRY.match(head)
    value, _, default = (match["value"] or "").partition("=")
    kind, _, rule = value.partition(":")
    choices = rule[1:-1].split(",") if rule.startswith("{") else []
    variable = re.search(r"\(Env:(\w+)\)", head)
    return Entry(
        names=match["names"].split(","), value=kind, default=default, choices=choices,
        variable=variable[1] if variable else "", required="REQUIRED" in head,
        many=bool(match["many"]), text=text.strip(),
    )  # fmt: skip

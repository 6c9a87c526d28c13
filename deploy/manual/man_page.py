"""A manual page (roff, macros of man(7)) from the help of a program."""

# What --help does not say.
STORIES = {
    "mrl-server": """\
.SH FILES
.TP
.I /etc/mrl/mrl-server.yaml
The configuration that the service reads: the options without their dashes, as keys.
.TP
.I /var/lib/mrl
The service's working directory, owned by the user
.BR mrl .
.SH SIGNALS
.TP
.BR SIGTERM ", " SIGINT
Say that calls should go elsewhere, answer them for the drain delay, refuse new ones, let running ones
end within the drain timeout, and exit with 0. While the server starts: exit with 0 before the next
collection is opened. A second one ends the process at once.
.TP
.B SIGHUP
Read
.BR log\\-level ", " quotas " and the " index
list of the configuration again, and the files of keys and of quotas; open again what lies in the
collections' directories, and serve it. Certificates need no signal.
""",
}
# What a program ends with, as roff.
EXIT_STATUS = {
    "mrl-server": {
        ".B 0": "drained after a signal, or stopped by one before it served",
        ".B 1": "failure",
        ".B 2": "wrong usage or configuration",
        '.BR 130 ", " 143': "a second SIGINT or SIGTERM (128 and its number) did not wait for the drain",
    },
    "mrl": {
        ".B 0": "success; for\n.BR status ,\nthe server is serving",
        ".B 1": "failure",
        ".B 2": "wrong usage",
        ".B 65": "the input or the request is wrong",
        ".B 69": "the server cannot be reached or is not serving",
        ".B 74": "a file cannot be read or written",
        ".B 130": "interrupted",
    },
    "mrl-index": {
        ".B 0": "success",
        ".B 1": "failure",
        ".B 2": "wrong usage",
        ".B 65": "the input or the value of an option is wrong, or an index is damaged",
        ".B 74": "a file cannot be read or written, or memory or disk do not suffice",
        ".B 130": "interrupted",
    },
}
SEE_ALSO = ("mrl", "mrl-index", "mrl-server")


def escape(text):
    """Text as roff shows it literally: no escapes, no requests, hyphens that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(
        "\\&" + line if line.startswith((".", "'")) else line for line in text.splitlines()
    )


def _option(entry):
    names = ", ".join(f"\\fB{escape(name)}\\fR" for name in entry.names)
    value = f" \\fI{escape('|'.join(entry.choices) or entry.value)}\\fR" if entry.value else ""
    notes = [f"Default: {escape(entry.default)}."] if entry.default else []
    notes += [f"Environment: \\fB{entry.variable}\\fR."] if entry.variable else []
    notes += ["Required."] if entry.required else []
    notes += ["May be repeated."] if entry.many and "repeated" not in entry.text else []
    text = escape(entry.text)
    if text and notes and not text.endswith("."):
        text += "."
    return f".TP\n{names}{value}\n{' '.join([text, *notes]).strip()}\n"


def _exit_status(program):
    codes = EXIT_STATUS[program].items()
    return ".SH EXIT STATUS\n" + "".join(f".TP\n{code}\n{text}\n" for code, text in codes)


def _footer(text):
    """Lines of examples keep their shape; the rest is filled."""
    out = []
    for line in text.splitlines():
        if line.startswith(" "):
            out.append(f".nf\n{escape(line)}\n.fi")
        else:
            out.append(f".PP\n{escape(line)}" if line else "")
    return "\n".join(line for line in out if line) + "\n"


def _verb(page):
    name = escape(" ".join(page.path[1:]))
    text = f".SS {name}\n{escape(page.description)}.\n.PP\n\\fB{escape(page.usage)}\\fR\n"
    for entry in page.positionals + page.options:
        if "--help" not in entry.names:
            text += _option(entry)
    return text + (_footer(page.footer) if page.footer else "")


def render(page, version, summary):
    program = page.path[0]
    usage = page.usage.removeprefix(program).strip()
    text = (
        f'.TH {program.upper()} 1 "" "mrl {version}" "mrl manual"\n'
        f".SH NAME\n{escape(program)} \\- {escape(summary)}\n"
        f".SH SYNOPSIS\n\\fB{escape(program)}\\fR {escape(usage)}\n"
        f".SH DESCRIPTION\n{escape(page.description)}\n"
        ".SH OPTIONS\n"
    )
    for entry in page.options:
        text += _option(entry)
    verbs = [verb for verb in page.walk() if verb is not page]
    if verbs:
        text += ".SH COMMANDS\n" + "".join(map(_verb, verbs))
    if page.footer:
        text += ".SH NOTES\n" + _footer(page.footer)
    others = [f"\\fB{escape(name)}\\fR(1)" for name in SEE_ALSO if name != program]
    text += STORIES.get(program, "") + _exit_status(program)
    return text + ".SH SEE ALSO\n" + ", ".join(others) + "\n"

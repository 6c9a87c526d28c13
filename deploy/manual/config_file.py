"""The server's configuration file as it is shipped: every key, with its default, commented out, but for what
the service is given."""

HEAD = """\
# mrl-server reads this file at start. Flags and MRL_* variables win over it; values behind a # are the
# defaults. `mrl-server --config FILE --check-config` checks it, `--print-config` shows what is in force.
"""
# A value that shows its form, where the default is empty.
EXAMPLES = {"index": "{wordnet: /var/lib/mrl/indexes/wordnet}"}
# What is set: below the folder that the unit and the package make for the service.
SET = {"data-dir": "/var/lib/mrl/data"}


def render(page, printed):
    """`printed` is what --print-config prints: `KEY: VALUE  # SOURCE` a line."""
    texts = {entry.flags[-1][2:]: entry.text for entry in page.options if entry.flags}
    blocks = [HEAD]
    for line in printed.splitlines():
        key, _, value = line.rpartition("  # ")[0].partition(":")
        value = EXAMPLES.get(key) or value.strip() or '""'
        line = f"{key}: {SET[key]}" if key in SET else f"#{key}: {value}"
        blocks.append(f"# {texts[key]}\n{line}\n")
    return "\n".join(blocks)

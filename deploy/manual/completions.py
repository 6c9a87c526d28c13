"""Completions for bash, zsh and fish from the help of a program.

All three offer the verbs and options of the verb typed so far, the listed values of an option that
has some, and file names after any other option that takes a value.
"""

import re
import shlex


def _function(program):
    return "_" + program.replace("-", "_")


def _offered(page, root):
    """Options of a verb; those of the program may follow the verb."""
    options = list(page.options)
    if page is not root:
        own = {name for entry in options for name in entry.names}
        options += [e for e in root.options if not own & set(e.names) and "--version" not in e.names]
    return options


def _key(page):
    """The verbs typed so far, as one word for a `case`."""
    return "/".join(page.path[1:])


def _verb_steps(root):
    """(path so far, verb, path after it)"""
    for page in root.walk():
        for verb in page.verbs:
            yield _key(page), verb.path[-1], _key(verb)


def _values(page, root):
    """(flag, listed values) of each option that takes a value."""
    for entry in _offered(page, root):
        for flag in entry.flags if entry.value else []:
            yield flag, entry.choices


def _walk_case(root):
    return "\n".join(f"      {before}:{verb}) path={after} ;;" for before, verb, after in
                     _verb_steps(root))  # fmt: skip


def bash(root):
    program, function = root.path[0], _function(root.path[0])
    lines = [
        f"# bash completion for {program}",
        f"{function}() {{",
        "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path= words= i",
        "  COMPREPLY=()",
    ]
    if root.verbs:
        lines += [
            "  for ((i = 1; i < COMP_CWORD; i++)); do",
            '    case "$path:${COMP_WORDS[i]}" in',
            _walk_case(root),
            "    esac",
            "  done",
        ]
    lines.append('  case "$path:$prev" in')
    for page in root.walk():
        plain = []
        for flag, choices in _values(page, root):
            if choices:
                lines.append(f"    {_key(page)}:{flag}) words={shlex.quote(' '.join(choices))} ;;")
            else:
                plain.append(f"{_key(page)}:{flag}")
        if plain:
            lines.append(f"    {' | '.join(plain)}) return ;;  # file names, by -o default")
    lines += ["    *)", '      case "$path" in']
    for page in root.walk():
        words = [verb.path[-1] for verb in page.verbs]
        words += [flag for entry in _offered(page, root) for flag in entry.flags]
        lines.append(f'        "{_key(page)}") words={shlex.quote(" ".join(words))} ;;')
    lines += [
        "      esac",
        "      ;;",
        "  esac",
        '  COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        "}",
        f"complete -o default -F {function} {program}",
    ]
    return "\n".join(lines) + "\n"


def _described(name, text):
    """An element of the array that zsh's _describe takes."""
    return shlex.quote(name.replace(":", "\\:") + ":" + text)


def zsh(root):
    program = root.path[0]
    lines = [
        f"#compdef {program}",
        "local cur=$words[CURRENT] prev=$words[CURRENT-1] path_= i",
        "local -a verbs options",
    ]
    if root.verbs:
        lines += [
            "for ((i = 2; i < CURRENT; i++)); do",
            '  case "$path_:$words[i]" in',
            _walk_case(root).replace("path=", "path_=").replace("      ", "    "),
            "  esac",
            "done",
        ]
    lines.append('case "$path_:$prev" in')
    for page in root.walk():
        for flag, choices in _values(page, root):
            action = f"compadd {shlex.join(choices)}" if choices else "_files"
            lines.append(f"  {_key(page)}:{flag}) {action}; return ;;")
    lines += ["esac", 'case "$path_" in']
    for page in root.walk():
        lines.append(f'  "{_key(page)}")')
        lines.append("    verbs=(")
        lines += [f"      {_described(v.path[-1], v.description)}" for v in page.verbs]
        lines += ["    )", "    options=("]
        lines += [f"      {_described(f, e.text)}" for e in _offered(page, root) for f in e.flags]
        lines += ["    )", "    ;;"]
    lines += [
        "esac",
        "(( $#verbs )) && _describe -t commands command verbs",
        "_describe -t options option options -o",
    ]
    return "\n".join(lines) + "\n"


def _fish_quote(text):
    return "'" + re.sub(r"([\\'])", r"\\\1", text) + "'"


def _fish_condition(page):
    seen = [f"__fish_seen_subcommand_from {verb}" for verb in page.path[1:]]
    below = " ".join(verb.path[-1] for verb in page.verbs)
    if below and seen:
        seen.append(f"not __fish_seen_subcommand_from {below}")
    elif below:
        seen.append("__fish_use_subcommand")
    return "; and ".join(seen)


def fish(root):
    program = root.path[0]
    lines = [f"# fish completion for {program}"]
    for page in root.walk():
        condition = _fish_condition(page)
        start = f"complete -c {program}" + (f" -n {_fish_quote(condition)}" if condition else "")
        for verb in page.verbs:
            about = _fish_quote(verb.description)
            lines.append(f"{start} -f -a {verb.path[-1]} -d {about}")
        for entry in _offered(page, root):
            names = " ".join(
                f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in entry.flags
            )
            value = f" -x -a {_fish_quote(' '.join(entry.choices))}" if entry.choices else ""
            value = value or (" -r" if entry.value else "")
            lines.append(f"{start} {names}{value} -d {_fish_quote(entry.text)}")
    return "\n".join(lines) + "\n"

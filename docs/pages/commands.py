"""A page for every command, from the command line itself: nothing about an option is written twice."""

import re
from collections.abc import Iterator
from typing import Any

from autodls.cli import options
from autodls.cli.app import app
from autodls.cli.manner import with_manners

_OF_ALL = ("verbose", "quiet", "log")
_CORES = "the cores of this machine, at most 8"


def leaves(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below `group`, with the words that call it."""
    for name in group.list_commands(None):
        command = group.commands[name]
        if getattr(command, "commands", None):
            yield from leaves(command, (*words, name))
        else:
            yield (*words, name), command


def commands() -> dict[tuple[str, ...], Any]:
    """Every command of `autodls`, by its words, in the order of its help."""
    root = with_manners(app).func  # type: ignore[attr-defined]
    return dict(leaves(root))


def command_pages() -> dict[str, str]:
    """Markdown by file name: an index, and a page for each command."""
    found = commands()
    pages = {f"{'-'.join(words)}.md": command_page(words, command) for words, command in found.items()}
    return {"index.md": _index(found), **pages}


def command_page(words: tuple[str, ...], command: Any) -> str:
    """Usage, what it does, its arguments and options, each with a target to link to."""
    name = " ".join(("autodls", *words))
    context = command.make_context(name, [], resilient_parsing=True)
    own = [one for one in command.params if one.name not in _OF_ALL]
    general = [one for one in command.params if one.name in _OF_ALL]
    arguments = [one for one in own if one.param_type_name == "argument"]
    chosen = [one for one in own if one.param_type_name != "argument"]
    usage = command.get_usage(context).removeprefix("Usage: ")
    parts = [f"# {name}", f"```text\n{usage}\n```", paragraphs(command.help), f"```{{program}} {name}\n```"]
    for title, params in (("Arguments", arguments), ("Options", chosen), ("Options of every command", general)):
        if params:
            parts += [f"## {title}", *(_entry(one, context) for one in params)]
    return "\n\n".join(parts) + "\n"


def paragraphs(text: str) -> str:
    """Help as Markdown: paragraphs stay, and what Markdown would take for a mark does not.

    >>> paragraphs("One <two>\\nthree.\\n\\nFour_*")
    'One \\\\<two\\\\>\\nthree.\\n\\nFour\\\\_\\\\*'
    """
    return re.sub(r"([<>*_`\[\]])", r"\\\1", text.strip().replace("\b", ""))


def _entry(option: Any, context: Any) -> str:
    head, told = option.get_help_record(context)
    if option.name == "workers" and option.default == options.WORKERS:
        told = told.replace(f"default: {option.default}", f"default: {_CORES}")
    what = paragraphs(re.sub(r"\s+", " ", told))
    return f"```{{option}} {re.sub(r' <(str|path)>$', '', head)}\n{what}\n```"


def _index(found: dict[tuple[str, ...], Any]) -> str:
    rows = [
        f"| [`autodls {' '.join(words)}`]({'-'.join(words)}.md) | {paragraphs(first_sentence(command.help))} |"
        for words, command in found.items()
    ]
    toctree = "\n".join("-".join(words) for words in found)
    return "\n".join(
        [
            "# Commands",
            "",
            "In the order in which a study needs them; each page is made from the command line itself, as is",
            "`autodls COMMAND --help`. Results go to stdout, progress to stderr. Exit status 0: done, 1: the run",
            "failed, 2: the input or the arguments are wrong. Every command is safe to stop and continues when it is",
            "run again.",
            "",
            "| command | what it does |",
            "|---|---|",
            *rows,
            "",
            f"```{{toctree}}\n:hidden:\n\n{toctree}\n```",
            "",
        ]
    )


def first_sentence(text: str) -> str:
    """The first sentence of a help text.

    >>> first_sentence("Derive plan.json. Then\\nmore.\\n\\nEven more.")
    'Derive plan.json.'
    """
    return re.split(r"(?<=\.)\s", " ".join(text.split("\n\n", maxsplit=1)[0].split()))[0]

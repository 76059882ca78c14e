"""Commands that a message tells a person to run, of the workspace at hand."""

import re
import shlex
from collections.abc import Mapping

_STEPS = (
    r"plan|preprocess|(?:train|segment) fold (?:all|\d+)|predict|evaluate|compare|explain|report|"
    r"benchmark (?:rois|patients)"
)
_STEP = re.compile(rf"\b(autodls (?:{_STEPS}))\b(?=([^',;()]*))")  # with what stands behind it in its clause


def with_place(text: str, given: Mapping[str, str]) -> str:
    """`text` with the options `given`, by which a workspace was named, in each command that lacks them.

    >>> with_place("stale; run 'autodls train fold all --restart'", {"-w": "my place", "--name": "wide"})
    "stale; run 'autodls train fold all -w 'my place' --name wide --restart'"
    >>> with_place("run 'autodls plan --name wide'", {"--name": "wide"})
    "run 'autodls plan --name wide'"
    """

    def whole(step: re.Match[str]) -> str:
        command, behind = step.groups()
        lacking = (f"{option} {shlex.quote(value)}" for option, value in given.items() if f"{option} " not in behind)
        return " ".join([command, *lacking])

    return _STEP.sub(whole, text) if given else text

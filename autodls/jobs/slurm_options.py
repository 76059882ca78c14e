"""What sbatch may be told of a job, checked before anything is submitted.

Names and forms are those of sbatch (https://slurm.schedmd.com/sbatch.html), as far as submitit passes them on. What one
job is, a process on a node, is not to be chosen: nodes and tasks are not among them.
"""

import difflib
import re
from collections.abc import Sequence

from autodls.errors import ArgumentError

_TEXT = (r"[^\n\r]+", "a text")
_COUNT = (r"[1-9]\d{0,5}", "a whole number above 0")
_GPUS = (r"([\w.-]+:)?[1-9]\d{0,2}", "a number of GPUs, or TYPE:NUMBER")
_MEMORY = (r"[1-9]\d*[KMGT]?B?", "memory such as 32G (MiB without a letter)")
_TIME = (r"[1-9]\d*|\d+:\d\d(:\d\d)?|\d+-\d+(:\d\d(:\d\d)?)?", "minutes, or HOURS:MINUTES:SECONDS, or DAYS-HOURS")
_EXCLUSIVE = (r"user|mcs|topo", "user, mcs or topo")
_FORMS = {
    **dict.fromkeys(
        (
            "account", "comment", "constraint", "dependency", "exclude", "gres", "job_name", "mail_type", "mail_user",
            "nodelist", "partition", "qos", "wckey",
        ),
        _TEXT,
    ),
    **dict.fromkeys(("array_parallelism", "cpus_per_gpu", "cpus_per_task"), _COUNT),
    **dict.fromkeys(("gpus_per_node", "gpus_per_task"), _GPUS),
    **dict.fromkeys(("mem", "mem_per_cpu", "mem_per_gpu"), _MEMORY),
    "exclusive": _EXCLUSIVE,
    "time": _TIME,
}  # fmt: skip
NUMBERS = frozenset({"array_parallelism"})  # which submitit counts with itself


def slurm_options(texts: Sequence[str]) -> dict[str, str]:
    """Options of sbatch by name, from "option=value"; a name may have dashes, as sbatch writes it.

    Raises ArgumentError for what sbatch, or submitit, does not know, and for a value of another form.

    >>> slurm_options(["partition=gpu", "mem-per-cpu=4G"])
    {'partition': 'gpu', 'mem_per_cpu': '4G'}
    """
    found: dict[str, str] = {}
    for text in texts:
        typed, equals, value = text.partition("=")
        if not (typed and equals and value):
            raise ArgumentError(f"--slurm {text}: expected OPTION=VALUE, such as partition=gpu")
        name = typed.removeprefix("--").replace("-", "_")
        if name not in _FORMS:
            near = difflib.get_close_matches(name, _FORMS, 1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(_FORMS))}"
            raise ArgumentError(f"--slurm {text}: '{typed}' is no option that a job may be given; {meant}")
        form, words = _FORMS[name]
        if not re.fullmatch(form, value):
            raise ArgumentError(f"--slurm {text}: '{value}' is not {words}; correct it")
        if found.setdefault(name, value) != value:
            raise ArgumentError(f"--slurm {text}: {name} is {found[name]} already; give one of the two")
    return found

"""What several commands begin and end with."""

from collections.abc import Iterable
from pathlib import Path


def experiment_of(dataset: Path, workspace: Path | None, name: str | None, *, new: bool = False) -> Path | None:
    """The workspace of the experiment `name`; where none is named, nothing is imported."""
    if name is None:
        return workspace
    from autodls.stages import experiments

    return experiments.experiment_of(dataset, workspace, name, new=new)


def tell(lines: Iterable[str]) -> None:
    """Print `lines` as results."""
    from autodls.cli.console import say

    for line in lines:
        say(line)

"""What a unit of work is, and the work of a fold: light, as every pool of machines speaks of it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Inputs(Protocol):
    """What all jobs of a run read; it travels to the machines once, or names what they can reach."""

    def received(self) -> Any:
        """The same, where a job is done."""


class Job(Protocol):
    """One stage of one fold, as a function of `Inputs` and records that gives back files as bytes.

    It reads and writes a folder of its own and nothing else, and travels to whoever does it. What is done is known by
    the files of the fold and their hashes, so a job may be killed, lost or done twice.
    """

    @property
    def name(self) -> str:
        """How a person is told of it; no two jobs of a run have the same."""

    @property
    def place(self) -> str:
        """The name of its folder among those of other jobs."""

    @property
    def fold(self) -> int:
        """Index of its fold."""

    def do(self, inputs: Any, folder: Path, report: Callable[[Any], None]) -> dict[str, bytes]:
        """Do it in `folder` and return the files that it makes; `report` is called with every epoch.

        Done again in the same folder it continues from its last saved state. Raises ArgumentError where the plan asks
        for a GPU and there is none.
        """

    def made(self, folder: Path) -> dict[str, bytes]:
        """What it has made in `folder`, by the name in the folder of its fold."""

    def epochs(self, folder: Path) -> list[Any]:
        """The epochs that are done, by its log in `folder`."""


class Work(Protocol):
    """The jobs of a fold, in the order in which they can begin."""

    def ready(self) -> Sequence[Job]:
        """Those that can begin now and have not been asked for yet."""

    def keep(self, job: Any, files: Mapping[str, bytes]) -> None:
        """Write what `job` has made; what says that it is done comes last."""

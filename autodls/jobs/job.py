"""What a unit of work is, and what belongs together of it: light, as every pool of machines speaks of it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Inputs(Protocol):
    """What all jobs of a run read; it travels to the machines once, or names what they can reach."""

    def received(self) -> Any:
        """The same, where a job is done."""


class Job(Protocol):
    """One stage of one fold, or some cases to score: a function of `Inputs` and records that gives back files as bytes.

    It reads and writes a folder of its own and nothing else, and travels to whoever does it. What is done is known by
    files and their hashes, so a job may be killed, lost or done twice.
    """

    @property
    def name(self) -> str:
        """How a person is told of it; no two jobs of a run have the same."""

    @property
    def place(self) -> str:
        """The name of its folder among those of other jobs."""

    @property
    def index(self) -> int:
        """That of its fold; of cases that are scored, its number among the jobs."""

    def do(self, inputs: Any, folder: Path, report: Callable[[Any], None]) -> dict[str, bytes]:
        """Do it in `folder` and return the files that it makes; `report` is called with every epoch, or case.

        Done again in the same folder it continues from its last saved state. Raises ArgumentError where the plan asks
        for a GPU and there is none.
        """

    def made(self, folder: Path) -> dict[str, bytes]:
        """What it has made in `folder`, by the name in the folder of its fold."""

    def epochs(self, folder: Path) -> list[Any]:
        """The epochs that are done, by its log in `folder`."""


class Work(Protocol):
    """Jobs that belong together, such as those of a fold, in the order in which they can begin."""

    def ready(self) -> Sequence[Job]:
        """Those that can begin now and have not been asked for yet."""

    def keep(self, job: Any, files: Mapping[str, bytes]) -> None:
        """Write what `job` has made; what says that it is done comes last."""

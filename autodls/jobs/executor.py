"""Who does the jobs, and what that needs: light to import, as every command line reads it."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal

from autodls.errors import ArgumentError
from autodls.jobs.slurm_options import slurm_options

ExecutorName = Literal["local", "ray", "slurm"]
_NEEDS = {"ray": "ray", "slurm": "submitit"}


@dataclass(frozen=True)
class Executor:
    """Who trains.

    `address` is that of a Ray cluster, the environment's `RAY_ADDRESS` where none is given; `slurm` what sbatch is told
    of each job, such as {"partition": "gpu"}; `cluster` is submitit's name of what takes SLURM's jobs: "local" is this
    machine.
    """

    name: ExecutorName = "local"
    address: str | None = None
    slurm: Mapping[str, str] = field(default_factory=dict)
    cluster: str = "slurm"

    @property
    def ray_address(self) -> str:
        """Where the cluster is; raises ArgumentError where nobody says."""
        if found := self.address or os.environ.get("RAY_ADDRESS"):
            return found
        raise ArgumentError(
            "--executor ray: no cluster is named; give --address HOST:PORT of its head, or set RAY_ADDRESS (on one "
            "machine: ray start --head)"
        )


LOCAL = Executor()


def executor_of(name: ExecutorName, address: str | None, slurm: Sequence[str]) -> Executor:
    """The executor that options name; `slurm` are "option=value". Raises ArgumentError for options of another one."""
    for option, given, fits in (("--address", address, "ray"), ("--slurm", slurm, "slurm")):
        if given and name != fits:
            raise ArgumentError(f"{option}: is for --executor {fits}, not {name}; leave it out, or change --executor")
    return Executor(name, address, slurm_options(slurm))


def require_executor(executor: Executor) -> None:
    """Raise ArgumentError where the library of `executor` is not installed, or its cluster is not named."""
    library = _NEEDS.get(executor.name)
    if library is not None and find_spec(library) is None:
        raise ArgumentError(
            f"--executor {executor.name}: {library} is not installed; run: pip install 'autodls[{executor.name}]'"
        )
    if executor.name == "ray":
        _ = executor.ray_address
    if executor.name == "slurm" and executor.cluster == "slurm":
        missing = [command for command in ("sbatch", "srun") if shutil.which(command) is None]
        if missing:
            raise ArgumentError(
                f"--executor slurm: no {missing[0]} on this machine; run the command on a login node of the cluster"
            )


Report = Callable[[int, Any], None]  # of fold and epoch
Note = Callable[[str], None]

"""Jobs on a Ray cluster, whose machines share no folder with this one.

What all jobs read goes into Ray's object store once, from where every machine takes it; what a job makes comes back as
bytes. Ray is told to do nothing again by itself: a loss is for a person to know.
"""

import os
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import ray
import torch
from ray import exceptions

from autodls.errors import ArgumentError, AutoDLSError
from autodls.jobs.dispatch import Ended
from autodls.jobs.job import Inputs, Job
from autodls.machine import tune_process
from autodls.records.provenance import versions

_WAIT_S = 1.0
_SILENCE_S = 20.0  # of the head, after which the cluster is gone
_PATIENCE_S = 60.0  # without any machine that could do a job
_SAME = ("autodls", "torch", "numpy", "scikit-learn")  # what decides on the bytes
_LOST = (
    exceptions.WorkerCrashedError,
    exceptions.NodeDiedError,
    exceptions.OutOfMemoryError,
    exceptions.ObjectLostError,
    exceptions.LocalRayletDiedError,
)


class Board:
    """Epochs that are done, until somebody asks: an actor of the cluster."""

    def __init__(self) -> None:
        self._epochs: list[tuple[int, Any]] = []

    def add(self, fold: int, epoch: Any) -> None:
        """An epoch is done."""
        self._epochs.append((fold, epoch))

    def take(self) -> list[tuple[int, Any]]:
        """What came since it was asked last."""
        taken, self._epochs = self._epochs, []
        return taken


def do_remote(job: Job, inputs: Inputs, board: Any, expected: dict[str, str]) -> dict[str, bytes]:
    """Do `job` on a machine of the cluster, in a folder that is removed afterwards.

    Raises AutoDLSError where the libraries of this machine are others than `expected`.
    """
    tune_process()
    found = versions()
    for name in _SAME:
        if found.get(name) != expected.get(name):
            raise AutoDLSError(
                f"node {socket.gethostname()}: has {name} {found.get(name)}, here it is {expected.get(name)}; install "
                "the same there: another version may give other weights"
            )
    with tempfile.TemporaryDirectory(prefix="autodls-job-") as folder:
        return job.do(inputs.received(), Path(folder), lambda epoch: board.add.remote(job.index, epoch))


@dataclass
class RayPool:
    """A cluster that this process is connected with; `demand` is what a job takes of a machine."""

    remote: Any
    shared: tuple[Any, ...]
    board: Any
    demand: dict[str, float]
    _begun: dict[Any, Job] = field(default_factory=dict)
    _fit_s: float = 0.0

    def submit(self, jobs: Sequence[Job]) -> None:
        """Begin `jobs` as there is room for them."""
        for job in jobs:
            self._begun[self.remote.remote(job, *self.shared)] = job
        self._fit_s = time.monotonic()

    def ended(self) -> list[Ended]:
        """The jobs that have ended."""
        done, _ = ray.wait(list(self._begun), num_returns=len(self._begun), timeout=_WAIT_S, fetch_local=False)
        self._require_room()
        return [self._end(self._begun.pop(one), one) for one in done]

    def epochs(self) -> list[tuple[int, Any]]:
        """What was trained; nothing where the board was lost."""
        with suppress(exceptions.RayError, exceptions.GetTimeoutError):
            taken: list[tuple[int, Any]] = ray.get(self.board.take.remote(), timeout=_WAIT_S)
            return taken
        return []

    def _end(self, job: Job, result: Any) -> Ended:
        try:
            return Ended(job, ray.get(result))
        except exceptions.RayTaskError as failure:
            raise _failed(job, failure) from None
        except _LOST as failure:
            return Ended(job, lost=_told(failure))

    def _require_room(self) -> None:
        """Raise AutoDLSError where for a while no machine is left that could do a job."""
        now = time.monotonic()
        if any(has_room(resources, self.demand) for resources in machines()):
            self._fit_s = now
        elif now - self._fit_s > _PATIENCE_S:
            raise AutoDLSError(
                f"--executor ray: no machine of the cluster has {_words(self.demand)} any more; what is done is kept: "
                "run the same command again when there is one, or with --executor local"
            )


@contextmanager
def ray_pool(address: str, inputs: Inputs, device: str, at_once: int) -> Iterator[RayPool]:
    """Connect with the cluster at `address` and send it `inputs`, once for all jobs; `device` is "cpu" or "cuda".

    Raises ArgumentError where there is no cluster, or none of its machines could do a job, and AutoDLSError where it
    is gone.
    """
    _require_answer(address)
    _be_quiet()
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
    except (ConnectionError, OSError, RuntimeError, ValueError) as failure:
        raise ArgumentError(f"--address {address}: Ray does not let us in ({_first_line(failure)})") from None
    over = Event()
    Thread(target=_end_when_gone, args=(address, over), daemon=True).start()
    try:
        demand = _demand(device, at_once)
        if not any(has_room(resources, demand) for resources in machines()):
            raise ArgumentError(
                f"--address {address}: no machine of the cluster has {_words(demand)}; give it one, or plan for what "
                "is there with 'autodls plan --device'"
            )
        task = ray.remote(**demand, max_retries=0, runtime_env={"env_vars": {"OPENBLAS_NUM_THREADS": "1"}})(do_remote)
        board = ray.remote(num_cpus=0)(Board).remote()
        yield RayPool(task, (ray.put(inputs), board, versions()), board, demand)
    except (exceptions.RayError, ConnectionError) as failure:
        raise AutoDLSError(
            f"--executor ray: the cluster at {address} is gone ({_first_line(failure)}); what is done is kept: run the "
            "same command again, or with --executor local"
        ) from None
    finally:
        ray.shutdown()
        over.set()


def _demand(device: str, at_once: int) -> dict[str, float]:
    """What a job takes of a machine: a share of a GPU, or as many cores as it has threads and a machine has."""
    if device == "cuda":
        return {"num_cpus": 1.0, "num_gpus": 1.0 / at_once}
    most = max((resources.get("CPU", 0.0) for resources in machines()), default=0.0)
    return {"num_cpus": max(1.0, min(float(torch.get_num_threads()), most))}


def machines() -> list[dict[str, float]]:
    """What each living machine of the cluster has in all."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def has_room(resources: dict[str, float], demand: dict[str, float]) -> bool:
    """Whether a machine with `resources` could do a job that takes `demand`, once it is free.

    >>> has_room({"CPU": 8.0}, {"num_cpus": 1.0, "num_gpus": 0.5})
    False
    """
    named = {"num_cpus": "CPU", "num_gpus": "GPU"}
    return all(resources.get(named[name], 0.0) >= amount for name, amount in demand.items())


def _words(demand: dict[str, float]) -> str:
    gpus = demand.get("num_gpus")
    return "a GPU" if gpus else f"{demand['num_cpus']:.0f} free cores"


def _require_answer(address: str) -> None:
    """Raise ArgumentError where nothing answers: Ray would try for minutes, and then end the process."""
    try:
        _ask(address)
    except (OSError, OverflowError) as failure:
        raise ArgumentError(
            f"--address {address}: no Ray cluster answers there ({_first_line(failure)}); start one with 'ray start "
            "--head', or give the address that it prints"
        ) from None


def _ask(address: str) -> None:
    """Connect with the head at HOST:PORT; raises OSError where nobody answers. Ray finds others by itself."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host or "127.0.0.1", int(port)), timeout=10).close()


def _end_when_gone(address: str, over: Event) -> None:
    """End this process where the head has not answered for a while, before the work is `over`.

    Ray's own calls wait for it for minutes. Whoever started the process says what that means.
    """
    answered_s = time.monotonic()
    while not over.wait(_WAIT_S):
        with suppress(OSError):
            _ask(address)
            answered_s = time.monotonic()
        if time.monotonic() - answered_s > _SILENCE_S:
            os._exit(1)


def _be_quiet() -> None:
    """What Ray writes as it ends this process says nothing that we do not say in one line."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _failed(job: Job, failure: "exceptions.RayTaskError") -> AutoDLSError:
    cause = failure.cause
    if isinstance(cause, AutoDLSError):
        return cause
    return AutoDLSError(f"{job.name}: {type(cause).__name__} on a machine of the cluster: {_first_line(cause)}")


def _told(failure: BaseException) -> str:
    words = {
        exceptions.WorkerCrashedError: "its worker was killed",
        exceptions.NodeDiedError: "its machine is gone",
        exceptions.OutOfMemoryError: "its machine had no memory left",
        exceptions.LocalRayletDiedError: "its machine is gone",
    }
    return next((said for kind, said in words.items() if isinstance(failure, kind)), "what it made is gone")


def _first_line(failure: BaseException) -> str:
    return next(iter(str(failure).splitlines()), type(failure).__name__)

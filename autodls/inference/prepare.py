"""Volumes on their way to the networks, in several processes. No torch is imported: a process starts the sooner."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from autodls.errors import AutoDLSError, DatasetError
from autodls.inference.inputs import InputCase, without_folders
from autodls.inference.ood import OodMonitor
from autodls.inference.prediction import CaseScore
from autodls.inference.rois import RoiSource, UsedRoi
from autodls.inference.score_log import ScoreLog
from autodls.parallel import map_ahead, worker_pool, worker_thread
from autodls.preprocessing.case import prepare_case
from autodls.preprocessing.store import Sample
from autodls.records.files import sha256_of_input
from autodls.records.fingerprint import Fingerprint
from autodls.records.preprocessing_plan import PreprocessingPlan
from autodls.records.roi_labels import AUTOMATIC_LABELS

BLOCK_CASES = 32  # 75 MB of samples with three sequences of 256 px; more would hardly cost less per case
_FEW_CASES = 8  # sooner read by a thread than processes are started
_UNSTORED = "unstored"  # the key of a sample that is used once


@dataclass(frozen=True)
class PreparedCase:
    """A case that is ready to be scored, has a score from an earlier run, or cannot be scored, and why.

    `inputs` holds the SHA-256 of its files, of which it has none where it cannot be scored.
    """

    case: InputCase
    ready: tuple[Sample, UsedRoi] | CaseScore | str
    inputs: dict[str, str]


@dataclass(frozen=True)
class Preparation:
    """How cases are prepared: by a model's plan, measured against its training cohort, with ROIs from `rois`.

    Scores in `log` are not made again.
    """

    plan: PreprocessingPlan
    fingerprint: Fingerprint | None
    rois: RoiSource
    log: ScoreLog | None = None

    def blocks(self, cases: Sequence[InputCase], workers: int) -> Generator[list[PreparedCase], None, None]:
        """All `cases` in their order, in blocks; while one is used, the next is prepared.

        ROIs are drawn by a thread of this process, where the networks are that draw them. Volumes are read by
        `workers` processes, or by another thread where they are one or the cases few; samples are the same. Raises
        AutoDLSError where a process is killed.
        """
        with worker_pool(_worthwhile(workers, len(cases))) as readers, worker_thread() as drawer:

            def begin(start: int) -> list["Future[_Pending]"]:
                return [drawer.submit(self._begin, case, readers) for case in cases[start : start + BLOCK_CASES]]

            ahead = begin(0)
            for start in range(0, len(cases), BLOCK_CASES):
                block, ahead = ahead, begin(start + BLOCK_CASES)
                yield [begun.result()() for begun in block]

    def _begin(self, case: InputCase, readers: Executor) -> "_Pending":
        """Find the score of a case, or draw its ROI and hand it to the `readers`; a call waits for what they give."""
        found = self.log.find(case, self.rois) if self.log is not None and case.gap is None else None
        if found is not None:
            return partial(PreparedCase, case, found.score, found.inputs)
        try:
            if case.gap is not None:
                raise DatasetError(f"case {case.id}: {case.gap}")
            if case.unused and not case.images:
                raise DatasetError(f"case {case.id}: no image that the model can read: {', '.join(_not_used(case))}")
            task = _Task(case, self.rois.of(case), self.plan, self.fingerprint)
        except AutoDLSError as failure:
            drawn = [self.rois.place(case.id)] if self.rois.place is not None else []
            return partial(_unfit, case, failure, [*([case.roi] if case.roi else []), *drawn])
        return readers.submit(_prepare, task).result


_Pending = Callable[[], PreparedCase]


@dataclass(frozen=True)
class _Task:
    """A case and its ROI; small, and can be sent to another process."""

    case: InputCase
    roi: UsedRoi
    plan: PreprocessingPlan
    fingerprint: Fingerprint | None


def _prepare(task: _Task) -> PreparedCase:
    case, roi = task.case, task.roi
    try:
        inputs = _hashes(case, roi)
        seen = OodMonitor(task.fingerprint, roi)
        sample = prepare_case(case.id, case.images, roi.path, roi.labels, task.plan, _UNSTORED, seen.look)
        if _hashes(case, roi) != inputs:
            raise DatasetError(f"case {case.id}: an image or the ROI changed while it was read; run the command again")
    except AutoDLSError as failure:
        return _unfit(case, failure, [roi.path])
    flags = (*_not_used(case), *case.told, *sample.flags, *seen.flags)
    return PreparedCase(case, (replace(sample, flags=flags), roi), inputs)


def _hashes(case: InputCase, roi: UsedRoi) -> dict[str, str]:
    """SHA-256 of what the case was given as; raises DatasetError for a file that cannot be read."""
    files = {**case.images, **({"roi": roi.path} if roi.kind == "manual" else {})}
    try:
        return {name: sha256_of_input(path) for name, path in files.items()}
    except DatasetError as failure:
        raise DatasetError(f"case {case.id}: {failure}") from None


def _not_used(case: InputCase) -> tuple[str, ...]:
    return tuple(f"{name} is not used: {why}" for name, why in case.unused.items())


def _unfit(case: InputCase, failure: AutoDLSError, rois: Sequence[Path]) -> PreparedCase:
    return PreparedCase(case, without_folders(str(failure), (*case.images.values(), *rois)), {})


def explained_samples(
    cases: Sequence[InputCase], labels: frozenset[int], plan: PreprocessingPlan, workers: int
) -> Generator[Sample | str, None, None]:
    """The sample of every case in their order, as when it is scored, or why it cannot be had; some are made ahead.

    `labels` are the values of a manual ROI that mean tumour. Raises AutoDLSError where a process is killed.
    """
    tasks = [_Explained(case, AUTOMATIC_LABELS if case.kind == "auto" else labels, plan) for case in cases]
    return map_ahead(_sample, tasks, _worthwhile(workers, len(cases)), BLOCK_CASES)


@dataclass(frozen=True)
class _Explained:
    """A case whose sample is wanted with its key."""

    case: InputCase
    labels: frozenset[int]
    plan: PreprocessingPlan


def _sample(task: _Explained) -> Sample | str:
    case = task.case
    if case.roi is None:
        return f"case {case.id}: no ROI, so there are no planes to explain; draw it"
    try:
        return prepare_case(case.id, case.images, case.roi, task.labels, task.plan)
    except DatasetError as failure:
        return str(failure)


def _worthwhile(workers: int, cases: int) -> int:
    """So many workers, or one where the cases are too few for others to be started."""
    return 1 if cases < _FEW_CASES else workers

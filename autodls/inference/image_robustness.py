"""The images of a case made worse, the ROI left where it is: what becomes of the score?

Images are changed as they come from the scanner, before registration, normalisation and sampling, each sequence by
itself. Who scores a case is as in `rescoring`: a training case the one fold that did not see it. See
`autodls.imaging.degradation` for what is done to an image, and `robustness` for the ROI changed instead.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import DatasetError
from autodls.imaging.degradation import SCALES, Degradation, degraded, torchio_version
from autodls.imaging.volumes import read_volume, write_volume
from autodls.inference.inputs import InputCase
from autodls.inference.model_folder import LockedModel
from autodls.inference.prepare import BLOCK_CASES
from autodls.inference.rescoring import PairedCase, ScoreCache, judge, roi_of
from autodls.inference.scoring import require_finite, score_samples
from autodls.parallel import map_ahead
from autodls.preprocessing.case import prepare_case
from autodls.preprocessing.store import Sample
from autodls.records.preprocessing_plan import PreprocessingPlan
from autodls.seeding import generator

KINDS: tuple[Degradation | None, ...] = (None, *SCALES)  # None: the images as they are
_FORMAT = "degraded/1"  # to be raised where a level comes to mean something else


@dataclass(frozen=True)
class KeyedCase:
    """A case with a manual ROI, the fold that did not see it, and the `sample_key` of its files."""

    paired: PairedCase
    key: str


@dataclass(frozen=True)
class DegradedScore:
    """The calibrated score of one case at one level, or why there is none; `kind` None: of the images as they are."""

    case: str
    kind: Degradation | None
    level: float
    dls: float | None
    reason: str | None = None


def degraded_scores(
    model: LockedModel,
    cases: Sequence[KeyedCase],
    seed: int,
    book: ScoreCache,
    advance: Callable[[str], None],
    workers: int = 1,
) -> Iterator[DegradedScore]:
    """Every case as it is and at every level of every kind, in this order, by the fold that did not see it or by all.

    `workers` processes read, degrade and prepare while this one scores in blocks, each kept in `book` once it is
    scored. What a case scores depends neither on the others nor on the number of workers. `advance` is called for every
    kind of every case.

    Degraded images lie for a moment in a folder of this process, which goes with it, also where it is stopped.
    """
    with tempfile.TemporaryDirectory(prefix="autodls-", ignore_cleanup_errors=True) as folder:
        yield from _scored(model, cases, seed, book, advance, workers, folder)


def _scored(
    model: LockedModel,
    cases: Sequence[KeyedCase],
    seed: int,
    book: ScoreCache,
    advance: Callable[[str], None],
    workers: int,
    folder: str,
) -> Iterator[DegradedScore]:
    asked = [_Asked(one, kind) for one in cases for kind in KINDS]
    tasks = [one.task(model, seed, book, folder) for one in asked]
    workers = workers if any(task.levels for task in tasks) else 1  # no process is started for nothing
    block: list[tuple[_Asked, dict[float, Sample | str]]] = []
    with closing(map_ahead(_samples, tasks, workers, 2 * workers)) as prepared:
        for one, samples in zip(asked, prepared, strict=True):
            full = sum(len(found) for _, found in block) >= BLOCK_CASES
            if block and (full or block[0][0].case.paired.fold != one.case.paired.fold):
                yield from _score(model, block, seed, book, advance)
                block = []
            block.append((one, samples))
    yield from _score(model, block, seed, book, advance)


@dataclass(frozen=True)
class _Task:
    """The levels of one kind that one case has no score of yet; small, and can be sent to another process."""

    files: InputCase
    labels: frozenset[int]
    plan: PreprocessingPlan
    seed: int
    kind: Degradation | None
    levels: tuple[float, ...]
    folder: str


@dataclass(frozen=True)
class _Asked:
    """One case, one kind."""

    case: KeyedCase
    kind: Degradation | None

    @property
    def levels(self) -> tuple[float, ...]:
        return (0.0,) if self.kind is None else SCALES[self.kind].levels

    def key(self, level: float, seed: int) -> str:
        """The name of a sample; of one that is not degraded it is that of the benchmark of ROIs."""
        if self.kind is None:
            return self.case.key
        return f"{self.case.key}:{_FORMAT}:{torchio_version()}:{seed}:{self.kind}:{level:g}"

    def task(self, model: LockedModel, seed: int, book: ScoreCache, folder: str) -> _Task:
        """What is not in `book`."""
        files, fold = self.case.paired.rois["manual"], self.case.paired.fold
        missing = tuple(one for one in self.levels if book.ask(model, fold, self.key(one, seed)) is None)
        return _Task(files, files.roi_labels(model.record), model.plan.preprocessing, seed, self.kind, missing, folder)


def _samples(task: _Task) -> dict[float, Sample | str]:
    """The sample of a case at each level that is asked for, or why it cannot be made."""
    return {level: _sample(task, level) for level in task.levels}


def _sample(task: _Task, level: float) -> Sample | str:
    files = task.files
    with tempfile.TemporaryDirectory(dir=task.folder) as folder:
        try:
            images = _degraded_files(task, level, Path(folder))
            return prepare_case(files.id, images, roi_of(files), task.labels, task.plan, "degraded")
        except DatasetError as failure:
            return str(failure).removeprefix(f"case {files.id}: ").replace(f"{folder}/", "")


def _degraded_files(task: _Task, level: float, folder: Path) -> Mapping[str, Path]:
    """Every image of the case at this level, which goes through a file as any other does."""
    if task.kind is None:
        return task.files.images
    found = {}
    for number, (sequence, path) in enumerate(task.files.images.items()):
        rng = generator(task.seed, "degraded", task.files.id, sequence, task.kind)
        found[sequence] = folder / f"{number:04d}.nii"
        write_volume(found[sequence], degraded(read_volume(path), task.kind, level, rng))
    return found


def _score(
    model: LockedModel,
    block: Sequence[tuple[_Asked, Mapping[float, Sample | str]]],
    seed: int,
    book: ScoreCache,
    advance: Callable[[str], None],
) -> Iterator[DegradedScore]:
    """The scores of a block, all of one fold or all of the ensemble; they are kept before they are given."""
    made = [
        (one.case.paired.fold, one.key(level, seed), sample)
        for one, samples in block
        for level, sample in samples.items()
        if isinstance(sample, Sample)
    ]
    if made:
        scored = score_samples(judge(model, made[0][0]), [sample for *_, sample in made])
        for (fold, key, sample), scores in zip(made, scored, strict=True):
            require_finite(sample, scores)
            book.keep(model, fold, key, float(scores.dls[0]))
        book.save()
    for one, samples in block:
        advance(one.case.paired.case.id)
        for level in one.levels:
            yield _found(one, level, samples.get(level), book.ask(model, one.case.paired.fold, one.key(level, seed)))


def _found(one: _Asked, level: float, sample: Sample | str | None, dls: float | None) -> DegradedScore:
    case = one.case.paired.case.id
    if isinstance(sample, str):
        return DegradedScore(case, one.kind, level, None, sample)
    return DegradedScore(case, one.kind, level, dls)

"""`compare`: candidates beside each other on the same folds, the choice between them nested."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autodls.errors import InputError, ModelFolderError
from autodls.parallel import map_parallel
from autodls.records.cohort import table_path
from autodls.records.comparison import FoldComparison
from autodls.records.files import sha256_of_bytes, sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.lock import locked
from autodls.records.model import ModelRecord
from autodls.records.model_folders import RoiKind
from autodls.records.plan import Plan
from autodls.records.scores import FUSED, FoldScore, load_fold_scores
from autodls.records.splits import Fold, Splits
from autodls.records.workspace import Workspace
from autodls.stages.compare_sources import learners_of
from autodls.stages.evaluate import fold_scores, require_same_scores
from autodls.stages.provenance import note_run
from autodls.stages.session import Session, planned_workspace, trained_rois
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.analysis.comparison_results import Comparison
    from autodls.candidates.fold import FoldTask
    from autodls.candidates.learners import Learner
    from autodls.candidates.nested import Part
    from autodls.report.drawn import ReportTable

_FORMAT = 3  # of how a fold is compared: another number, and all folds are compared anew
_TRAIN_FIRST = "run 'autodls train fold all'"
INTEGRATED = "integrated"


@dataclass(frozen=True)
class ComparedStudy:
    """What `compare` found, the workspace where it lies, and the record of a candidate that was locked."""

    workspace: Workspace
    comparison: "Comparison"
    tables: "Mapping[str, ReportTable]"
    locked: Path | None = None


@dataclass(frozen=True)
class _Networks:
    """Scores of every fold's networks: as they are by fold, and out of fold on the scale that folds share."""

    by_fold: Mapping[int, Sequence[FoldScore]]
    pooled: Mapping[str, float]


def compare(
    dataset: Path,
    workspace: Path | None = None,
    rois: RoiKind | None = None,
    *,
    lock: bool | str = False,
    workers: int = 1,
    watch: Watch = SILENT,
) -> ComparedStudy:
    """Score the training cases by every candidate, out of fold, and choose between them inside each fold.

    Candidates that a study does not allow are left out, with the reason: no clinical column, no library for radiomics,
    no trained networks. Features and folds are kept as they come, so a killed run continues; `workers` processes work,
    and change no figure. No held-out cohort is read. `lock` names a candidate that is then locked, or is True for the
    one that was chosen: see `lock_candidate`. Raises StaleRecordError where plan, scores, model or dataset do not fit
    each other.
    """
    place = planned_workspace(dataset, workspace)
    if isinstance(lock, str):
        from autodls.candidates.locking import require_lockable

        require_lockable(lock)  # before minutes of work
    with locked(place):
        session = Session.open(dataset, place.root, trained_rois(place, rois))
        plan = session.plan()
        splits = session.splits(plan)
        inputs = Fingerprint.load(session.workspace.fingerprint, "run 'autodls plan'").inputs_sha256
        session.require_same_inputs(inputs, workers)
        return _compared(session, plan, splits, workers, watch, lock)


def _compared(
    session: Session, plan: Plan, splits: Splits, workers: int, watch: Watch, lock: bool | str
) -> ComparedStudy:
    from autodls.analysis.candidates import Compared, comparison
    from autodls.candidates.fold import DEEP
    from autodls.report.comparison_files import comparison_files, write_comparison

    left_out: dict[str, str] = {}
    learners, sources = learners_of(session, plan, workers, watch, left_out)
    networks = _networks(session, plan, splits, left_out)
    stacks = stacks_of(learners) if networks else {}
    tasks = [_task(session, plan, fold, learners, sources, networks, stacks) for fold in splits.folds]
    with watch.progress("comparing", len(tasks)) as advance:
        jobs = [(task, session.workspace.fold_comparison(task.index)) for task in tasks]
        names = [f"fold {task.index}" for task in tasks]
        folds = map_parallel(_kept_or_compared, jobs, names, workers, advance)
    training = {case.id: case for case in session.training}
    found = comparison(
        Compared(
            folds=folds,
            labels={case: bool(one.label) for case, one in training.items()},
            patients={case: one.patient for case, one in training.items()},
            stacks=stacks,
            pooled={DEEP: networks.pooled} if networks else {},
            left_out=left_out,
            seed=plan.training.seed,
        )
    )
    place = session.workspace
    made_from = _records_of(place, networks=networks is not None)
    told = found.model_copy(update={"made_from": {path.name: sha256_of_file(path) for path in made_from}})
    for name, why in left_out.items():
        watch.note(f"candidate '{name}' is left out: {why}")
    files = comparison_files(told)
    written = write_comparison(place, files)
    locked_as = None
    try:
        if lock:
            locked_as = _lock(told.chosen.name if lock is True else lock, learners, session, plan, splits, tasks)
    finally:
        made = [*written, *([locked_as] if locked_as else [])]
        _note(watch.command, session, plan, made_from, made)
    return ComparedStudy(place, told, files.tables, locked_as)


def _records_of(place: Workspace, *, networks: bool) -> list[Path]:
    return [place.plan, place.splits, *([place.oof_scores, place.model.record] if networks else [])]


def _tables_of(session: Session) -> list[Path]:
    dataset = session.cohort.folder
    return [dataset / "dataset.json", table_path(dataset)]


def compared_from(session: Session) -> list[Path]:
    """What a comparison with the networks is made from, besides images."""
    return [*_tables_of(session), *_records_of(session.workspace, networks=True)]


def _lock(
    name: str, learners: "Mapping[str, Learner]", session: Session, plan: Plan, splits: Splits,
    tasks: "Sequence[FoldTask]",
) -> Path:  # fmt: skip
    from autodls.candidates.locking import require_lockable
    from autodls.stages.lock_candidate import lock_candidate

    require_lockable(name)
    first = splits.folds[0]
    whole = _part(session, plan, first, sorted((*first.train, *first.inner, *first.validation)))
    parts = [(task.whole, task.test) for task in tasks]
    return lock_candidate(name, learners, session, plan, whole, parts, splits.sha256())


def _note(
    command: Sequence[str], session: Session, plan: Plan, made_from: Sequence[Path], written: Sequence[Path]
) -> None:
    sources = [*_tables_of(session), *made_from]
    made = [*written, session.workspace.table("tumour_volume")]
    note_run(command, session.workspace, "compare", plan.training.seed, sources, [one for one in made if one.is_file()])


def stacks_of(learners: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """The integrated candidates: the networks with all that says more than volume, and with each of it alone.

    >>> stacks_of({"volume": 0, "clinical": 0, "radiomics": 0})["integrated"]
    ('deep', 'clinical', 'radiomics')
    """
    from autodls.candidates.fold import DEEP

    parts = [name for name in learners if name != "volume"] or list(learners)
    pairs = {f"{INTEGRATED}_{name}": (DEEP, name) for name in parts} if len(parts) > 1 else {}
    return {**pairs, **({INTEGRATED: (DEEP, *parts)} if parts else {})}


def _networks(session: Session, plan: Plan, splits: Splits, left_out: dict[str, str]) -> _Networks | None:
    """The scores of the folds that the locked model is made of; None, and a reason in `left_out`, without a model."""
    place = session.workspace
    if not place.model.record.is_file():
        left_out["deep"] = f"there is no locked model; {_TRAIN_FIRST}"
        return None
    model = ModelRecord.load(place.model.record, _TRAIN_FIRST, ModelFolderError)
    require_same_scores(session, model, splits)
    trained = Plan.load(place.model.plan, _TRAIN_FIRST, ModelFolderError)
    pooled = {
        score.case: score.log_odds[FUSED]
        for at, fold in enumerate(splits.folds)
        for score in fold_scores(place, model, trained, at, fold.index)
        if score.part == "validation"
    }
    by_fold = {fold.index: load_fold_scores(place.fold(fold.index), trained.sequences) for fold in splits.folds}
    return _Networks(by_fold, pooled)


def _task(
    session: Session,
    plan: Plan,
    fold: Fold,
    learners: "Mapping[str, Learner]",
    sources: Mapping[str, str],
    networks: _Networks | None,
    stacks: Mapping[str, tuple[str, ...]],
) -> "FoldTask":
    """What `fold` may know, and the hash of it: no label of a test case, and no score of another fold's networks."""
    from autodls.candidates.fold import FoldTask

    deep = None
    if networks is not None:
        known = {*fold.inner, *fold.validation}
        deep = {one.case: one.logits[FUSED] for one in networks.by_fold[fold.index] if one.case in known}
    train, stopping = _part(session, plan, fold, fold.train), _part(session, plan, fold, fold.inner)
    return FoldTask(
        index=fold.index,
        key=_key(fold, train, stopping, sources, deep, stacks),
        train=train,
        stopping=stopping,
        test=fold.validation,
        learners=learners,
        deep=deep,
        stacks=stacks,
    )


def _part(session: Session, plan: Plan, fold: Fold, cases: Sequence[str]) -> "Part":
    from autodls.candidates.nested import Part
    from autodls.seeding import stream_seed

    held = {case.id: case for case in session.training}
    return Part(
        tuple(cases),
        np.array([bool(held[case].label) for case in cases], dtype=bool),
        tuple(held[case].patient for case in cases),
        stream_seed(plan.training.seed, "compare", fold.index),
    )


def _key(
    fold: Fold,
    train: "Part",
    stopping: "Part",
    sources: Mapping[str, str],
    deep: Mapping[str, float] | None,
    stacks: Mapping[str, tuple[str, ...]],
) -> str:
    from importlib import metadata

    parts = [[one.cases, one.labels.tolist(), one.patients, one.seed] for one in (train, stopping)]
    content = [_FORMAT, metadata.version("scikit-learn"), fold.index, parts, fold.validation, sources, deep, stacks]
    return sha256_of_bytes(json.dumps(content, sort_keys=True).encode())


def _kept_or_compared(job: "tuple[FoldTask, Path]") -> FoldComparison:
    """The comparison that lies there, where it is of this task; else it is made, and lies there."""
    from autodls.candidates.fold import compare_fold

    task, path = job
    if path.is_file():
        try:
            kept = FoldComparison.load(path, "run 'autodls compare' again")
        except InputError:
            kept = None
        if kept is not None and kept.key == task.key and kept.is_sealed:
            return kept
    made = compare_fold(task).sealed()
    made.save(path)
    return made

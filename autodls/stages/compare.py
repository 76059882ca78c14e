"""`compare`: candidates beside each other on the same folds, the choice between them nested."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.errors import InputError, ModelFolderError
from autodls.jobs.executor import LOCAL, Executor, require_executor
from autodls.records.cohort import table_path
from autodls.records.comparison import FoldComparison
from autodls.records.files import sha256_of_bytes, sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.lock import locked
from autodls.records.locked_candidate import CANDIDATE, CARD, LockedCandidate
from autodls.records.model import ModelRecord
from autodls.records.model_folders import RoiKind
from autodls.records.plan import Plan
from autodls.records.splits import Fold, Splits
from autodls.records.workspace import EXPERIMENTS, Workspace
from autodls.stages.compare_networks import ALL, Networks, further_networks, main_networks, require_experiments
from autodls.stages.compare_sources import learners_of, part_of, stacks_of
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


@dataclass(frozen=True)
class ComparedStudy:
    """What `compare` found, the workspace where it lies, and the record of a candidate that was locked."""

    workspace: Workspace
    comparison: "Comparison"
    tables: "Mapping[str, ReportTable]"
    locked: Path | None = None

    @property
    def how_to_predict(self) -> str:
        """The command that scores new cases by what was locked; "" where nothing was."""
        if self.locked is None:
            return ""
        repair, rois, clinical = "run 'autodls compare --lock' again", True, False
        if self.locked.name == CANDIDATE:
            record = LockedCandidate.load(self.locked, repair, ModelFolderError)
            rois, clinical = record.needs_roi, bool(record.clinical_columns)
        else:
            rois = ModelRecord.load(self.locked, repair, ModelFolderError).rois == "manual"
        given = f"{' --rois ROIS' if rois else ''}{' --clinical TABLE' if clinical else ''}"
        return f"autodls predict -m {self.locked.parent} -i IMAGES{given} -o OUT"


def compare(
    dataset: Path,
    workspace: Path | None = None,
    rois: RoiKind | None = None,
    *,
    also: Sequence[str] = (),
    lock: bool | str = False,
    workers: int = 1,
    executor: Executor = LOCAL,
    watch: Watch = SILENT,
) -> ComparedStudy:
    """Score the training cases by every candidate, out of fold, and choose between them inside each fold.

    Candidates that a study does not allow are left out, with the reason: no clinical column, no library for radiomics,
    no trained networks. `also` names experiments on the same folds whose networks are candidates too, each by its name;
    "all" is every one that has a model. Features and folds are kept as they come, so a killed run continues; `workers`
    processes work, or `executor` does, and change no figure. No held-out cohort is read. `lock` names a candidate that
    is then locked, or is True for the one that was chosen: see `lock_candidate`. Networks alone are locked already:
    `locked` is then their record. Raises StaleRecordError where plan, scores, model, an experiment or dataset do not
    fit each other.
    """
    place = planned_workspace(dataset, workspace)
    require_executor(executor)
    experiments = require_experiments(place.of(trained_rois(place, rois)), also)
    if isinstance(lock, str):
        from autodls.stages.lock_candidate import require_known

        require_known(lock, experiments)  # before minutes of work
    with locked(place):
        session = Session.open(dataset, place.root, trained_rois(place, rois))
        plan = session.plan()
        splits = session.splits(plan)
        inputs = Fingerprint.load(session.workspace.fingerprint, "run 'autodls plan'").inputs_sha256
        session.require_same_inputs(inputs, workers)
        asked = _Asked(experiments, ALL in also, lock, workers, executor, watch)
        return _compared(session, plan, splits, asked)


@dataclass(frozen=True)
class _Asked:
    """The experiments beside the model, and whether it is `every` one; what to lock; who works, and who waits."""

    experiments: Mapping[str, Workspace]
    every: bool
    lock: bool | str
    workers: int
    executor: Executor
    watch: Watch


def _compared(session: Session, plan: Plan, splits: Splits, asked: _Asked) -> ComparedStudy:
    from autodls.analysis.candidates import Compared, comparison
    from autodls.candidates.fold import DEEP
    from autodls.jobs.compare import compare_on
    from autodls.report.comparison_files import comparison_files, write_comparison

    left_out: dict[str, str] = {}
    place, watch = session.workspace, asked.watch
    learners, sources = learners_of(session, plan, asked.workers, watch, left_out)
    main = main_networks(place, splits, left_out)
    further = further_networks(asked.experiments, splits, left_out, every=asked.every)
    networks = {} if main is None else {DEEP: main, **further}
    stacks = stacks_of(learners) if networks else {}
    tasks = [_task(session, plan, fold, learners, sources, networks, stacks) for fold in splits.folds]
    with watch.progress("comparing", len(tasks)) as advance:
        who = (asked.executor, tasks, place.fold_comparison, place.jobs, advance)
        folds = compare_on(*who, workers=asked.workers, note=watch.note)
    training = {case.id: case for case in session.training}
    found = comparison(
        Compared(
            folds=folds,
            labels={case: bool(one.label) for case, one in training.items()},
            patients={case: one.patient for case, one in training.items()},
            stacks=stacks,
            pooled={name: one.pooled for name, one in networks.items()},
            left_out=left_out,
            seed=plan.training.seed,
        )
    )
    made_from = {path.name: path for path in (place.plan, place.splits, *(main.made_from if main else ()))}
    made_from |= {f"{EXPERIMENTS}/{name}/{path.name}": path for name, one in further.items() for path in one.made_from}
    hashes = {name: sha256_of_file(path) for name, path in made_from.items()}
    told = found.model_copy(update={"made_from": hashes, "experiments": tuple(further)})
    for name, why in left_out.items():
        watch.note(f"candidate '{name}' is left out: {why}")
    files = comparison_files(told)
    written = write_comparison(place, files)
    locked_as, made = None, [*written]
    try:
        if asked.lock:
            name = told.chosen.name if asked.lock is True else asked.lock
            if name in networks:
                home = asked.experiments.get(name, place)
                locked_as = home.model.record
                watch.note(f"candidate '{name}': the networks are locked already, in {home.model.root}")
            else:
                calibrated = main.calibrated if main is not None else {}
                locked_as = _lock(name, learners, session, plan, splits, folds, told, calibrated)
                made += [locked_as, locked_as.with_name(CARD), *draw_candidate(place, locked_as)]
    finally:
        _note(watch.command, session, plan, list(made_from.values()), made)
    return ComparedStudy(place, told, files.tables, locked_as)


def _tables_of(session: Session) -> list[Path]:
    dataset = session.cohort.folder
    return [dataset / "dataset.json", table_path(dataset)]


def compared_from(session: Session) -> list[Path]:
    """What a comparison with the networks is made from, besides images; also with the experiments that it has."""
    place = session.workspace
    also = compared_with(place)
    homes = [place, *(one for one in place.base.experiments if one.root.name in also)]
    networks = [path for home in homes for path in (home.oof_scores, home.model.record)]
    return [*_tables_of(session), place.plan, place.splits, *networks]


def compared_with(place: Workspace) -> tuple[str, ...]:
    """The experiments of the comparison that lies in `place`, of those that are still there; none without one."""
    from autodls.analysis.comparison_results import Comparison

    try:
        kept = Comparison.load(place.comparison, "run 'autodls compare'").experiments
    except InputError:
        return ()
    there = {one.root.name for one in place.base.experiments if one != place}
    return tuple(name for name in kept if name in there)


def _lock(
    name: str, learners: "Mapping[str, Learner]", session: Session, plan: Plan, splits: Splits,
    folds: Sequence[FoldComparison], found: "Comparison", networks: Mapping[str, float],
) -> Path:  # fmt: skip
    from autodls.stages.lock_candidate import Locking, lock_candidate

    first = splits.folds[0]
    whole = part_of(session, plan, first, sorted((*first.train, *first.inner, *first.validation)))
    return lock_candidate(name, Locking(session, plan, splits.sha256(), learners, whole, folds, found, networks))


def draw_candidate(place: Workspace, locked_as: Path) -> list[Path]:
    """Figures of the candidate whose record is `locked_as`, for the report; where they lie."""
    from autodls.report.comparison_files import write_candidate_figures

    record = LockedCandidate.load(locked_as, "run 'autodls compare --lock' again", ModelFolderError)
    return write_candidate_figures(place, record)


def _note(
    command: Sequence[str], session: Session, plan: Plan, made_from: Sequence[Path], written: Sequence[Path]
) -> None:
    sources = [*_tables_of(session), *made_from]
    made = [*written, session.workspace.table("tumour_volume")]
    note_run(command, session.workspace, "compare", plan.training.seed, sources, [one for one in made if one.is_file()])


def _task(
    session: Session,
    plan: Plan,
    fold: Fold,
    learners: "Mapping[str, Learner]",
    sources: Mapping[str, str],
    networks: Mapping[str, Networks],
    stacks: Mapping[str, tuple[str, ...]],
) -> "FoldTask":
    """What `fold` may know, and the hash of it: no label of a test case, and no score of another fold's networks."""
    from autodls.candidates.fold import DEEP, FoldTask

    also = {name: one.known_to(fold) for name, one in networks.items()}
    deep = also.pop(DEEP, None)
    train, stopping = part_of(session, plan, fold, fold.train), part_of(session, plan, fold, fold.inner)
    return FoldTask(
        index=fold.index,
        key=_key(fold, train, stopping, sources, [deep, *([also] if also else [])], stacks),
        train=train,
        stopping=stopping,
        test=fold.validation,
        learners=learners,
        deep=deep,
        stacks=stacks,
        also=also,
    )


def _key(
    fold: Fold,
    train: "Part",
    stopping: "Part",
    sources: Mapping[str, str],
    networks: Sequence[object],
    stacks: Mapping[str, tuple[str, ...]],
) -> str:
    from importlib import metadata

    parts = [[one.cases, one.labels.tolist(), one.patients, one.seed] for one in (train, stopping)]
    told = [fold.index, parts, fold.validation, sources, *networks, stacks]
    content = [_FORMAT, metadata.version("scikit-learn"), *told]
    return sha256_of_bytes(json.dumps(content, sort_keys=True).encode())

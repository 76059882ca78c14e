"""`benchmark patients`: how the AUC of a candidate grows with patients, and what more of them may bring."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autodls.errors import ArgumentError, InputError
from autodls.jobs.executor import LOCAL, Executor, require_executor
from autodls.parallel import map_parallel
from autodls.records.cohort import table_path
from autodls.records.curve_run import CurveRun
from autodls.records.files import sha256_of_bytes, sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.lock import locked
from autodls.records.model_folders import RoiKind
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace
from autodls.stages import curve_networks
from autodls.stages.compare_networks import locked_networks
from autodls.stages.compare_sources import SIMPLE, learners_of, part_of
from autodls.stages.provenance import note_run
from autodls.stages.session import Session, planned_workspace, trained_rois
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.analysis.patients import Agreement
    from autodls.analysis.patients_results import PatientsBenchmark
    from autodls.candidates.curve import CurveTask
    from autodls.evaluation.learning_curve import FoldRows, Subset
    from autodls.report.drawn import ReportTable

DEEP = "deep"
_FORMAT = 1  # of how subsets are drawn and fitted: another number, and all are fitted anew
_REPEATS = 5
_AGAIN = "run 'autodls benchmark patients' again"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Patients:
    """What `benchmark_patients` found, and the workspace where it lies."""

    workspace: Workspace
    benchmark: "PatientsBenchmark"
    table: "ReportTable"


def benchmark_patients(
    dataset: Path,
    workspace: Path | None = None,
    rois: RoiKind | None = None,
    *,
    candidate: str | None = None,
    repeats: int | None = None,
    label_agreement: float | None = None,
    label_source: str | None = None,
    half_width: float = 0.05,
    workers: int = 1,
    executor: Executor = LOCAL,
    watch: Watch = SILENT,
) -> Patients:
    """Fit a candidate again on subsets of each fold's training part, and draw its AUC on to more patients.

    `candidate` is volume, clinical, radiomics or deep, by default what `compare` chose, or deep. Test folds are those
    of the study, and no subset holds one of their cases. Networks are trained again by `executor`, which takes longer
    than training did; how long is told first. `repeats` is how often subsets are drawn: five times, of networks once.
    `label_agreement` is the kappa of two readers on the cut of the target, published in `label_source`; `half_width`
    that of the interval of a planned AUC. Fits are kept, so a run that was stopped goes on.

    Raises ArgumentError for a candidate that cannot be fitted again, or fewer than twenty patients of a class, and
    StaleRecordError where plan, splits, model or dataset do not fit each other.
    """
    require_executor(executor)
    agreement = _agreement(label_agreement, label_source)
    if not 0 < half_width < 0.5:
        raise ArgumentError(f"--half-width {half_width:g}: expected a number above 0 and below 0.5, such as 0.05")
    if repeats is not None and repeats < 1:
        raise ArgumentError(f"--repeats {repeats}: expected 1 or more")
    place = planned_workspace(dataset, workspace)
    with locked(place):
        session = Session.open(dataset, place.root, trained_rois(place, rois))
        plan = session.plan()
        splits = session.splits(plan)
        name = _chosen(session.workspace, candidate, watch)
        if name != DEEP and executor.name != "local":
            raise ArgumentError(
                f"--executor {executor.name}: candidate {name} is fitted here, by --workers processes; leave it out, "
                "or name the networks with --candidate deep"
            )
        seen = Fingerprint.load(session.workspace.fingerprint, "run 'autodls plan'").inputs_sha256
        session.require_same_inputs(seen, workers)
        study = _Measured(
            session, plan, splits, name, repeats or (curve_networks.REPEATS if name == DEEP else _REPEATS)
        )
        subsets, scores = study.measure(workers, executor, watch)
        return _told(study, subsets, scores, agreement, half_width, watch)


@dataclass(frozen=True)
class _Measured:
    """The study whose candidate `name` is fitted again, `repeats` times on each share of each fold."""

    session: Session
    plan: Plan
    splits: Splits
    name: str
    repeats: int

    @property
    def labels(self) -> NDArray[np.bool_]:
        """Of the training cases, in their order."""
        return np.array([bool(case.label) for case in self.session.training], dtype=bool)

    @property
    def patients(self) -> list[str]:
        """Of the training cases."""
        return [case.patient for case in self.session.training]

    @property
    def sources(self) -> list[Path]:
        """What decides on the curve."""
        place = self.session.workspace
        return [place.plan, place.splits, *([place.oof_scores, place.model.record] if self.name == DEEP else [])]

    def measure(self, workers: int, executor: Executor, watch: Watch) -> "tuple[list[Subset], list[Floats]]":
        """The subsets, and scores of the test rows of each."""
        from autodls.evaluation.learning_curve import SHARES, draw_subsets
        from autodls.seeding import generator

        chance = generator(self.plan.training.seed, "benchmark", "patients", self.name)
        shares = curve_networks.SHARES if self.name == DEEP else SHARES
        subsets = draw_subsets(self.labels, self.patients, chance, self.repeats, self._folds(), shares)
        if self.name != DEEP:
            return subsets, self._fitted(subsets, workers, watch)
        locked_networks(self.session.workspace, self.splits)  # raises where they are not of these splits
        study = (self.session, self.plan, self.splits, subsets)
        return subsets, curve_networks.scores_of_networks(*study, executor, workers, watch)

    def _folds(self) -> "list[FoldRows]":
        """Rows of each fold: what it may learn from, of networks training and early stopping apart, and its test."""
        from autodls.evaluation.learning_curve import FoldRows

        row_of = {case.id: row for row, case in enumerate(self.session.training)}

        def rows(cases: Sequence[str]) -> NDArray[np.intp]:
            return np.array([row_of[case] for case in cases], dtype=np.intp)

        apart = self.name == DEEP
        return [
            FoldRows(
                (rows(fold.train), rows(fold.inner)) if apart else (rows((*fold.train, *fold.inner)),),
                rows(fold.validation),
            )
            for fold in self.splits.folds
        ]

    def _fitted(self, subsets: "Sequence[Subset]", workers: int, watch: Watch) -> "list[Floats]":
        """Scores by a candidate without networks; fits that lie there are kept."""
        tasks = self._tasks(subsets, workers, watch)
        jobs = [(task, self.session.workspace.curve_run(self.name, task.repeat, task.fold)) for task in tasks]
        names = [f"repeat {task.repeat}, fold {task.fold}" for task in tasks]
        with watch.progress("fitting on subsets", len(jobs)) as advance:
            runs = map_parallel(_kept_or_fitted, jobs, names, workers, advance)
        return [np.array(values) for run in runs for values in run.scores]

    def _tasks(self, subsets: "Sequence[Subset]", workers: int, watch: Watch) -> "list[CurveTask]":
        """One a repeat and fold, in the order of `subsets`; none holds a label of a test case."""
        from autodls.candidates.curve import CurveTask

        left_out: dict[str, str] = {}
        learners, sources = learners_of(self.session, self.plan, workers, watch, left_out, [self.name])
        if self.name not in learners:
            raise ArgumentError(f"--candidate {self.name}: {left_out[self.name]}")
        ids = [case.id for case in self.session.training]
        drawn: dict[tuple[int, int], list[tuple[str, ...]]] = {}
        for one in subsets:
            drawn.setdefault((one.repeat, one.fold), []).append(tuple(ids[row] for row in one.fitted))
        tasks = []
        for (repeat, at), cases in drawn.items():
            fold = self.splits.folds[at]
            part = part_of(self.session, self.plan, fold, (*fold.train, *fold.inner))
            known = [part.cases, part.labels.tolist(), part.patients, part.seed, fold.validation, cases]
            content = [_FORMAT, metadata.version("scikit-learn"), self.name, sources[self.name], *known]
            key = sha256_of_bytes(json.dumps(content).encode())
            tasks.append(CurveTask(key, at, repeat, learners[self.name], part, tuple(cases), fold.validation))
        return tasks


def _chosen(place: Workspace, candidate: str | None, watch: Watch) -> str:
    """The candidate to fit again: the one that is named, else what `compare` chose where it can be, else the networks.

    Raises ArgumentError for one that cannot be fitted again.
    """
    from autodls.analysis.comparison_results import Comparison

    able = (*SIMPLE, DEEP)
    if candidate is not None:
        if candidate not in able:
            raise ArgumentError(
                f"--candidate {candidate}: expected {', '.join(able)}: weights of an integrated score are fitted on "
                "the early-stopping set of whole networks; an experiment is measured by --name and --candidate deep"
            )
        return candidate
    if not place.comparison.is_file():
        return DEEP
    name = Comparison.load(place.comparison, "run 'autodls compare' again").chosen.name
    if name not in able:
        watch.note(f"'autodls compare' chose {name}, which is not fitted again in parts; measured is {DEEP}")
        return DEEP
    return name


def _agreement(kappa: float | None, source: str | None) -> "Agreement | None":
    from autodls.analysis.patients import Agreement

    if kappa is None and source is None:
        return None
    if kappa is None or not (source or "").strip():
        raise ArgumentError(
            "--label-agreement and --label-source: give both: the kappa of two readers on the cut of the target, and "
            "where it is published"
        )
    if not 0 < kappa <= 1:
        raise ArgumentError(f"--label-agreement {kappa:g}: expected a kappa above 0 and up to 1")
    return Agreement(kappa, (source or "").strip())


def _kept_or_fitted(job: "tuple[CurveTask, Path]") -> CurveRun:
    """The fits that lie there, where they are of this task; else they are made, and lie there."""
    from autodls.candidates.curve import fit_subsets

    task, path = job
    if path.is_file():
        try:
            kept = CurveRun.load(path, _AGAIN)
        except InputError:
            kept = None
        if kept is not None and kept.key == task.key and kept.is_sealed:
            return kept
    made = fit_subsets(task).sealed()
    made.save(path)
    return made


def _told(
    study: _Measured, subsets: "Sequence[Subset]", scores: "Sequence[Floats]", agreement: "Agreement | None",
    half_width: float, watch: Watch,
) -> Patients:  # fmt: skip
    from autodls.analysis.patients import patients_benchmark
    from autodls.evaluation.learning_curve import curve_of
    from autodls.report.patients_files import write_patients

    place, dataset = study.session.workspace, study.session.cohort.folder
    curve = curve_of(study.labels, study.patients, subsets, scores)
    found = patients_benchmark(
        study.name,
        curve,
        study.labels,
        study.patients,
        repeats=study.repeats,
        agreement=agreement,
        half_width=half_width,
        seed=study.plan.training.seed,
    )
    hashes: Mapping[str, str] = {path.name: sha256_of_file(path) for path in study.sources}
    told = found.model_copy(update={"made_from": dict(hashes)})
    table, written = write_patients(place, told)
    sources = [dataset / "dataset.json", table_path(dataset), *study.sources]
    made = [*written, place.table("tumour_volume")]
    note_run(
        watch.command, place, "benchmark patients", study.plan.training.seed, sources, [p for p in made if p.is_file()]
    )
    return Patients(place, told, table)

"""`evaluate`: the locked model on every cohort."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.errors import ModelFolderError, StaleRecordError
from autodls.evaluation.score_auc import ScoreAuc
from autodls.jobs.executor import LOCAL, Executor, require_executor
from autodls.records.case import Case
from autodls.records.cohort import table_path
from autodls.records.files import sha256_of_input
from autodls.records.lock import locked
from autodls.records.model import ModelRecord
from autodls.records.model_folders import RoiKind
from autodls.records.plan import Plan
from autodls.records.workspace import Workspace
from autodls.stages.kept_study import assembled, evaluated_from, locked_records, scored_cohort
from autodls.stages.provenance import note_run, precision_of_all
from autodls.stages.scoring_away import require_given_rois, score_away
from autodls.stages.session import Session, planned_workspace, trained_rois
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    import torch

    from autodls.analysis.scored_study import ScoredCohort, ScoredStudy
    from autodls.evaluation.metrics_record import Metrics
    from autodls.inference.heldout_rois import HeldoutDrawer
    from autodls.inference.model_folder import LockedModel
    from autodls.inference.rois import RoiSource
    from autodls.report.drawn import ReportTable
    from autodls.report.score_results import ScoreResults

_TRAIN_FIRST = "run 'autodls train fold all'"


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate` found, and the workspace where it lies.

    `rows` are the AUCs of every score in every cohort. `unscored` says of each held-out case without a score why it has
    none. `warnings` are those of `metrics` as sentences, those that are alike as one.
    """

    workspace: Workspace
    metrics: "Metrics"
    rows: tuple[ScoreAuc, ...]
    tables: "Mapping[str, ReportTable]"
    unscored: Mapping[str, str]
    warnings: tuple[str, ...]


@dataclass
class _Scoring:
    """Where networks are computed and by whom, by how many processes images are read, and who waits.

    `computed_in` is in what all scores were computed, those that are kept included.
    """

    device: "torch.device"
    workers: int
    watch: Watch
    executor: Executor = LOCAL
    computed_in: dict[str, None] = field(default_factory=dict)


def evaluate(
    dataset: Path,
    workspace: Path | None = None,
    rois: RoiKind | None = None,
    *,
    device: str = "auto",
    workers: int = 1,
    executor: Executor = LOCAL,
    watch: Watch = SILENT,
) -> Evaluated:
    """Score the held-out cohorts by the locked model, and judge it on all cohorts, into results/ of the workspace.

    `rois` names the model by the ROIs that it was trained on: the one there is, or manual where there are both. Scores
    are kept as they come, so a killed run continues. `executor` says who scores: this machine, Ray, or SLURM.

    Raises StaleRecordError, naming the command to run, where plan, scores, model or dataset do not fit each other;
    ModelFolderError where there is no model, or one that was altered.
    """
    from autodls.analysis.findings import told_together
    from autodls.models.device import resolve_device
    from autodls.report.study_results import study_results, write_results

    require_executor(executor)
    scoring = _Scoring(resolve_device(device), workers, watch, executor)
    place = planned_workspace(dataset, workspace)
    with locked(place):
        read_from = _given(dataset)
        session = Session.open(dataset, place.root, trained_rois(place, rois))
        require_given_rois(session.workspace, executor)
        study = _study(session, scoring)
        watch.note("statistics, tables and figures ...")
        results = study_results(study)
        _require_same(dataset, read_from)
        write_results(session.workspace, results)
        _note(watch.command, session.workspace, study, results, "; ".join(scoring.computed_in) or None)
    warnings = tuple(told_together(results.metrics))
    for warning in warnings:
        watch.note(f"warning: {warning}")
    unscored = {case: why for cohort in study.cohorts.values() for case, why in cohort.unscored.items()}
    _tell_unscored(unscored, sum(len(cases) for cases in session.cohort.held_out.values()), watch)
    return Evaluated(session.workspace, results.metrics, results.auc, results.tables, unscored, warnings)


def _tell_unscored(unscored: Mapping[str, str], given: int, watch: Watch) -> None:
    for case, why in unscored.items():
        watch.note(f"not scored: case {case}: {why}")
    if unscored:
        watch.note(f"{len(unscored)} of {given} held-out cases not scored; column 'failed' of their scores says why")


def _given(dataset: Path) -> dict[Path, str]:
    """SHA-256 of the table and the description that cohorts, labels and follow-up are read from."""
    return {path: sha256_of_input(path) for path in (dataset / "dataset.json", table_path(dataset)) if path.is_file()}


def _require_same(dataset: Path, given: dict[Path, str]) -> None:
    for path, sha256 in _given(dataset).items():
        if given.get(path) != sha256:
            raise StaleRecordError(f"{path}: changed while it was evaluated; run 'autodls evaluate' again")


def _note(
    command: Sequence[str], workspace: Workspace, study: "ScoredStudy", results: "ScoreResults", computed_in: str | None
) -> None:
    made_from = evaluated_from(study.dataset.folder, workspace)
    scores = [path for name in study.dataset.held_out for path in _held_out_files(workspace, name)]
    tables = [workspace.table(name) for name in ("tumour_volume", *results.tables)]
    figures = [workspace.figures / f"{name}.{ending}" for name in results.figures for ending in ("csv", "png", "svg")]
    if scores and computed_in is None:  # scores that an older version made do not say it
        computed_in = precision_of_all(workspace, "evaluate", workspace.model.record, None)
    made = [workspace.metrics, *scores, *tables, *figures]
    note_run(command, workspace, "evaluate", study.seed, made_from, made, computed_in)


def _held_out_files(workspace: Workspace, cohort: str) -> tuple[Path, Path]:
    return workspace.heldout_scores(cohort), workspace.heldout_record(cohort)


def _study(session: Session, scoring: _Scoring) -> "ScoredStudy":
    """The scores of all cohorts, those of held-out cohorts made where they are not there yet."""
    from autodls.analysis.tumour_volumes import tumour_volumes

    model, plan = locked_records(session)
    held_out = _held_out(session, model, plan, scoring)
    with scoring.watch.progress("tumour volumes", len(session.training)) as advance:
        written = session.workspace.table("tumour_volume")
        volumes = tumour_volumes(session.training, session.roi_labels, written, advance, scoring.workers)
    return assembled(session, model, plan, held_out, volumes)


def _held_out(session: Session, model: ModelRecord, plan: Plan, scoring: _Scoring) -> dict[str, "ScoredCohort"]:
    """Every held-out cohort, scored; the networks are read only where a case has no score yet."""
    from autodls.analysis.scored_study import cohort_name
    from autodls.inference.heldout import score_held_out, write_held_out
    from autodls.inference.heldout_scores import forget_others

    load = functools.cache(lambda: _load(session, scoring))
    scored: dict[str, ScoredCohort] = {}
    records = [session.workspace.heldout_record(name) for name in session.cohort.held_out]
    forget_others(session.workspace.heldout_record("").parent, records)
    with scoring.watch.progress(
        "held-out cases", sum(len(cases) for cases in session.cohort.held_out.values())
    ) as advance:
        for name, cases in session.cohort.held_out.items():
            record = session.workspace.heldout_record(name)
            given = as_scored(session, cases)
            if scoring.executor.name != "local":
                score_away(scoring.executor, session.workspace, model, given, name, scoring.device, scoring.watch)
            prediction = score_held_out(model, load, given, record, advance, scoring.workers)
            if prediction.computed_in:
                scoring.computed_in |= dict.fromkeys(prediction.computed_in.split("; "))
            labels = {case.id: case.label for case in cases}
            write_held_out(session.workspace.heldout_scores(name), record, prediction, plan.sequences, labels)
            scored[cohort_name(name)] = scored_cohort(cases, prediction)
    return scored


def as_scored(session: Session, cases: Sequence[Case]) -> list[Case]:
    """The cases as the model is given them: with automatic ROIs, the ensemble draws them from the images."""
    return [replace(case, roi=None) if session.workspace.rois == "auto" else case for case in cases]


def _load(session: Session, scoring: _Scoring) -> "tuple[LockedModel, RoiSource]":
    from autodls.inference.model_folder import load_model
    from autodls.inference.rois import RoiSource

    workspace, device = session.workspace, scoring.device
    model = load_model(workspace.model.root, device, streamed=True)
    if workspace.rois == "manual":
        return model, RoiSource(model.record)
    return model, RoiSource(model.record, _heldout_drawer(workspace, model.record, device).used, workspace.heldout_roi)


def _heldout_drawer(workspace: Workspace, model: ModelRecord, device: "torch.device") -> "HeldoutDrawer":
    """Draws the ROIs of held-out cases by the networks in the model folder; the benchmark of ROIs takes the same."""
    from autodls.inference.heldout_rois import HeldoutDrawer
    from autodls.segmentation.segmenter import Segmenter

    if model.segmenter_sha256 is None:
        raise ModelFolderError(
            f"{workspace.model.record}: names no networks that draw ROIs; {_TRAIN_FIRST} --rois auto"
        )
    return HeldoutDrawer(
        model.segmenter_sha256,
        lambda: Segmenter.load(workspace.model.segmentation, device, model.segmenter_sha256),
        workspace.heldout_roi,
        workspace.heldout_rois,
    )

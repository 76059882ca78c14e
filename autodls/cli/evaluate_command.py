"""`evaluate`: the locked model on every cohort, or any table of scores."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.cli.console import note, progress, say
from autodls.cli.places import require_output
from autodls.cli.provenance import note_output, note_run
from autodls.cli.session import Session, planned_workspace, trained_rois
from autodls.cli.train_command import show_rows
from autodls.errors import ArgumentError, ModelFolderError, StaleRecordError
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.results import Metrics
from autodls.evaluation.rows import OUT_OF_FOLD, RowAuc
from autodls.evaluation.scores_table import Columns, parse_cutoffs, read_scores
from autodls.records.cohort import TABLE, Case
from autodls.records.files import sha256_of_file
from autodls.records.lock import locked, locked_output
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.scores import FUSED, load_fold_scores
from autodls.records.splits import Splits
from autodls.records.table import read_table
from autodls.records.workspace import RoiKind, Workspace

if TYPE_CHECKING:
    import torch

    from autodls.inference.heldout_rois import HeldoutDrawer
    from autodls.inference.model_folder import LockedModel
    from autodls.inference.predict import Prediction
    from autodls.inference.rois import RoiSource
    from autodls.report.scored_study import ScoredCohort, ScoredStudy
    from autodls.report.study_results import StudyResults

_TRAIN_FIRST = "run 'autodls train fold all'"


@dataclass(frozen=True)
class Judged:
    """The AUC of every row, and the held-out cases that could not be scored, with the reason."""

    rows: tuple[RowAuc, ...]
    unscored: dict[str, str]

    @property
    def exit_status(self) -> int:
        """1 where a case could not be scored, as that of `predict`."""
        return 1 if self.unscored else 0


@dataclass(frozen=True)
class TableRequest:
    """The options of `evaluate --scores`."""

    table: Path
    scores: tuple[str, ...]
    label: str | None
    cohort: str | None
    cutoffs: tuple[str, ...]
    cutoff_from: str | None
    time: str | None
    event: str | None
    landmark: float | None
    output: Path | None


def refuse_table_options(*given: object) -> None:
    """Raise ArgumentError for an option of `TableRequest`, in its order, that is given although there is no table."""
    names = ("--score", "--label", "--cohort", "--cutoff", "--cutoff-from", "--time", "--event", "--landmark", "-o")
    if found := [name for name, value in zip(names, given, strict=True) if value not in (None, ())]:
        raise ArgumentError(
            f"{', '.join(found)}: said of a table of scores, and no table is named; name it with --scores FILE, or "
            "leave these options out to have the workspace's own model judged"
        )


def run_evaluate_table(request: TableRequest, *, as_json: bool) -> None:
    """All metrics of any table of scores, written to OUT/metrics.json."""
    if not request.scores:
        raise ArgumentError("--score is missing: name the score column of the table, e.g. --score dls")
    if request.output is None and not as_json:
        raise ArgumentError("-o is missing: name the folder for metrics.json, or ask for --json on stdout")
    if not (request.label or (request.time and request.event)):
        raise ArgumentError("--label is missing: name the label column, or --time and --event, or all three")
    if request.output is not None:
        require_output(request.output)
    columns = Columns(
        scores=request.scores,
        label=request.label,
        time=request.time,
        event=request.event,
        cohort=request.cohort,
    )
    table = read_scores(request.table, columns)
    choices = Choices(parse_cutoffs(request.cutoffs, request.scores), request.cutoff_from, request.landmark)
    metrics = evaluate_table(table, choices)
    if request.output is not None:
        with locked_output(request.output):
            metrics.save(request.output / "metrics.json")
            note_output(request.output, "evaluate", None, [request.table], [request.output / "metrics.json"])
    if as_json:
        say(metrics.to_bytes().decode().rstrip())
    else:
        show_rows(f"AUC of {request.table.name}", metric_rows(metrics))
        say(f"all metrics: {request.output}/metrics.json")
    for warning in metrics.warnings:
        note(f"warning: {warning}")


def metric_rows(metrics: Metrics) -> list[RowAuc]:
    """The AUC of every score of every cohort."""
    return [
        RowAuc(
            cohort=name,
            row=score,
            n=cohort.n,
            positives=cohort.positives or 0,
            value=found.auc.value,
            low=found.auc.low,
            high=found.auc.high,
            reason=found.auc.reason,
        )
        for name, cohort in metrics.cohorts.items()
        for score, found in cohort.scores.items()
    ]


def run_evaluate(dataset: Path, workspace: Path | None, rois: RoiKind | None = None, *, as_json: bool) -> Judged:
    """Score the held-out cohorts by the locked model and judge it on all cohorts."""
    from autodls.report.study_results import study_results, write_results

    place = planned_workspace(dataset, workspace)
    with locked(place):
        session = Session.open(dataset, place.root, trained_rois(place, rois))
        study = _study(session)
        note("statistics, tables and figures ...")
        results = study_results(study)
        write_results(session.workspace, results)
        _note(session.workspace, study, results)
    if as_json:
        say(json.dumps([row.model_dump() for row in results.auc], indent=1))
    else:
        show_rows("AUC of every row in every cohort", results.auc)
        say(f"all metrics: {session.workspace.metrics}")
        say(f"tables and figures: {session.workspace.tables}, {session.workspace.figures}")
    for warning in results.metrics.warnings:
        note(f"warning: {warning}")
    unscored = {case: why for cohort in study.cohorts.values() for case, why in cohort.unscored.items()}
    for case, why in unscored.items():
        note(f"not scored: case {case}: {why}")
    return Judged(results.auc, unscored)


def _note(workspace: Workspace, study: "ScoredStudy", results: "StudyResults") -> None:
    made_from = [study.dataset.folder / TABLE, workspace.oof_scores, workspace.model.record]
    scores = [path for name in study.dataset.held_out for path in _held_out_files(workspace, name)]
    tables = [workspace.table(name) for name in ("tumour_volume", *results.tables)]
    figures = [workspace.figures / f"{name}.{ending}" for name in results.figures for ending in ("csv", "png", "svg")]
    note_run(workspace, "evaluate", study.seed, made_from, [workspace.metrics, *scores, *tables, *figures])


def _held_out_files(workspace: Workspace, cohort: str) -> tuple[Path, Path]:
    return workspace.heldout_scores(cohort), workspace.heldout_record(cohort)


def _study(session: Session) -> "ScoredStudy":
    """The scores of all cohorts, those of held-out cohorts made where they are not there yet."""
    from autodls.report.scored_study import ScoredStudy
    from autodls.report.tumour_volumes import tumour_volumes

    workspace, dataset = session.workspace, session.cohort
    model = ModelRecord.load(workspace.model.record, _TRAIN_FIRST, ModelFolderError)
    plan = Plan.load(workspace.model.plan, _TRAIN_FIRST, ModelFolderError)
    splits = session.splits(plan)
    _require_same_scores(session, model, splits)
    cohorts = {OUT_OF_FOLD: _out_of_fold(session, plan), **_held_out(session, model, plan)}
    with progress("tumour volumes", len(session.training)) as advance:
        volumes = tumour_volumes(session.training, session.roi_labels, workspace.table("tumour_volume"), advance)
    column = dataset.description.autodls.case
    return ScoredStudy(
        dataset=dataset,
        sequences=plan.sequences,
        cohorts=cohorts,
        cutoff=model.cutoff,
        cutoff_rule=plan.training.cutoff,
        splits=splits,
        folds=[load_fold_scores(workspace.fold(fold.index), plan.sequences) for fold in splits.folds],
        volumes_ml=volumes,
        rows={row[column]: row.number for row in read_table(dataset.folder / TABLE)},
        seed=plan.training.seed,
    )


def _require_same_scores(session: Session, model: ModelRecord, splits: Splits) -> None:
    """Raise StaleRecordError where splits or out-of-fold scores are not those that the model was locked from."""
    scores = session.workspace.oof_scores
    found = sha256_of_file(scores) if scores.is_file() else "none"
    if found != model.oof_scores_sha256:
        raise StaleRecordError(
            f"{scores}: not the scores that the model was locked from (SHA-256 {found[:8]}, model.json has "
            f"{model.oof_scores_sha256[:8]}); {_TRAIN_FIRST}"
        )
    if splits.sha256() != model.splits_sha256:
        raise StaleRecordError(
            f"{session.workspace.splits}: not the splits that the model was locked from ({splits.sha256()[:8]}, "
            f"model.json has {model.splits_sha256[:8]}); {_TRAIN_FIRST}"
        )


def _out_of_fold(session: Session, plan: Plan) -> "ScoredCohort":
    from autodls.report.scored_study import ScoredCase, ScoredCohort

    cases = {case.id: case for case in session.training}
    return ScoredCohort(
        tuple(
            ScoredCase(cases[line["case"]], {row: float(line[row]) for row in (FUSED, *plan.sequences) if line[row]})
            for line in read_table(session.workspace.oof_scores)
        ),
        drawn=session.masks.cases if session.masks else (),
    )


def _held_out(session: Session, model: ModelRecord, plan: Plan) -> dict[str, "ScoredCohort"]:
    """Every held-out cohort, scored; the networks are read only where a case has no score yet."""
    from autodls.inference.heldout import score_held_out, write_held_out
    from autodls.report.scored_study import cohort_name

    load = functools.cache(lambda: _load(session))
    scored: dict[str, ScoredCohort] = {}
    with progress("held-out cases", sum(len(cases) for cases in session.cohort.held_out.values())) as advance:
        for name, cases in session.cohort.held_out.items():
            record = session.workspace.heldout_record(name)
            prediction = score_held_out(model, load, _as_scored(session, cases), record, advance)
            write_held_out(session.workspace.heldout_scores(name), record, prediction, plan.sequences)
            scored[cohort_name(name)] = _scored_cohort(cases, prediction)
    return scored


def _as_scored(session: Session, cases: Sequence[Case]) -> list[Case]:
    """The cases as the model is given them: with automatic ROIs, the ensemble draws them from the images."""
    return [replace(case, roi=None) if session.workspace.rois == "auto" else case for case in cases]


def _load(session: Session) -> "tuple[LockedModel, RoiSource]":
    import torch

    from autodls.inference.model_folder import load_model
    from autodls.inference.rois import RoiSource

    workspace, device = session.workspace, torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
        lambda: Segmenter.load(workspace.model.segmentation, device),
        workspace.heldout_roi,
        workspace.heldout_rois,
    )


def _scored_cohort(cases: Sequence[Case], prediction: "Prediction") -> "ScoredCohort":
    from autodls.report.scored_study import ScoredCase, ScoredCohort

    scores = {score.case: {FUSED: score.dls, **score.sequences} for score in prediction.cases}
    return ScoredCohort(
        tuple(ScoredCase(case, scores[case.id]) for case in cases if case.id in scores),
        {failure.case: failure.reason.removeprefix(f"case {failure.case}: ") for failure in prediction.failed},
        tuple(score.drawn for score in prediction.cases if score.drawn is not None),
    )

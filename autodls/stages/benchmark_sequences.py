"""`benchmark sequences`: the locked model with each sequence withheld."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.errors import ArgumentError, StaleRecordError
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.records.case import Case
from autodls.records.lock import locked
from autodls.records.scores import FUSED
from autodls.records.table import read_table
from autodls.records.workspace import Workspace
from autodls.stages.provenance import note_run
from autodls.stages.session import Session, planned_workspace
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.analysis.withheld import Withheld
    from autodls.inference.model_folder import LockedModel

_ROUND_OFF = 1e-4  # scores of another device or processor differ in their last digits


@dataclass(frozen=True)
class Sequences:
    """What `benchmark_sequences` found, by cohort and sequence, and the workspace where its table lies."""

    workspace: Workspace
    withheld: "tuple[Withheld, ...]"


@dataclass(frozen=True)
class _Group:
    """Cases that one model scores: a fold those that it validates, the ensemble a held-out cohort."""

    cohort: str
    model: "LockedModel"
    cases: Sequence[Case]


def benchmark_sequences(
    dataset: Path, workspace: Path | None = None, *, device: str = "auto", workers: int = 1, watch: Watch = SILENT
) -> Sequences:
    """Score every case as if one of its sequences had no file, and set the AUC beside that with all of them.

    Training cases are scored by the fold that did not see them, held-out ones by the ensemble. The table lies among
    those of `evaluate`, which removes it, as it may be of another model; run this after it.

    Raises ArgumentError for a model of one sequence, ModelFolderError where there is none on manual ROIs, and
    StaleRecordError where cases no longer have the score that the model was locked with.
    """
    from autodls.inference.model_folder import load_model
    from autodls.models.device import resolve_device
    from autodls.report.drawn import save_table
    from autodls.report.tables.withheld import withheld_table

    place, where = planned_workspace(dataset, workspace), resolve_device(device)
    with locked(place):
        session = Session.open(dataset, place.root, "manual")
        model = load_model(session.workspace.model.root, where, streamed=True)
        if len(model.plan.sequences) < 2:
            raise ArgumentError(
                f"{dataset}: the model has one sequence, {model.plan.sequences[0]}: none can be withheld"
            )
        found = _measure(session, model, workers, watch)
        written = save_table(session.workspace.tables, "withheld", withheld_table(found))
        record = session.workspace.model.record
        note_run(watch.command, place, "benchmark sequences", model.plan.training.seed, [record], [written])
    return Sequences(session.workspace, found)


def _measure(session: Session, model: "LockedModel", workers: int, watch: Watch) -> "tuple[Withheld, ...]":
    from autodls.analysis.withheld import withheld_of

    groups, names = _groups(session, model), model.plan.sequences
    total = sum(len(_having(group.cases, name)) for group in groups for name in (None, *names))
    with watch.progress("sequences withheld", total) as advance:
        scores = {name: _scores(groups, name, advance, workers) for name in (None, *names)}
    _require_same(session, scores[None])
    cohorts: dict[str, list[Case]] = {}
    for group in groups:
        cohorts.setdefault(group.cohort, []).extend(group.cases)
    seed = model.plan.training.seed
    return tuple(
        withheld_of(cohort, name, cases, scores[None], scores[name], seed, out_of_fold=cohort == OUT_OF_FOLD)
        for cohort, cases in cohorts.items()
        for name in names
    )


def _groups(session: Session, model: "LockedModel") -> list[_Group]:
    from autodls.analysis.scored_study import cohort_name

    by_id, splits = {case.id: case for case in session.training}, session.splits(model.plan)
    folds = [
        _Group(OUT_OF_FOLD, replace(model, folds=[network]), [by_id[case] for case in fold.validation])
        for fold, network in zip(splits.folds, model.folds, strict=True)
    ]
    return folds + [_Group(cohort_name(name), model, cases) for name, cases in session.cohort.held_out.items()]


def _having(cases: Sequence[Case], withheld: str | None) -> list[Case]:
    """The cases that have the sequence and another beside it; all of them where none is withheld."""
    return [case for case in cases if withheld is None or (withheld in case.images and len(case.images) > 1)]


def _scores(
    groups: Sequence[_Group], withheld: str | None, advance: Callable[[str], None], workers: int
) -> dict[str, float]:
    """The fused score by case; a case that cannot be scored has none."""
    from autodls.inference.inputs import InputCase
    from autodls.inference.predict import predict_cases
    from autodls.inference.rois import RoiSource

    scores: dict[str, float] = {}
    for group in groups:
        inputs = [
            InputCase(
                case.id, {name: at for name, at in case.images.items() if name != withheld}, case.roi, gap=case.gap
            )
            for case in _having(group.cases, withheld)
        ]
        found = predict_cases(group.model, inputs, RoiSource(group.model.record), advance, workers)
        scores |= {score.case: score.dls for score in found.cases}
    return scores


def _require_same(session: Session, scores: Mapping[str, float]) -> None:
    """Raise StaleRecordError where a training case no longer has its out-of-fold score."""
    for line in read_table(session.workspace.oof_scores):
        found = scores.get(line["case"])
        if found is None or abs(found - float(line[FUSED])) > _ROUND_OFF:
            raise StaleRecordError(
                f"case {line['case']}: scores {found} now, and {line[FUSED]} when the model was locked; run 'autodls "
                "train fold all' again"
            )

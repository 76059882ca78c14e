"""The scores of a study that lie in its workspace: what it is judged on, and what its figures are drawn from again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.errors import ModelFolderError, StaleRecordError
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.records.case import Case
from autodls.records.cohort import table_path
from autodls.records.files import sha256_of_file
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.scores import FUSED, FoldScore, load_fold_scores
from autodls.records.splits import Splits
from autodls.records.table import read_table
from autodls.records.workspace import Workspace
from autodls.stages.provenance import is_noted
from autodls.stages.session import Session

if TYPE_CHECKING:
    from autodls.analysis.scored_study import ScoredCohort, ScoredStudy
    from autodls.inference.prediction import Prediction

_TRAIN_FIRST, _EVALUATE = "run 'autodls train fold all'", "run 'autodls evaluate'"


def kept_study(dataset: Path, workspace: Workspace) -> "ScoredStudy":
    """What `evaluate` has judged, without the volumes of tumors; no image is read, and no network.

    Raises StaleRecordError where no evaluation by this version lies there, or one of other scores or labels.
    """
    from autodls.analysis.scored_study import cohort_name
    from autodls.inference.prediction import Prediction

    session = Session.open(dataset, workspace.root, workspace.rois)
    if not is_noted(workspace, "evaluate", evaluated_from(dataset, workspace), workspace.metrics):
        raise StaleRecordError(
            f"{workspace.metrics}: not there, changed, of another version of autodls, or not made from the dataset, "
            f"the scores and the model that lie there now, so no figure can be drawn of it; {_EVALUATE}"
        )
    model, plan = locked_records(session)
    held_out = {
        cohort_name(name): scored_cohort(cases, Prediction.load(workspace.heldout_record(name), _EVALUATE))
        for name, cases in session.cohort.held_out.items()
    }
    return assembled(session, model, plan, held_out, {})


def evaluated_from(dataset: Path, workspace: Workspace) -> list[Path]:
    """What an evaluation is made from, besides images."""
    return [*tables_of(dataset), workspace.oof_scores, workspace.model.record]


def tables_of(dataset: Path) -> list[Path]:
    """The description of the dataset and the table of its cases."""
    return [dataset / "dataset.json", table_path(dataset)]


def locked_records(session: Session) -> tuple[ModelRecord, Plan]:
    """The locked model and its plan; raises StaleRecordError where scores or splits are of another."""
    workspace = session.workspace
    model = ModelRecord.load(workspace.model.record, _TRAIN_FIRST, ModelFolderError)
    plan = Plan.load(workspace.model.plan, _TRAIN_FIRST, ModelFolderError)
    require_same_scores(workspace, model, session.splits(plan))
    return model, plan


def assembled(
    session: Session,
    model: ModelRecord,
    plan: Plan,
    held_out: "Mapping[str, ScoredCohort]",
    volumes_ml: Mapping[str, float],
) -> "ScoredStudy":
    """The out-of-fold scores and those of the cohorts `held_out`, with all that they are judged by."""
    from autodls.analysis.scored_study import ScoredStudy
    from autodls.inference.model_caveats import other_pictures

    workspace, dataset, splits = session.workspace, session.cohort, session.splits(plan)
    column = dataset.description.autodls.case
    return ScoredStudy(
        dataset=dataset,
        sequences=plan.sequences,
        cohorts={OUT_OF_FOLD: _out_of_fold(session, plan), **held_out},
        cutoff=model.cutoff,
        cutoff_rule=plan.training.cutoff,
        splits=splits,
        folds=[fold_scores(workspace, model, plan, position, fold.index) for position, fold in enumerate(splits.folds)],
        volumes_ml=volumes_ml,
        rows={row[column]: row.number for row in read_table(table_path(dataset.folder))},
        seed=plan.training.seed,
        caveats=tuple(filter(None, [other_pictures(model)])) if dataset.held_out else (),
    )


def fold_scores(workspace: Workspace, model: ModelRecord, plan: Plan, position: int, index: int) -> "list[FoldScore]":
    """The scores of a fold on the scale that all folds of the model share; of an older model, on its own."""
    from autodls.training.common_scale import on_common_scale

    scores = load_fold_scores(workspace.fold(index), plan.sequences)
    return [on_common_scale(one, model.fold_scales[position]) for one in scores] if model.fold_scales else scores


def require_same_scores(workspace: Workspace, model: ModelRecord, splits: Splits) -> None:
    """Raise StaleRecordError where splits or out-of-fold scores are not those that the model was locked from."""
    scores = workspace.oof_scores
    found = sha256_of_file(scores) if scores.is_file() else "none"
    if found != model.oof_scores_sha256:
        raise StaleRecordError(
            f"{scores}: not the scores that the model was locked from (SHA-256 {found[:8]}, model.json has "
            f"{model.oof_scores_sha256[:8]}); {_TRAIN_FIRST}"
        )
    if splits.sha256() != model.splits_sha256:
        raise StaleRecordError(
            f"{workspace.splits}: not the splits that the model was locked from ({splits.sha256()[:8]}, "
            f"model.json has {model.splits_sha256[:8]}); {_TRAIN_FIRST}"
        )


def _out_of_fold(session: Session, plan: Plan) -> "ScoredCohort":
    from autodls.analysis.scored_study import ScoredCase, ScoredCohort

    cases = {case.id: case for case in session.training}
    return ScoredCohort(
        tuple(
            ScoredCase(cases[line["case"]], {row: float(line[row]) for row in (FUSED, *plan.sequences) if line[row]})
            for line in read_table(session.workspace.oof_scores)
        ),
        drawn=session.masks.cases if session.masks else (),
    )


def scored_cohort(cases: Sequence[Case], prediction: "Prediction") -> "ScoredCohort":
    """The cases of a held-out cohort with their scores, and why the others have none."""
    from autodls.analysis.scored_study import ScoredCase, ScoredCohort

    scores = {score.case: {FUSED: score.dls, **score.sequences} for score in prediction.cases}
    return ScoredCohort(
        tuple(ScoredCase(case, scores[case.id]) for case in cases if case.id in scores),
        {failure.case: failure.reason.removeprefix(f"case {failure.case}: ") for failure in prediction.failed},
        tuple(score.drawn for score in prediction.cases if score.drawn is not None),
    )

"""What the benchmark of ROIs is run on: every cohort with its ROIs of both kinds, and the models of both kinds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.errors import InputError, StaleRecordError
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.records.automatic_roi import AutomaticRoi
from autodls.records.case import Case
from autodls.records.files import sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.model import ModelRecord
from autodls.records.model_folders import RoiKind
from autodls.records.plan import Plan
from autodls.records.segmentation import SegmentedCohort, load_masks
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace
from autodls.stages.session import Session
from autodls.watch import Watch

if TYPE_CHECKING:
    from autodls.inference.heldout_rois import HeldoutRois
    from autodls.inference.rescoring import PairedCase

KINDS: tuple[RoiKind, ...] = ("manual", "auto")
_TRAIN: Mapping[RoiKind, str] = {
    "manual": "run 'autodls train fold all'",
    "auto": "run 'autodls train fold all --rois auto'",
}
ENSEMBLE, OWN_FOLD = "the ensemble of all folds", "the fold that did not see the case"


@dataclass(frozen=True)
class BenchmarkCohort:
    """Cases of one cohort with both ROIs; `left_out` says of each other case why.

    `drawn_by` says who drew the automatic ROIs, `drawn` how that of each case came about.
    """

    name: str
    drawn_by: str
    pairs: tuple["PairedCase", ...]
    drawn: Mapping[str, AutomaticRoi]
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class BenchmarkStudy:
    """A dataset with automatic ROIs; `manual` and `auto` are its sessions."""

    manual: Session
    auto: Session
    plan: Plan
    splits: Splits
    masks: SegmentedCohort
    heldout: "HeldoutRois | None"

    @property
    def workspaces(self) -> Mapping[RoiKind, Workspace]:
        """Where the model of either kind lies."""
        return {"manual": self.manual.workspace, "auto": self.auto.workspace}


def open_study(dataset: Path, workspace: Path | None, workers: int, watch: Watch) -> BenchmarkStudy:
    """Read a dataset whose automatic ROIs are drawn, and draw those of held-out cases where they are not there yet.

    Raises StaleRecordError, naming the command to run, where ROIs are missing or of another plan.
    """
    manual = Session.open(dataset, workspace)
    plan = manual.plan()
    splits = manual.splits(plan)
    masks = load_masks(manual.workspace, plan, splits)
    fingerprint = Fingerprint.load(manual.workspace.fingerprint, "run 'autodls plan'")
    manual.require_same_inputs(fingerprint.inputs_sha256, workers)
    heldout = _draw_heldout(manual, plan, splits, watch)
    return BenchmarkStudy(manual, Session.open(dataset, workspace, "auto"), plan, splits, masks, heldout)


def benchmark_cohorts(study: BenchmarkStudy) -> list[BenchmarkCohort]:
    """The training cases, each with the fold that did not see it, and every held-out cohort."""
    from autodls.analysis.scored_study import cohort_name

    fold_of = {case: fold.index for fold in study.splits.folds for case in fold.validation}
    masks = {row.case: row.automatic_roi for row in study.masks.cases}
    cohorts = [_cohort(study, OUT_OF_FOLD, study.manual.training, masks, fold_of)]
    drawn = {row.case: row.drawn for row in study.heldout.cases} if study.heldout else {}
    for name, cases in study.manual.cohort.held_out.items():
        cohorts.append(_cohort(study, cohort_name(name), cases, drawn, {}))
    return cohorts


def usable_models(study: BenchmarkStudy) -> tuple[dict[RoiKind, ModelRecord], dict[RoiKind, str]]:
    """The locked models that fit plan, splits and scores, and of the others why they cannot be used."""
    models: dict[RoiKind, ModelRecord] = {}
    reasons: dict[RoiKind, str] = {}
    for kind, workspace in study.workspaces.items():
        try:
            models[kind] = _model(workspace, study)
        except StaleRecordError as failure:
            reasons[kind] = str(failure)
    return models, reasons


def _model(workspace: Workspace, study: BenchmarkStudy) -> ModelRecord:
    from autodls.inference.model_caveats import other_pictures

    kind = workspace.rois
    if not workspace.model.record.is_file():
        raise StaleRecordError(f"there is no model trained on {_word(kind)} ROIs; {_TRAIN[kind]}")
    record = ModelRecord.load(workspace.model.record, _TRAIN[kind])
    scores = workspace.oof_scores
    found = {
        "plan": (record.plan_sha256, _plan_as_locked(workspace, study.plan).sha256()),
        "splits": (record.splits_sha256, study.splits.sha256()),
        "out-of-fold scores": (record.oof_scores_sha256, sha256_of_file(scores) if scores.is_file() else "none"),
    }
    for name, (locked, now) in found.items():
        if locked != now:
            raise StaleRecordError(
                f"the model trained on {_word(kind)} ROIs was locked from other {name} ({locked[:8]}, now {now[:8]}); "
                f"{_TRAIN[kind]} --restart"
            )
    if doubt := other_pictures(record):
        raise StaleRecordError(f"{workspace.model.record}: {doubt}")
    return record


def _plan_as_locked(workspace: Workspace, plan: Plan) -> Plan:
    """The plan as it travels with a model, with the margin of the model at hand: no weight and no score depends on it.

    A margin that was changed since is said (`changed_margins`).
    """
    travelling = plan.without_paths()
    margin = _locked_margin(workspace)
    update = {} if margin is None else {"noninferiority_margin_auc": margin}
    return travelling.model_copy(update={"segmentation": travelling.segmentation.model_copy(update=update)})


def _locked_margin(workspace: Workspace) -> float | None:
    try:
        return Plan.load(workspace.model.plan, "").segmentation.noninferiority_margin_auc
    except InputError:
        return None


def changed_margins(study: BenchmarkStudy) -> list[str]:
    """What to say of each model that was locked with another margin: it must be declared before anything is scored."""
    now = study.plan.segmentation.noninferiority_margin_auc
    locked = {kind: _locked_margin(workspace) for kind, workspace in study.workspaces.items()}
    return [
        f"the margin is {now:g}, but was {margin:g} when the model trained on {_word(kind)} ROIs was locked: a margin "
        f"that is chosen after the scores are known proves nothing; put it back, or report both"
        for kind, margin in locked.items()
        if margin is not None and margin != now
    ]


def _word(kind: RoiKind) -> str:
    return "manual" if kind == "manual" else "automatic"


def _draw_heldout(session: Session, plan: Plan, splits: Splits, watch: Watch) -> "HeldoutRois | None":
    """ROIs of all held-out cases, by the networks of all folds; None where there is no such case."""
    from autodls.inference.heldout_rois import HeldoutDrawer, draw_heldout_rois
    from autodls.models.device import resolve_device
    from autodls.segmentation.segmenter import Segmenter, export_segmenter

    cases = [case for cohort in session.cohort.held_out.values() for case in cohort]
    if not cases:
        return None
    target, auto = session.workspace.ensemble_segmenter, session.workspace.of("auto")
    record = export_segmenter(session.workspace, plan, splits, target)

    def load() -> Segmenter:
        return Segmenter.load(target, resolve_device("auto"), record.sha256())

    with watch.progress("ROIs of held-out cases", len(cases)) as advance:
        drawer = HeldoutDrawer(record.sha256(), load, auto.heldout_roi, auto.heldout_rois)
        return draw_heldout_rois(cases, drawer, advance)


def _cohort(
    study: BenchmarkStudy,
    name: str,
    cases: Sequence[Case],
    masks: Mapping[str, AutomaticRoi],
    fold_of: Mapping[str, int],
) -> BenchmarkCohort:
    from autodls.inference.inputs import InputCase
    from autodls.inference.rescoring import PairedCase

    automatic = {case.id: case.roi for case in study.auto.cohort.cases}
    failed = study.heldout.reasons if study.heldout else {}
    pairs, left_out = [], {}
    for case in cases:
        drawn = automatic[case.id] if case.id in masks else None
        if reason := case.gap or _missing(case, drawn, failed.get(case.id)):
            left_out[case.id] = reason
            continue
        rois: dict[RoiKind, InputCase] = {
            "manual": InputCase(case.id, case.images, case.roi, "manual"),
            "auto": InputCase(case.id, case.images, drawn, "auto"),
        }
        pairs.append(PairedCase(case, rois, fold_of.get(case.id)))
    drawn_by = ENSEMBLE if name != OUT_OF_FOLD else OWN_FOLD
    return BenchmarkCohort(
        name, drawn_by, tuple(pairs), {pair.case.id: masks[pair.case.id] for pair in pairs}, left_out
    )


def _missing(case: Case, drawn: Path | None, failed: str | None) -> str | None:
    if case.roi is None:
        return "no manual ROI"
    return (failed or "no automatic ROI") if drawn is None else None

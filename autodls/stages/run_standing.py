"""Which stages of a study stand: done, and of what lies there now. A stage that is not sure is done again.

Every stage keeps what fits when it is called again, so that a wrong "not done" costs minutes, and never a figure.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autodls.errors import ArgumentError, StaleRecordError
from autodls.planning.budget import require_budget
from autodls.planning.presets import load_preset
from autodls.planning.request import PlanRequest
from autodls.records.fingerprint import Fingerprint
from autodls.records.model_folders import RoiKind
from autodls.records.workspace import Workspace
from autodls.stages.dry_run import sample_keys
from autodls.stages.provenance import is_noted
from autodls.stages.session import Session, planned, workspace_of

StageName = Literal[
    "check", "plan", "preprocess", "segment", "train", "evaluate", "explain", "compare", "report"
]  # fmt: skip
_PLAN_FIRST = "run 'autodls plan'"


@dataclass(frozen=True)
class RunSettings:
    """A dataset folder, its workspace (DATASET/autodls unless given), and what is asked of all stages.

    `rois` "auto" draws ROIs by nnU-Net and trains on them; `compare` compares candidates too, which is done as well
    where it was before. `preset` is that of a new plan ("auto" unless named), and `device` what it is made for.
    """

    dataset: Path
    given: Path | None = None
    rois: RoiKind = "manual"
    preset: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compare: bool = False
    workers: int = 1

    @property
    def root(self) -> Path:
        """The workspace folder; raises ArgumentError where it cannot lie there."""
        return workspace_of(self.dataset, self.given).root

    @property
    def workspace(self) -> Workspace:
        """The workspace of these ROIs."""
        return Workspace(self.root, self.rois)

    @property
    def request(self) -> PlanRequest:
        """What a new plan is asked for."""
        return PlanRequest(self.preset or "auto", device=self.device)

    @property
    def stages(self) -> tuple[StageName, ...]:
        """The stages of the study in their order: nnU-Net with automatic ROIs, which are made by `train`."""
        drawn: tuple[StageName, ...] = ("preprocess",) if self.rois == "manual" else ("segment",)
        compared: tuple[StageName, ...] = ("compare",) if self.compare or self.workspace.comparison.exists() else ()
        return ("check", "plan", *drawn, "train", "evaluate", "explain", *compared, "report")

    @property
    def session(self) -> Session:
        """Dataset and workspace as they lie there now; with automatic ROIs, raises StaleRecordError without them."""
        return Session.open(self.dataset, self.root, self.rois)


def stands(name: StageName, study: RunSettings) -> bool:
    """Whether the stage is done. Raises InputError where a plan is there that no longer fits, or another was asked for.

    A plan that no longer fits may have been set by hand, and folds may be trained by it: a person makes a new one.
    """
    if name == "check":
        return False
    if name == "plan":
        return _plan_stands(study)
    try:
        return _STANDS[name](study)
    except StaleRecordError:
        return False  # the stage itself says what does not fit, or makes it anew


def _plan_stands(study: RunSettings) -> bool:
    place = study.workspace
    if not place.plan.exists():
        return False
    found = planned(place)
    if study.preset is not None and (asked := load_preset(study.preset).name) != found.preset:
        raise ArgumentError(
            f"--preset {study.preset}: the plan in {place.plan} is of preset '{found.preset}', not '{asked}'; leave "
            "--preset out, or run 'autodls plan' with it first"
        )
    session = Session.open(study.dataset, study.root)
    plan = session.plan()
    session.splits(plan)
    fingerprint = Fingerprint.load(place.fingerprint, _PLAN_FIRST)
    require_budget(plan, fingerprint.cases)
    session.require_same_inputs(fingerprint.inputs_sha256, study.workers)
    return True


def _samples_stand(study: RunSettings) -> bool:
    from autodls.training.keys import stored_sample_keys

    session = study.session
    wanted = sample_keys(session, session.plan())
    return dict(stored_sample_keys(session.workspace, session.training)) == dict(wanted)


def _rois_stand(study: RunSettings) -> bool:
    return bool(study.session.masks)


def _folds_stand(study: RunSettings) -> bool:
    from autodls.records.plan import Plan
    from autodls.training.forecast import forecast

    session = study.session
    place, plan = session.workspace, session.plan()
    splits = session.splits(plan)
    if not place.model.record.is_file() or not _samples_stand(study):
        return False
    if Plan.load(place.model.plan, "run 'autodls train fold all'", StaleRecordError) != plan.without_paths():
        return False
    folds = range(len(splits.folds))
    found = forecast(place, session.training, plan, splits, folds, sample_keys(session, plan))
    if found.stages("missing", "anew", "refused"):
        return False
    return is_noted(place, "train", [place.fingerprint, place.plan, place.splits], place.model.record)


def _results_stand(study: RunSettings) -> bool:
    from autodls.inference.heldout_scores import scores_kept
    from autodls.records.model import ModelRecord
    from autodls.stages.evaluate import as_scored
    from autodls.stages.kept_study import evaluated_from

    session = study.session
    place = session.workspace
    if not is_noted(place, "evaluate", evaluated_from(study.dataset, place), place.metrics):
        return False
    model = ModelRecord.load(place.model.record, "run 'autodls train fold all'", StaleRecordError)
    return all(
        len(scores_kept(model, as_scored(session, cases), place.heldout_record(name), study.workers)) == len(cases)
        for name, cases in session.cohort.held_out.items()
    )


def _maps_stand(study: RunSettings) -> bool:
    from autodls.stages.explain import explained_from

    session = study.session
    return is_noted(session.workspace, "explain", explained_from(session), session.workspace.heatmaps.summary)


def _comparison_stands(study: RunSettings) -> bool:
    from autodls.stages.compare import compared_from

    session = study.session
    return is_noted(session.workspace, "compare", compared_from(session), session.workspace.comparison)


def _report_stands(study: RunSettings) -> bool:
    from autodls.stages.report import reported_from

    place = study.workspace
    return is_noted(place, "report", reported_from(place), place.report)


_STANDS = {
    "preprocess": _samples_stand,
    "segment": _rois_stand,
    "train": _folds_stand,
    "evaluate": _results_stand,
    "explain": _maps_stand,
    "compare": _comparison_stands,
    "report": _report_stands,
}

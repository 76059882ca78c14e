"""A dataset and its workspace, with the records that a command needs, checked against each other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autodls.errors import ArgumentError, StaleRecordError
from autodls.planning.splits import require_same_draw, verify_splits
from autodls.records.case import Case
from autodls.records.cohort import Cohort, read_cohort, read_description
from autodls.records.files import sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.model_folders import RoiKind
from autodls.records.plan import Plan
from autodls.records.preprocessing_plan import require_one_value
from autodls.records.roi_labels import AUTOMATIC_LABELS
from autodls.records.segmentation import SegmentedCohort, load_masks
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace
from autodls.stages.places import require_folder, require_kinds, require_no_input

_PLAN_FIRST = "run 'autodls plan'"


@dataclass(frozen=True)
class Session:
    """A dataset folder, its cohort and its workspace.

    `drawn` is the training cohort with the ROIs of the dataset; with automatic ROIs, those of `cohort` are other ones,
    and `masks` says how they came about.
    """

    cohort: Cohort
    workspace: Workspace
    drawn: tuple[Case, ...]
    masks: SegmentedCohort | None = None

    @classmethod
    def open(cls, dataset: Path, workspace: Path | None, rois: RoiKind = "manual") -> "Session":
        """Read the cohort of `dataset`; the workspace is DATASET/autodls unless given.

        With `rois` "auto", training cases have the ROI that the fold drew that did not see them, and held-out cases
        the one that the ensemble drew, where it has. Raises StaleRecordError where a training case has none.
        """
        cohort = read_cohort(dataset)
        session = cls(cohort, workspace_of(dataset, workspace), cohort.training)
        return session if rois == "manual" else session._automatic()

    def _automatic(self) -> "Session":
        plan = self.plan()
        masks = load_masks(self.workspace, plan, self.splits(plan))
        workspace = self.workspace.of("auto")
        trained = {case.id for case in self.training}
        rois = {
            case.id: workspace.auto_roi(case.id) if case.id in trained else workspace.heldout_roi(case.id)
            for case in self.cohort.cases
        }
        cases = tuple(
            replace(case, roi=rois[case.id] if rois[case.id].is_file() else None, rois={}) for case in self.cohort.cases
        )
        return replace(self, cohort=replace(self.cohort, cases=cases), workspace=workspace, masks=masks)

    @property
    def roi_labels(self) -> frozenset[int]:
        """Values of an ROI image that mean tumour; an automatic one has 1."""
        return self.cohort.description.roi_labels if self.workspace.rois == "manual" else AUTOMATIC_LABELS

    @property
    def training(self) -> tuple[Case, ...]:
        """Labelled cases of the training cohort."""
        return self.cohort.training

    def plan(self) -> Plan:
        """The plan, checked against fingerprint and dataset; raises StaleRecordError or PlanError."""
        plan = planned(self.workspace)
        if not self.workspace.fingerprint.is_file():
            raise StaleRecordError(f"{self.workspace.fingerprint}: no such file; {_PLAN_FIRST}")
        found = sha256_of_file(self.workspace.fingerprint)
        if found != plan.fingerprint_sha256:
            raise StaleRecordError(
                f"{self.workspace.plan}: made from fingerprint {plan.fingerprint_sha256[:8]}, fingerprint.json is now "
                f"{found[:8]}; {_PLAN_FIRST}"
            )
        if plan.sequences != self.cohort.description.sequences:
            raise StaleRecordError(
                f"{self.workspace.plan}: sequences {list(plan.sequences)}, dataset.json has "
                f"{list(self.cohort.description.sequences)}; {_PLAN_FIRST}"
            )
        if plan.preprocessing.roi_channel != self.cohort.description.roi_channel:
            raise StaleRecordError(
                f"{self.workspace.plan}: roi_channel '{plan.preprocessing.roi_channel}', dataset.json has "
                f"'{self.cohort.description.roi_channel}'; {_PLAN_FIRST}"
            )
        self._require_same_labels()
        told_by = plan.preprocessing.lesions.told_by if plan.preprocessing.lesions else None
        if told_by != (asked := self.cohort.description.autodls.lesions):
            raise StaleRecordError(
                f"{self.workspace.plan}: lesions are told apart by {told_by}, dataset.json says {asked}; {_PLAN_FIRST}"
            )
        return plan

    def _require_same_labels(self) -> None:
        planned = Fingerprint.load(self.workspace.fingerprint, _PLAN_FIRST).roi_labels
        if planned != (found := tuple(sorted(self.cohort.description.roi_labels))):
            raise StaleRecordError(
                f"{self.workspace.plan}: made for tumour values {list(planned)} in ROIs, dataset.json has "
                f"{list(found)}; {_PLAN_FIRST}"
            )

    def splits(self, plan: Plan) -> Splits:
        """The splits, checked against the table and the plan."""
        splits = self.fitting_splits(plan)
        require_same_draw(splits, plan.training)
        return splits

    def fitting_splits(self, plan: Plan) -> Splits:
        """The splits that fit the table, with whatever seed they were drawn; raises StaleRecordError or PlanError."""
        path = self.workspace.splits
        splits = Splits.load(path, f"move it away, then {_PLAN_FIRST}" if path.exists() else _PLAN_FIRST)
        verify_splits(splits, self.training, plan.training.folds, plan.sequences)
        return splits

    def require_same_inputs(self, recorded_sha256: str, workers: int) -> None:
        """Raise StaleRecordError when a training image or ROI has changed since the plan was made."""
        from autodls.planning.fingerprint import inputs_sha256

        if inputs_sha256(self.drawn, workers, lambda _case: None) != recorded_sha256:
            raise StaleRecordError(
                f"{self.cohort.folder}: training images or ROIs have changed since the plan was made; {_PLAN_FIRST}"
            )


def workspace_of(dataset: Path, workspace: Path | None) -> Workspace:
    """The workspace of a dataset folder; raises ArgumentError when its place, or one in it, is taken or cannot be."""
    if workspace is None and not dataset.is_dir():
        raise ArgumentError(f"{dataset}: no such folder; name the one that holds dataset.json with -d")
    root = workspace if workspace is not None else dataset / "autodls"
    require_folder(root, "-w")
    require_no_input(root, "-w")
    found = Workspace(root)
    for rois in ("manual", "auto"):
        require_kinds(found.of(rois))
    return found


def planned_workspace(dataset: Path, workspace: Path | None) -> Workspace:
    """The workspace of a dataset that has a plan; of one that has none, no folder is made. Raises as `Session.plan`."""
    read_description(dataset)
    found = workspace_of(dataset, workspace)
    planned(found)
    return found


def planned(workspace: Workspace) -> Plan:
    """The plan, which a person may have edited; raises PlanError."""
    edited = f"correct it, or {_PLAN_FIRST} for a new one (yours is kept as {workspace.previous_plan.name})"
    return Plan.load(workspace.plan, edited if workspace.plan.exists() else _PLAN_FIRST)


def trained_rois(workspace: Workspace, asked: RoiKind | None) -> RoiKind:
    """The kind of ROI that was `asked` for; else automatic where only such a model is trained, else manual."""
    if asked is not None:
        return asked
    manual, auto = (workspace.of(kind).model.record.is_file() for kind in ("manual", "auto"))
    return "auto" if auto and not manual else "manual"


def model_of(workspace: Workspace, *, drawn: bool) -> Path:
    """The workspace's model for ROIs of the kind at hand, where there is one; else the other."""
    kinds: tuple[RoiKind, RoiKind] = ("auto", "manual") if drawn else ("manual", "auto")
    found = [workspace.of(kind).model for kind in kinds if workspace.of(kind).model.record.is_file()]
    return (found[0] if found else workspace.model).root


def require_drawable(plan: Plan) -> None:
    """Raise ArgumentError where lesions are told apart by labels: hours of drawing would be for nothing."""
    repair = 'train on manual ROIs, or write "lesions": "components" in dataset.json and run \'autodls plan\''
    require_one_value(plan.preprocessing.lesions, "automatic ROIs", repair)


def chosen_folds(which: str, folds: int) -> Sequence[int]:
    """Indices of the folds that `which` ("all" or a number) names; raises ArgumentError."""
    if which == "all":
        return range(folds)
    if not which.isdecimal() or int(which) >= folds:
        raise ArgumentError(
            f"fold '{which}': expected 'all' or a number from 0 to {folds - 1}, as the plan has {folds} folds"
        )
    return [int(which)]

"""--dry-run: what a long stage would do, in lines, after the checks before it; nothing is written or locked."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from autodls.planning.budget import require_budget
from autodls.planning.segmentation_time import in_words, segmentation_time
from autodls.records.fingerprint import Fingerprint
from autodls.records.model_folders import RoiKind
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.words import plural
from autodls.records.workspace import finished_rows
from autodls.stages.session import Session, chosen_folds, planned_workspace, require_drawable, trained_rois

_PLAN_FIRST = "run 'autodls plan'"
_NOTHING = "nothing was written (--dry-run)"


def dry_train(
    dataset: Path, workspace: Path | None, which: str, rois: RoiKind, *, restart: bool, workers: int
) -> Iterator[str]:
    """Which samples, stages and models `train fold` would make, which it would keep, and how long it may take."""
    from autodls.training.data import training_device
    from autodls.training.forecast import Forecast, forecast, share_to_train
    from autodls.training.keys import stored_sample_keys

    session, plan, splits, folds = _planned(dataset, workspace, which, rois, workers)
    training_device(plan)
    expected, stored = sample_keys(session, plan), stored_sample_keys(session.workspace, session.training)
    fitting = sum(stored[case] == key for case, key in expected.items())
    yield f"samples: {fitting} kept, {len(expected) - fitting} to be made"
    found = forecast(session.workspace, session.training, plan, splits, folds, expected)
    if restart:
        found = Forecast({fold: dict.fromkeys(stages, "missing") for fold, stages in found.folds.items()})
        yield f"--restart: what is trained of {_folds(folds)} would be thrown away, and the locked model with it"
    for fold, stages in found.folds.items():
        told = {"missing": "to be trained", "kept": "kept", "anew": "trained anew", "refused": "of another plan"}
        yield f"fold {fold}: {', '.join(f'{stage} {told[standing]}' for stage, standing in stages.items())}"
    if found.stages("refused"):
        yield "encoders of another plan are not trained over: put the plan back, or add --restart"
    minutes = plan.budget.predicted_training_minutes * share_to_train(found, plan, splits)
    yield f"training: about {in_words(minutes / 60)} by the plan's estimate" if minutes else "training: seconds, if any"
    if which == "all":
        yield f"then the ensemble is locked in {session.workspace.model.root}"
    yield _NOTHING


def dry_segment(dataset: Path, workspace: Path | None, which: str, *, restart: bool, workers: int) -> Iterator[str]:
    """Which folds of nnU-Net `segment fold` would train, and how long that may take."""
    from autodls.segmentation.environment import require_nnunet
    from autodls.segmentation.run import SegmentationRun, is_trained
    from autodls.training.data import training_device

    require_nnunet()
    session, plan, splits, folds = _planned(dataset, workspace, which, "manual", workers)
    require_drawable(plan)
    labels, device = session.cohort.description.roi_labels, training_device(plan)
    run = SegmentationRun(session.workspace, session.training, labels, plan, splits, device, workers)
    waiting = list(folds) if restart else [index for index in folds if not is_trained(run, index)]
    kept = [index for index in folds if index not in waiting]
    yield f"nnU-Net: {_folds(kept)} kept, {_folds(waiting)} to be trained"
    if waiting:
        yield f"training: {segmentation_time(plan, len(waiting))}"
    yield f"then the cases of {_folds(folds)} are drawn by the fold that did not see them"
    yield _NOTHING


def dry_evaluate(dataset: Path, workspace: Path | None, rois: RoiKind | None) -> Iterator[str]:
    """Which held-out cases `evaluate` would score, and of which the scores are there."""
    from autodls.inference.heldout_scores import scores_kept
    from autodls.records.model import ModelRecord

    place = planned_workspace(dataset, workspace)
    session = Session.open(dataset, place.root, trained_rois(place, rois))
    model = ModelRecord.load(session.workspace.model.record, "run 'autodls train fold all'")
    yield f"model: {session.workspace.model.root}, trained on {model.rois} ROIs of {model.training_cases} cases"
    for name, cases in session.cohort.held_out.items():
        kept = len(scores_kept(model, cases, session.workspace.heldout_record(name)))
        yield f"cohort {name}: {kept} scores kept, {len(cases) - kept} cases to be scored"
    results = session.workspace.metrics
    yield f"then metrics, tables and figures are made in {results.parent}{', anew' if results.exists() else ''}"
    yield _NOTHING


def dry_predict(
    images: Path,
    rois: Path | None,
    output: Path,
    model: Path,
    *,
    overwrite: bool = False,
    series: Sequence[str] = (),
    roi_names: Sequence[str] = (),
    clinical: Path | None = None,
    key: Path | None = None,
) -> Iterator[str]:
    """Which cases `predict` would score, by which model; of DICOM also which series they have."""
    from autodls.inference.inputs import list_inputs
    from autodls.inference.prediction import prediction_of
    from autodls.records.locked_candidate import LockedCandidate
    from autodls.records.results_folder import ResultsFolder
    from autodls.stages.places import require_output
    from autodls.stages.predict_candidate import open_candidate, require_no_table
    from autodls.stages.predict_dicom import dry_predict_dicom, open_record, require_images_alone, takes_dicom
    from autodls.verify.signature import require_signed

    if key is not None:
        require_signed(model, key)
    require_output(output, read=[path for path in (images, rois, clinical) if path is not None])
    ResultsFolder(output, "scores.csv", finished_rows(prediction_of(output)).name, overwrite).require_free()
    drawn_by_hand, dicom = rois is not None or bool(roi_names), bool(series or roi_names) or takes_dicom(images)
    record, _ = open_record(model, rois=drawn_by_hand, joined=bool(roi_names))
    if dicom:
        require_images_alone(record, clinical)
    if isinstance(record, LockedCandidate):
        open_candidate(model, clinical=clinical, rois=drawn_by_hand)
        made_of = "without networks" if record.networks_sha256 is None else f"of {', '.join(record.features)}"
        yield f"model: {model}, the locked candidate '{record.candidate}', {made_of}"
    else:
        require_no_table(clinical)
        yield f"model: {model}, {record.folds} folds, trained on {record.rois} ROIs"
    if dicom:
        yield from dry_predict_dicom(images, record, series, roi_names)
        yield _NOTHING
        return
    cases = list_inputs(images, rois, record)
    drawn = "ROIs drawn by the model's networks" if rois is None else f"ROIs of {rois}"
    drawn = drawn if getattr(record, "needs_roi", True) else f"clinical columns of {clinical}"
    waiting = plural(len(cases), "case")
    yield f"{waiting} to be scored, {drawn}; scores.csv and predict.json would be written to {output}"
    yield _NOTHING


def _planned(
    dataset: Path, workspace: Path | None, which: str, rois: RoiKind, workers: int
) -> tuple[Session, Plan, Splits, list[int]]:
    session = Session.open(dataset, planned_workspace(dataset, workspace).root, rois)
    plan = session.plan()
    splits = session.splits(plan)
    fingerprint = Fingerprint.load(session.workspace.fingerprint, _PLAN_FIRST)
    require_budget(plan, fingerprint.cases, fingerprint.samples)
    session.require_same_inputs(fingerprint.inputs_sha256, workers)
    return session, plan, splits, list(chosen_folds(which, len(splits.folds)))


def sample_keys(session: Session, plan: Plan) -> Mapping[str, str]:
    """The keys that the samples of the training cohort are to have."""
    from autodls.preprocessing.case import case_key

    return {
        case.id: case_key(case.images, case.roi, session.roi_labels, plan.preprocessing) if case.roi else ""
        for case in session.training
    }


def _folds(folds: Sequence[int]) -> str:
    if not folds:
        return "no fold"
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"

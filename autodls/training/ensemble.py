"""The locked model: everything that is decided from out-of-fold scores, before any held-out case is scored."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from autodls import __version__
from autodls.errors import ArgumentError, StaleRecordError, TrainingError
from autodls.evaluation.binary import class_medians_cutoff, youden_cutoff
from autodls.evaluation.cautions import model_cautions
from autodls.evaluation.rows import out_of_fold_rows
from autodls.models.fold_model import load_encoder
from autodls.models.scale import fit_scale
from autodls.preprocessing.store import load_summary
from autodls.records.cohort import Case
from autodls.records.dataset import DatasetDescription
from autodls.records.files import link_or_copy, sha256_of_bytes, sha256_of_file, write_atomically, write_text
from autodls.records.fingerprint import Fingerprint
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.scale import LogisticScale, sigmoid
from autodls.records.scores import FUSED, FoldRecord, FoldScore, load_fold_scores, write_csv
from autodls.records.segmentation import load_masks
from autodls.records.splits import Splits
from autodls.records.tensors import read_note, save_tensors
from autodls.records.training_log import told_of
from autodls.records.workspace import FoldFolder, RoiKind, Workspace
from autodls.segmentation.segmenter import export_segmenter
from autodls.training.card import model_card

_TRAIN = "run 'autodls train fold all'"
_WEAK_PRIOR_SD = 10.0  # the pooled scores are many: the prior only keeps a perfect separation finite
_CUTOFF_SOURCES = {
    "youden": "Youden index of the out-of-fold scores of the training cohort",
    "class_medians": "half way between the classes' median out-of-fold log-odds in the training cohort",
}


@dataclass(frozen=True)
class OutOfFold:
    """The out-of-fold score of one training case; `dls` is recalibrated, `sequences` on the common scale."""

    case: str
    fold: int
    label: bool
    dls: float
    dls_raw: float
    sequences: dict[str, float]


def lock_model(
    workspace: Workspace, description: DatasetDescription, plan: Plan, splits: Splits, cases: Sequence[Case]
) -> ModelRecord:
    """Pool the out-of-fold scores, recalibrate, choose the cut-off, and write the model folder.

    Raises ArgumentError while a fold is missing.
    """
    pooled = pool_scores(workspace, plan, splits, cases)
    recalibration = recalibrate(pooled)
    scores = out_of_fold(pooled, recalibration)
    write_out_of_fold(workspace.oof_scores, scores, plan, workspace.rois, case_flags(workspace, plan, splits))
    files = _write_weights(workspace, plan, splits)
    plan.without_paths().save(workspace.model.plan)
    fingerprint = Fingerprint.load(workspace.fingerprint, "run 'autodls plan'", StaleRecordError).travelling()
    fingerprint.save(workspace.model.fingerprint)
    cutoffs = choose_cutoffs(pooled, recalibration)
    rows = out_of_fold_rows(workspace.oof_scores, plan.sequences, {case.id: case.patient for case in cases})
    record = ModelRecord(
        dataset=plan.dataset,
        target=description.autodls.target,
        channel_names=description.channel_names,
        file_ending=description.file_ending,
        roi_channel=description.roi_channel,
        roi_labels=tuple(sorted(description.roi_labels)),
        other_labels=tuple(sorted(description.roi_labels.others)),
        rois=workspace.rois,
        folds=len(splits.folds),
        training_cases=len(cases),
        training_positives=sum(score.label for score in scores),
        training_patients=patients if (patients := len({case.patient for case in cases})) < len(cases) else None,
        recalibration=recalibration,
        cutoff=cutoffs[plan.training.cutoff],
        cutoff_source=_CUTOFF_SOURCES[plan.training.cutoff],
        youden_cutoff=cutoffs["youden"],
        plan_sha256=sha256_of_file(workspace.model.plan),
        fingerprint_sha256=fingerprint.sha256(),
        splits_sha256=splits.sha256(),
        oof_scores_sha256=sha256_of_file(workspace.oof_scores),
        files=files,
        segmenter_sha256=_add_segmenter(workspace, plan, splits),
        cautions=model_cautions(rows[0], [score.dls for score in scores]),
        versions={"autodls": __version__, **{name: version(name) for name in ("torch", "numpy", "scipy")}},
    )
    card = model_card(record, plan.without_paths(), rows, folds_by_mean(workspace, plan, splits))
    record = record.model_copy(update={"card_sha256": sha256_of_bytes(card.encode())}).sealed()
    record.save(workspace.model.record)
    write_text(workspace.model.card, card)
    return record


def folds_by_mean(workspace: Workspace, plan: Plan, splits: Splits) -> int:
    """In how many folds the fused score is the mean of the sequences, as the transformer was not shown to be better."""
    folders = [workspace.fold(fold.index).trained(plan.training.fine_tuning_epochs) for fold in splits.folds]
    return sum(read_note(folder.fusion).get("fused_by") == "mean" for folder in folders)


def pool_scores(workspace: Workspace, plan: Plan, splits: Splits, cases: Sequence[Case]) -> list[tuple[int, FoldScore]]:
    """(fold, score) of every training case by the fold that did not see it, in the order of cases.

    Raises ArgumentError while a fold is missing, StaleRecordError where scores are not those that the fold wrote, or
    carry another label than `cases`.
    """
    labels = {case.id: case.label for case in cases}
    pooled: list[tuple[int, FoldScore]] = []
    for fold in splits.folds:
        folder = workspace.fold(fold.index)
        path = folder.scores
        if not path.exists():
            raise ArgumentError(f"fold {fold.index} is not trained ({path}); run 'autodls train fold {fold.index}'")
        scores = [score for score in load_fold_scores(folder, plan.sequences) if score.part == "validation"]
        if {score.case for score in scores} != set(fold.validation):
            raise ArgumentError(
                f"{path}: does not hold the {len(fold.validation)} validation cases; delete it, run again"
            )
        for score in scores:
            if score.label != labels.get(score.case):
                raise StaleRecordError(
                    f"{path}: case {score.case} is labelled {score.label}, in the table {labels.get(score.case)}; run "
                    f"'autodls train fold {fold.index} --restart'"
                )
        pooled.extend((fold.index, score) for score in scores)
    return sorted(pooled, key=lambda pair: pair[1].case)


def recalibrate(pooled: Sequence[tuple[int, FoldScore]]) -> LogisticScale:
    """The logistic map from pooled out-of-fold log-odds to probability."""
    log_odds = np.array([score.log_odds[FUSED] for _, score in pooled])
    return fit_scale(log_odds, np.array([score.label for _, score in pooled]), _WEAK_PRIOR_SD)


def choose_cutoffs(pooled: Sequence[tuple[int, FoldScore]], recalibration: LogisticScale) -> dict[str, float]:
    """The cut-off of the recalibrated score by each rule that a plan may name.

    Raises TrainingError where all scores are of one class.
    """
    labels = np.array([score.label for _, score in pooled])
    fused = np.array([score.log_odds[FUSED] for _, score in pooled])
    youden = youden_cutoff(labels, recalibration.probability(fused))
    middle = class_medians_cutoff(labels, fused)
    if youden is None or middle is None:
        raise TrainingError(f"{len(labels)} out-of-fold scores of one class only: no cut-off; train on both classes")
    return {"youden": youden, "class_medians": float(recalibration.probability(np.array([middle]))[0])}


def out_of_fold(pooled: Sequence[tuple[int, FoldScore]], recalibration: LogisticScale) -> list[OutOfFold]:
    """The rows of oof_scores.csv."""
    return [
        OutOfFold(
            case=score.case,
            fold=fold,
            label=score.label,
            dls=float(recalibration.probability(np.array([score.log_odds[FUSED]]))[0]),
            dls_raw=float(sigmoid(np.array([score.logits[FUSED]]))[0]),
            sequences={
                row: float(sigmoid(np.array([value]))[0]) for row, value in score.log_odds.items() if row != FUSED
            },
        )
        for fold, score in pooled
    ]


def case_flags(workspace: Workspace, plan: Plan, splits: Splits) -> dict[str, tuple[str, ...]]:
    """What a person should know of the out-of-fold score of a training case.

    That is the doubts about its automatic ROI, where those are trained on, what its sample does not show, and the
    networks of the fold that scored it which have not learnt. Raises StaleRecordError for masks that are no longer
    those of the workspace.
    """
    drawn = load_masks(workspace, plan, splits).by_case if workspace.rois == "auto" else {}
    flags: dict[str, tuple[str, ...]] = {}
    for fold in splits.folds:
        found = FoldRecord.load(workspace.fold(fold.index).record, _TRAIN, StaleRecordError).not_learnt
        of_fold = tuple(told_of(stage, fold.index, why) for stage, why in found.items())
        for case in fold.validation:
            sample = load_summary(workspace.sample(case))
            of_case = (*(drawn[case].flags if case in drawn else ()), *(sample[1] if sample else ()))
            flags[case] = (*of_case, *of_fold)
    return flags


def write_out_of_fold(
    path: Path, scores: Sequence[OutOfFold], plan: Plan, rois: RoiKind, flags: Mapping[str, Sequence[str]]
) -> None:
    """Write oof_scores.csv; the `flags` are its last column, with automatic ROIs or where there are any."""
    flagged = rois == "auto" or any(flags.values())
    header = ["case", "fold", "label", "dls", "dls_raw", *plan.sequences, "present", "rois"]
    header += ["flags"] if flagged else []
    lines = [
        [
            score.case,
            score.fold,
            int(score.label),
            score.dls,
            score.dls_raw,
            *(score.sequences.get(name) for name in plan.sequences),
            " ".join(name for name in plan.sequences if name in score.sequences),
            rois,
            *(["; ".join(flags[score.case])] if flagged else []),
        ]
        for score in scores
    ]
    write_csv(path, header, lines)


def _write_weights(workspace: Workspace, plan: Plan, splits: Splits) -> dict[str, str]:
    """Place the weights in the model folder, encoders as they score; the SHA-256 of every file by its name there."""
    hashes = {}
    for fold in splits.folds:
        source = workspace.fold(fold.index).trained(plan.training.fine_tuning_epochs)
        target = workspace.model.fold(fold.index)
        for sequence in plan.sequences:
            _write_folded(source, target, sequence)
        link_or_copy(source.fusion, target.fusion)
        for stage in (*plan.sequences, "fusion"):
            name = target.sequence(stage).relative_to(workspace.model.root).as_posix()
            hashes[name] = sha256_of_file(target.sequence(stage))
    _remove_others(workspace.model.root, hashes)
    return hashes


def _remove_others(root: Path, named: Mapping[str, str]) -> None:
    """Remove weights that an earlier plan of more folds or sequences has left: no model has files it does not name."""
    for path in sorted(root.glob("fold_*/*.safetensors")):
        if path.relative_to(root).as_posix() not in named:
            path.unlink()


def _write_folded(source: FoldFolder, target: FoldFolder, sequence: str) -> None:
    """Fold an encoder into the model folder; a file that holds these bytes already is left alone."""
    tensors = load_encoder(source, sequence).tensors()
    write_atomically(target.sequence(sequence), lambda beside: save_tensors(beside, tensors), keep_same=True)


def _add_segmenter(workspace: Workspace, plan: Plan, splits: Splits) -> str | None:
    """Put the networks that draw ROIs into the model folder; SHA-256 of their record, None where there are none.

    A model trained on manual ROIs takes them along too, so that it can be tried on images alone. Raises
    StaleRecordError where a model was trained on automatic ROIs that are no longer those of the workspace.
    """
    shutil.rmtree(workspace.model.segmentation.root, ignore_errors=True)
    try:
        load_masks(workspace, plan, splits)
    except StaleRecordError:
        if workspace.rois == "auto":
            raise
        return None
    export_segmenter(workspace, plan, splits, workspace.model.segmentation)
    return sha256_of_file(workspace.model.segmentation.record)

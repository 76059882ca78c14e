"""The locked model: everything that is decided from out-of-fold scores, before any held-out case is scored."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from autodls import __version__
from autodls.errors import StaleRecordError
from autodls.evaluation.caveats import model_caveats
from autodls.evaluation.score_aucs import out_of_fold_aucs
from autodls.models.fold_files import load_encoder
from autodls.preprocessing.store import FORMAT, load_summary
from autodls.records.case import Case
from autodls.records.dataset import DatasetDescription
from autodls.records.files import link_or_copy, sha256_of_bytes, sha256_of_file, write_atomically, write_text
from autodls.records.fingerprint import Fingerprint
from autodls.records.model import ModelRecord
from autodls.records.model_folders import FoldFolder, RoiKind
from autodls.records.plan import Plan
from autodls.records.scale import LogisticScale, sigmoid
from autodls.records.scores import FUSED, FoldRecord, FoldScore, csv_text
from autodls.records.segmentation import load_masks
from autodls.records.splits import Splits
from autodls.records.tensors import read_note, save_tensors
from autodls.records.training_log import told_of
from autodls.records.workspace import Workspace
from autodls.segmentation.segmenter import export_segmenter
from autodls.training.card import model_card
from autodls.training.derived import derive

_TRAIN = "run 'autodls train fold all'"
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
    derived = derive(workspace, plan, splits, cases)
    scores = out_of_fold(derived.pooled, derived.recalibration)
    write_out_of_fold(workspace.oof_scores, scores, plan, workspace.rois, case_flags(workspace, plan, splits))
    files = _write_weights(workspace, plan, splits)
    plan.without_paths().save(workspace.model.plan)
    fingerprint = Fingerprint.load(workspace.fingerprint, "run 'autodls plan'", StaleRecordError).travelling()
    fingerprint.save(workspace.model.fingerprint)
    rows = out_of_fold_aucs(workspace.oof_scores, plan.sequences, {case.id: case.patient for case in cases})
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
        cutoff_source=_CUTOFF_SOURCES[plan.training.cutoff],
        **derived.locked(plan),
        plan_sha256=sha256_of_file(workspace.model.plan),
        fingerprint_sha256=fingerprint.sha256(),
        splits_sha256=splits.sha256(),
        oof_scores_sha256=sha256_of_file(workspace.oof_scores),
        sample_format=FORMAT,
        files=files,
        segmenter_sha256=_add_segmenter(workspace, plan, splits),
        cautions=model_caveats(rows[0], [score.dls for score in scores]),
        versions={"autodls": __version__, **{name: version(name) for name in ("torch", "numpy", "scipy")}},
    )
    card = model_card(record, plan.without_paths(), rows, folds_by_mean(workspace, plan, splits))
    record = record.model_copy(update={"card_sha256": sha256_of_bytes(card.encode())}).sealed()
    if workspace.model.record.is_file() and sha256_of_file(workspace.model.record) != record.sha256():
        workspace.model.signature.unlink(missing_ok=True)  # it is of the model before
    record.save(workspace.model.record)
    write_text(workspace.model.card, card)
    return record


def folds_by_mean(workspace: Workspace, plan: Plan, splits: Splits) -> int:
    """In how many folds the fused score is the mean of the sequences, as the transformer was not shown to be better."""
    folders = [workspace.fold(fold.index).trained(plan.training.fine_tuning_epochs) for fold in splits.folds]
    return sum(read_note(folder.fusion).get("fused_by") == "mean" for folder in folders)


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
    """Write oof_scores.csv; see `out_of_fold_csv`."""
    write_text(path, out_of_fold_csv(scores, plan, rois, flags))


def out_of_fold_csv(scores: Sequence[OutOfFold], plan: Plan, rois: RoiKind, flags: Mapping[str, Sequence[str]]) -> str:
    """The text of oof_scores.csv; the `flags` are its last column, with automatic ROIs or where there are any."""
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
    return csv_text(header, lines)


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

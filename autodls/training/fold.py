"""One fold from samples to scores; what is done is not done again."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from autodls.errors import ModelFolderError, StaleRecordError
from autodls.models.fold_model import FoldModel, load_fold
from autodls.records.plan import Plan
from autodls.records.scores import FUSED, FoldScore, Part, write_fold_scores
from autodls.records.tensors import read_note
from autodls.records.workspace import FoldFolder
from autodls.training.data import FoldRun, centre_crop
from autodls.training.fine_tuning_stage import FINE_TUNING, fine_tune
from autodls.training.fit_state import Epoch
from autodls.training.fusion_stage import FUSION, train_fusion
from autodls.training.loop import Report
from autodls.training.sequence_stage import train_sequence
from autodls.training.stage_log import StageLog

_RESTART = "run 'autodls train fold all --restart' to train anew, or put the plan back"
_PARTS: tuple[Part, ...] = ("train", "inner", "validation")


def stages_of(plan: Plan) -> dict[str, int]:
    """The stages of a fold in their order, and the most epochs that each may take."""
    training = plan.training
    stages = {**dict.fromkeys(plan.sequences, training.epochs), FUSION: training.fusion_epochs}
    return {**stages, FINE_TUNING: training.fine_tuning_epochs} if training.fine_tuning_epochs else stages


def made_by(folder: FoldFolder, stage: str) -> Path:
    """The file that `stage` writes last."""
    return folder.fine_tuned.fusion if stage == FINE_TUNING else folder.sequence(stage)


def train_fold(run: FoldRun, report: Report) -> None:
    """Train what is missing of a fold and write the scores of all its cases.

    `report` is called after every epoch. Raises StaleRecordError when the folder holds weights of another plan.
    """
    log = StageLog(run.folder.log)

    def note(epoch: Epoch) -> None:
        log.add(epoch)
        report(epoch)

    done = {stage: is_done(run, stage) for stage in stages_of(run.plan)}
    for stage in (stage for stage, finished in done.items() if finished):
        run.folder.resume(stage).unlink(missing_ok=True)  # of a run that was killed just before it did
    if not all(done.values()):
        run.folder.scores.unlink(missing_ok=True)  # of weights that somebody removed
    for stage in (stage for stage, finished in done.items() if not finished):
        _train_stage(run, stage, note)
    if not run.folder.scores.exists():
        model = load_fold(run.folder.trained(run.plan.training.fine_tuning_epochs), run.plan, run.data.pixels.device)
        write_fold_scores(run.folder.scores, score_fold(run, model), run.plan.sequences)


def _train_stage(run: FoldRun, stage: str, report: Report) -> None:
    if stage == FUSION:
        train_fusion(run, report)
    elif stage == FINE_TUNING:
        fine_tune(run, report)
    else:
        train_sequence(run, stage, report)


def is_done(run: FoldRun, stage: str) -> bool:
    """Whether the weights of `stage` are there; raises StaleRecordError when they are those of another plan."""
    path = made_by(run.folder, stage)
    if not path.exists():
        return False
    try:
        found = read_note(path).get("key")
    except ModelFolderError as failure:
        raise StaleRecordError(f"{failure}; {_RESTART}") from None
    if found != run.key:
        raise StaleRecordError(
            f"{path}: trained by another plan, split or preprocessing ({str(found)[:8]}, now {run.key[:8]}); {_RESTART}"
        )
    return True


def score_fold(run: FoldRun, model: FoldModel) -> list[FoldScore]:
    """Scores of every training case by one fold, marked by the part of the fold that the case is in."""
    part_of: dict[str, Part] = {case: part for part in _PARTS for case in getattr(run.fold, part)}
    cases: Sequence[str] = sorted(part_of)
    rows = run.data.rows(cases)
    pixels = centre_crop(run.data.pixels[rows], run.plan.preprocessing.input_size_px)
    logits = model.logits(pixels, run.data.present[rows])
    by_row = {FUSED: logits.fused, **logits.by_sequence}
    values = {row: tensor.double().cpu().numpy() for row, tensor in by_row.items()}
    labels = run.data.labels[rows].cpu().numpy()
    return [
        FoldScore(
            case=case,
            part=part_of[case],
            label=bool(labels[position]),
            logits={row: float(column[position]) for row, column in values.items() if np.isfinite(column[position])},
            log_odds={
                row: float(model.scales[row].log_odds(column[position : position + 1])[0])
                for row, column in values.items()
                if np.isfinite(column[position])
            },
        )
        for position, case in enumerate(cases)
    ]


def prepare_torch(device: torch.device) -> None:
    """Settle what would make two runs on one GPU differ; to be called before anything is moved to it.

    PyTorch then takes deterministic algorithms, and warns of an operation that has none. Nothing is changed for a CPU.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts; without it sums may differ
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)

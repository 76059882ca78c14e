"""The scores of a trained fold: of every training case, on the scale of the fold."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from autodls.errors import TrainingError
from autodls.models.fold_files import load_fold
from autodls.models.network import FoldModel
from autodls.records.scores import FUSED, FoldScore, Part
from autodls.training.data import FoldRun, centre_crop
from autodls.training.feature_cache import as_scored
from autodls.training.fold_chain import write_scores

_PARTS: tuple[Part, ...] = ("train", "inner", "validation")


def write_fold_scores(run: FoldRun, weights: Mapping[str, str], not_learnt: Mapping[str, str]) -> None:
    """Score the fold whose `weights` lie in its folder, and write that there; `not_learnt` is that of `FoldRecord`."""
    model = load_fold(run.folder.trained(run.plan.training.fine_tuning_epochs), run.plan, run.data.pixels.device)
    if not run.plan.training.fine_tuning_epochs:
        model = replace(
            model,
            encoders={name: as_scored(encoder, run.plan, run.features) for name, encoder in model.encoders.items()},
        )
    write_scores(run.folder, score_fold(run, model), run.plan, run.keys.scores, weights, not_learnt)


def score_fold(run: FoldRun, model: FoldModel) -> list[FoldScore]:
    """Scores of every training case by one fold, marked by the part of the fold that the case is in.

    Raises TrainingError for a score that is no finite number.
    """
    part_of: dict[str, Part] = {case: part for part in _PARTS for case in getattr(run.fold, part)}
    cases: Sequence[str] = sorted(part_of)
    bags = run.data.bags(cases)
    pixels = centre_crop(run.data.pixels[bags.rows], run.plan.preprocessing.input_size_px)
    logits = model.logits(pixels, run.data.present[bags.rows]).mean_by_case(bags.case_of, len(bags))
    by_row = {FUSED: logits.fused, **logits.by_sequence}
    values = {row: tensor.double().cpu().numpy() for row, tensor in by_row.items()}
    present = {FUSED: np.ones(len(cases), dtype=bool)}
    shown = bags.mean(run.data.present[bags.rows].float()) > 0
    present |= {row: shown[:, index].cpu().numpy() for index, row in enumerate(logits.by_sequence)}
    for row, column in values.items():
        for case in itertools.compress(cases, present[row] & ~np.isfinite(column)):
            raise _no_number(run.fold.index, case, part_of[case], row)
    labels = run.data.labels[bags.case_rows].cpu().numpy()
    return [
        FoldScore(
            case=case,
            part=part_of[case],
            label=bool(labels[position]),
            logits={row: float(column[position]) for row, column in values.items() if present[row][position]},
            log_odds={
                row: float(model.scales[row].log_odds(column[position : position + 1])[0])
                for row, column in values.items()
                if present[row][position]
            },
        )
        for position, case in enumerate(cases)
    ]


def _no_number(fold: int, case: str, part: Part, row: str) -> TrainingError:
    return TrainingError(
        f"fold {fold}: case {case} ({part}): the score '{row}' is not a finite number; look at its images with "
        f"'autodls check', or lower training.learning_rate in plan.json and train anew"
    )

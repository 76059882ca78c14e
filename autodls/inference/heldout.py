"""Held-out cohorts of a dataset folder, scored by the locked model."""

from collections.abc import Callable, Sequence
from pathlib import Path

from autodls.inference.inputs import InputCase
from autodls.inference.model_folder import LockedModel
from autodls.inference.predict import predict_cases
from autodls.records.cohort import Case
from autodls.records.scores import write_csv


def score_held_out(model: LockedModel, cases: Sequence[Case], path: Path, advance: Callable[[str], None]) -> list[str]:
    """Score `cases` and write their table to `path`; why each of the others could not be scored.

    Labels are not looked at: they join the scores afterwards.
    """
    inputs = [InputCase(case.id, case.images, case.roi) for case in cases]
    prediction = predict_cases(model, inputs, advance)
    sequences = model.plan.sequences
    header = ["case", "dls", "dls_raw", "spread", *sequences]
    lines = [
        [score.case, score.dls, score.dls_raw, score.spread, *(score.sequences.get(name) for name in sequences)]
        for score in prediction.cases
    ]
    write_csv(path, header, lines)
    return [failure.reason for failure in prediction.failed]
